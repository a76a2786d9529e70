//! A PostgreSQL cluster for one test.

use std::{
    cell::RefCell,
    env,
    fs::{self, File},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use postgres::{Client, NoTls};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::machine::{ATTEMPTS_MAX, TempDir, free_port, user_ids, wait_until};

const PASSWORD: &str = "only-for-tests";
const SETTINGS: [&str; 5] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=40",
    "fsync=off",
    "full_page_writes=off",
];

/// A running cluster, reached by TCP and password; its superuser is `postgres`.
pub struct PgCluster {
    home: TempDir,
    programs: PathBuf,
    port: u16,
    // The process while it runs: a test may stop the cluster and start it again.
    process: RefCell<Option<Child>>,
}

impl PgCluster {
    /// Makes an empty cluster and starts it.
    pub fn start() -> Self {
        Self::start_from(server_programs())
    }

    /// The same, with the programs of this directory.
    pub fn start_from(programs: PathBuf) -> Self {
        let home = TempDir::of_a_server();
        initialise(home.path(), &programs);
        for _ in 0..ATTEMPTS_MAX {
            let port = free_port(0);
            if let Some(process) = run(home.path(), port, &programs) {
                return PgCluster { home, programs, port, process: RefCell::new(Some(process)) };
            }
        }
        panic!("PostgreSQL did not start: {}", fs::read_to_string(home.join("log")).unwrap_or_default());
    }

    /// A libpq URL of `database` for the superuser, with the password.
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", PASSWORD, database)
    }

    /// A libpq URL of `database` for another role.
    pub fn url_as(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Turns TLS on, with a certificate for this name; returns the file of the CA that signed it.
    pub fn certified(&self, name: &str) -> PathBuf {
        let path = |file: &str| self.home.join(file);
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).current_dir(self.home.path()).output().unwrap();
            assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        };
        fs::write(path("names"), format!("subjectAltName=DNS:{name}")).unwrap();
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=a CA of the test",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ]);
        openssl(&["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-keyout", "key", "-out", "request"]);
        openssl(&[
            "x509",
            "-req",
            "-in",
            "request",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "certificate",
        ]);
        for (from, to) in [("key", "server.key"), ("certificate", "server.crt")] {
            let to = path("data").join(to);
            fs::copy(path(from), &to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = server_user() {
                chown(&to, Some(uid), Some(gid)).unwrap();
            }
        }
        self.execute("postgres", "alter system set ssl = on");
        self.execute("postgres", "select pg_reload_conf()");
        path("ca.pem")
    }

    /// Puts a rule before the others of `pg_hba.conf`.
    pub fn let_in(&self, rule: &str) {
        let path = self.home.join("data").join("pg_hba.conf");
        let rules = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{rule}\n{rules}")).unwrap();
        self.execute("postgres", "select pg_reload_conf()");
    }

    /// The server's major version.
    pub fn major(&self) -> u32 {
        let number = self.client("postgres").query_one("show server_version_num", &[]).unwrap();
        number.get::<_, &str>(0).parse::<u32>().unwrap() / 10_000
    }

    /// A superuser's connection to `database`.
    pub fn client(&self, database: &str) -> Client {
        Client::connect(&self.url(database), NoTls).unwrap()
    }

    /// Runs statements in `database` as the superuser. `create database` has to come alone.
    pub fn execute(&self, database: &str, sql: &str) {
        self.client(database).batch_execute(sql).unwrap();
    }

    /// Runs a script as psql does, going on after statements that fail.
    pub fn script(&self, database: &str, script: &Path) {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--quiet", "--no-psqlrc", "--output=/dev/null", "--file"]).arg(script).arg(self.url(database));
        let output = psql.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Ends the server at once, as a crash would; its data stays until the value is dropped.
    pub fn stop(&self) {
        if let Some(mut process) = self.process.borrow_mut().take() {
            // SIGQUIT is PostgreSQL's immediate shutdown: every process ends, no shared memory is left behind.
            let _ = kill_process(Pid::from_child(&process), Signal::QUIT);
            let _ = process.wait();
        }
    }

    /// Starts it again on the same port, after [`PgCluster::stop`].
    pub fn restart(&self) {
        self.stop();
        let process = run(self.home.path(), self.port, &self.programs).expect("PostgreSQL did not start again");
        self.process.replace(Some(process));
    }
}

impl Drop for PgCluster {
    fn drop(&mut self) {
        self.stop();
    }
}

fn initialise(home: &Path, programs: &Path) {
    let password = home.join("password");
    fs::write(&password, PASSWORD).unwrap();
    let data = home.join("data");
    fs::create_dir(&data).unwrap();
    if let Some((uid, gid)) = server_user() {
        chown(&data, Some(uid), Some(gid)).unwrap();
    }
    let output = program(programs, "initdb")
        .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .arg("--pgdata")
        .arg(&data)
        .arg("--pwfile")
        .arg(&password)
        .current_dir(home)
        .output()
        .unwrap();
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
}

/// The server, once it answers; nothing when it ended, for example because the port was taken meanwhile.
fn run(home: &Path, port: u16, programs: &Path) -> Option<Child> {
    let log = File::create(home.join("log")).unwrap();
    let mut command = program(programs, "postgres");
    command.arg("-D").arg(home.join("data")).args(["-p", &port.to_string()]);
    command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    command.current_dir(home).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut process = command.spawn().unwrap();
    let url = format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres");
    if wait_until(&mut process, || Client::connect(&url, NoTls).is_ok()) {
        return Some(process);
    }
    let _ = process.kill();
    let _ = process.wait();
    None
}

/// A program of PostgreSQL, to be run as a user that PostgreSQL accepts.
fn program(programs: &Path, name: &str) -> Command {
    let mut command = Command::new(programs.join(name));
    command.env_clear().env("LC_ALL", "C");
    if let Some((uid, gid)) = server_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// PostgreSQL refuses to run as root: then it is postgres or, lacking that, nobody.
fn server_user() -> Option<(u32, u32)> {
    geteuid().is_root().then(|| {
        user_ids("postgres").or_else(|| user_ids("nobody")).expect("as root this needs a user postgres or nobody")
    })
}

/// The directory that has `initdb`: on the PATH, else the newest of the distribution.
fn server_programs() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).find_map(|each| fs::canonicalize(each.join("initdb")).ok());
    let initdb = on_path.or_else(newest_packaged).expect("PostgreSQL's initdb is missing: run scripts/test");
    initdb.parent().unwrap().to_owned()
}

fn newest_packaged() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let complete = versions.filter_map(|entry| {
        let home = entry.ok()?.path();
        let version: u32 = home.file_name()?.to_str()?.parse().ok()?;
        let initdb = home.join("bin/initdb");
        initdb.exists().then_some((version, initdb))
    });
    complete.max().map(|(_, initdb)| initdb)
}
