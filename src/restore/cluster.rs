//! A disposable PostgreSQL cluster that walkaway creates, starts and stops: on a local socket only, never as root.
//!
//! It stays on disk after the run, stopped, and can be started again to inspect the restored copy.

use std::{
    fs::{self, File},
    io,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

pub use super::cluster_error::ClusterError;
use super::{
    cluster_error::directory_error,
    durability::{self, Ahead},
    postmaster::{self, Postmaster},
};
use crate::{
    domain::digest::Sha256Digest,
    pg::{
        Address, PgError,
        tools::{self, Tools},
    },
    words::shell_quoted,
};

/// The cluster's superuser.
pub const ADMIN_ROLE: &str = "walkaway";
/// Owns what is restored: not a superuser, but allowed to bypass row level security, as a comparison must.
pub const OWNER_ROLE: &str = "walkaway_restore";
/// Its settings, in ALTER ROLE: large objects may change owner, and have to be read back.
pub(super) const OWNER_SETTING: &str = "SET lo_compat_privileges = on";
/// The port in the socket's name; nothing listens on TCP.
const PORT: u16 = 5432;
const START_SECONDS_MAX: u32 = 120;
/// Size of an empty cluster: about 40 MiB of files and a first segment of 16 MiB of its log.
const CLUSTER_BYTES: u64 = 64 << 20;
/// Prefix of a data directory that is being created; the process id follows.
const HALF_MADE: &str = "making-";
/// Prefix of the socket's directory, in `/tmp` …
const SOCKET_PREFIX: &str = "walkaway-pg-";
/// … which is recorded in this file beside the data, so that a killed run's can be removed.
const SOCKET_NOTE: &str = "socket";
/// Settings that override the data directory's: its content may come from elsewhere, and must not
/// name programs, libraries or addresses.
const HARMLESS: [&str; 9] = [
    "listen_addresses=",
    "archive_mode=off",
    "restore_command=",
    "archive_cleanup_command=",
    "recovery_end_command=",
    "shared_preload_libraries=",
    "session_preload_libraries=",
    "local_preload_libraries=",
    "ssl=off",
];
/// Files that make a server recover from an archive, which walkaway's clusters never do.
const RECOVERY_SIGNALS: [&str; 2] = ["recovery.signal", "standby.signal"];
/// Used when walkaway runs as root, which PostgreSQL refuses.
const SERVER_USERS: [&str; 2] = ["postgres", "nobody"];

/// Commands to inspect a stopped cluster by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByHand {
    /// A command line that starts it.
    pub start: String,
    /// Arguments that lead psql to it.
    pub psql: Vec<String>,
    /// A command line that stops it.
    pub stop: String,
}

/// The user that runs the server: the own one, or for root an unprivileged one.
#[derive(Clone, Debug)]
struct ServerUser {
    name: String,
    ids: Option<(u32, u32)>,
}

/// A running cluster; stopped when dropped.
pub struct Cluster {
    tools: Tools,
    data: PathBuf,
    socket: PathBuf,
    user: ServerUser,
    ahead: Mutex<Option<Ahead>>,
    _held: Option<File>,
}

impl Cluster {
    /// Whether one was created below this directory.
    pub fn is_in(directory: &Path) -> bool {
        directory.join("data").join("PG_VERSION").is_file()
    }

    /// Starts the cluster below `directory`; creates it first if missing. One that a killed run left running is
    /// stopped first.
    pub fn start(tools: Tools, directory: &Path) -> Result<Self, ClusterError> {
        let user = server_user()?;
        let data = directory.join("data");
        check_reachable(directory, &user)?;
        make_directory(directory, &user)?;
        let held = postmaster::hold(directory)?;
        if durability::went_down(directory) {
            return Err(ClusterError::WentDown { path: data.display().to_string() });
        }
        stop_stale(directory)?;
        if !Self::is_in(directory) {
            make_data(&tools, directory, &data, &user)?;
        }
        if let Some(signal) = RECOVERY_SIGNALS.iter().find(|signal| data.join(signal).exists()) {
            let source = io::Error::other(format!("{signal} exists there: this is not walkaway's cluster"));
            return Err(directory_error(&data, source));
        }
        let socket = socket_directory(&user)?;
        let cluster = Cluster { tools, data, socket, user, ahead: Mutex::default(), _held: held };
        let note = directory.join(SOCKET_NOTE);
        fs::write(&note, cluster.socket.as_os_str().as_encoded_bytes())
            .map_err(|error| directory_error(&note, error))?;
        cluster.launch()?;
        cluster.make_owner()?;
        Ok(cluster)
    }

    /// Stops the server that a killed run left running below `directory`, if there is one, and removes its socket.
    /// Returns the server's process. One that another user or process started is not touched.
    pub fn stop_left_behind(directory: &Path) -> Result<Option<String>, ClusterError> {
        let _held = postmaster::hold(directory)?;
        stop_stale(directory)
    }

    /// Whether a cluster could be created below `directory`, as far as that is known without creating one.
    pub fn possible(directory: &Path) -> Result<(), ClusterError> {
        check_reachable(directory, &server_user()?)
    }

    /// The superuser's address of the maintenance database.
    pub fn address(&self) -> Address {
        Address::socket(&self.socket, PORT, ADMIN_ROLE, "postgres")
    }

    /// Rows are about to be loaded: each step need not be durable. [`Cluster::enable_durability`] makes them durable.
    pub fn disable_durability(&self) -> Result<(), ClusterError> {
        durability::disable_durability(self.directory(), &self.address())?;
        self.ahead().get_or_insert_with(|| Ahead::start(self.data.clone()));
        Ok(())
    }

    /// Makes everything since [`Cluster::disable_durability`] durable.
    pub fn enable_durability(&self) -> Result<(), ClusterError> {
        let ahead = self.ahead().take();
        durability::enable_durability(self.directory(), &self.data, &self.address(), ahead)
    }

    fn ahead(&self) -> MutexGuard<'_, Option<Ahead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self) -> &Path {
        self.data.parent().unwrap_or(&self.data)
    }

    /// Stops the server, waits for it, and removes the socket.
    pub fn stop(self) -> Result<(), ClusterError> {
        self.stop_now()
    }

    /// How to start, reach and stop the cluster by hand. Its socket is in a directory that only the server's user
    /// (and root) can enter, named after the cluster's, so that several clusters can run at once.
    pub fn by_hand(tools: &Tools, directory: &Path) -> Result<ByHand, ClusterError> {
        let user = server_user()?;
        let (become_user, owner) = match user.ids {
            Some(_) => (format!("runuser -u {} -- ", user.name), format!(" -o {}", user.name)),
            None => Default::default(),
        };
        let program = tools.directory().join("pg_ctl");
        let data = directory.join("data");
        let quoted = |path: &Path| shell_quoted(&path.display().to_string());
        let pg_ctl = format!("{become_user}{} -s -w -D {}", quoted(&program), quoted(&data));
        let socket = format!("/tmp/walkaway-look-{:032x}", Sha256Digest::of(data.display().to_string()).short());
        let make_socket = format!("install -d -m 700{owner} {socket}");
        Ok(ByHand {
            start: format!("{make_socket} && {pg_ctl} -l /dev/null -o '-k {socket} -p {PORT}' start"),
            psql: ["-h", &socket, "-p", &PORT.to_string(), "-U", OWNER_ROLE].map(str::to_owned).to_vec(),
            stop: format!("{pg_ctl} stop && rmdir {socket}"),
        })
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Result<(), ClusterError> {
        pg_ctl(&self.tools, &self.user, &self.data, arguments)
    }

    fn launch(&self) -> Result<(), ClusterError> {
        let log = self.data.join("server.log");
        let harmless: String = HARMLESS.iter().map(|setting| format!(" -c {setting}")).collect();
        let options = format!("-k '{}' -p {PORT}{harmless}", self.socket.display());
        let seconds = START_SECONDS_MAX.to_string();
        let log_path = log.display().to_string();
        let started = self.pg_ctl(&["-w", "-t", &seconds, "-s", "-l", &log_path, "-o", &options, "start"]);
        started.map_err(|error| with_log(error, &log))
    }

    fn stop_now(&self) -> Result<(), ClusterError> {
        let stopped = if self.data.join("postmaster.pid").is_file() {
            self.pg_ctl(&["-w", "-s", "-m", "fast", "stop"])
        } else {
            Ok(())
        };
        let _ = fs::remove_dir_all(&self.socket);
        stopped
    }

    fn make_owner(&self) -> Result<(), ClusterError> {
        let mut client = self.address().connect()?;
        let failed = |error| PgError::statement("making the owner of restored objects", &error);
        let known = client.query_opt("SELECT FROM pg_catalog.pg_roles WHERE rolname = $1::text::name", &[&OWNER_ROLE]);
        if known.map_err(failed)?.is_none() {
            let make = format!("CREATE ROLE {OWNER_ROLE} LOGIN BYPASSRLS; ALTER ROLE {OWNER_ROLE} {OWNER_SETTING}");
            client.batch_execute(&make).map_err(failed)?;
            // Restored objects may change owner, and have to be read back.
            if self.tools.major() >= 14 {
                client.batch_execute(&format!("GRANT pg_read_all_data TO {OWNER_ROLE}")).map_err(failed)?;
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop_now() {
            tracing::warn!(%error, "the managed PostgreSQL could not be stopped");
        }
    }
}

fn pg_ctl(tools: &Tools, user: &ServerUser, data: &Path, arguments: &[&str]) -> Result<(), ClusterError> {
    let mut command = as_user(tools, "pg_ctl", user)?;
    command.arg("-D").arg(data).args(arguments);
    Ok(tools::run("pg_ctl", command)?)
}

/// A postmaster that a killed run left behind still owns the data directory, and its socket's directory exists.
fn stop_stale(directory: &Path) -> Result<Option<String>, ClusterError> {
    let data = directory.join("data");
    let socket = fs::read_to_string(directory.join(SOCKET_NOTE)).unwrap_or_default();
    let mut stopped = None;
    if let Some(postmaster) = Postmaster::of(&data) {
        let tools = Tools::server()?;
        let user = server_user()?;
        match pg_ctl(&tools, &user, &data, &["-s", "status"]) {
            Ok(()) if postmaster.is_by_hand(&socket) => {
                let path = data.display().to_string();
                let stop = Cluster::by_hand(&tools, directory)?.stop;
                return Err(ClusterError::ByHand { path, pid: postmaster.pid, stop });
            }
            Ok(()) => {
                pg_ctl(&tools, &user, &data, &["-w", "-s", "-m", "fast", "stop"])?;
                stopped = Some(postmaster.pid);
            }
            // The machine crashed with it.
            Err(_) => drop(fs::remove_file(data.join("postmaster.pid"))),
        }
    }
    if socket.strip_prefix("/tmp/").is_some_and(|name| name.starts_with(SOCKET_PREFIX) && !name.contains('/')) {
        let _ = fs::remove_dir_all(socket);
    }
    Ok(stopped)
}

/// Creates the data directory under another name first: an incomplete one is never used, and the initdb of a run
/// that was killed may still be writing into its own.
fn make_data(tools: &Tools, directory: &Path, data: &Path, user: &ServerUser) -> Result<(), ClusterError> {
    let failed = |source| directory_error(directory, source);
    clear_half_made(directory).map_err(failed)?;
    let half_made = directory.join(format!("{HALF_MADE}{}", std::process::id()));
    fs::create_dir(&half_made).and_then(|()| give(&half_made, user)).map_err(failed)?;
    initialise(tools, &half_made, user)?;
    fs::rename(&half_made, data).map_err(failed)?;
    // An initdb that was still writing when its directory was cleared has failed by now.
    clear_half_made(directory).map_err(failed)
}

fn clear_half_made(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(HALF_MADE) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// initdb's messages are localized: the free space decides.
fn disk_full_error(data: &Path, error: PgError) -> ClusterError {
    let free = rustix::fs::statvfs(data).map_or(u64::MAX, |of| of.f_bavail.saturating_mul(of.f_frsize));
    if free < CLUSTER_BYTES {
        ClusterError::Full { path: data.display().to_string(), free, error }
    } else {
        error.into()
    }
}

fn initialise(tools: &Tools, data: &Path, user: &ServerUser) -> Result<(), ClusterError> {
    let mut command = as_user(tools, "initdb", user)?;
    command.args(["--auth=peer", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", ADMIN_ROLE, "--pgdata"]);
    command.arg(data);
    tools::run("initdb", command).map_err(|error| disk_full_error(data, error))?;
    let caller = caller_name();
    // The server's own user, where it is another, is not a superuser: code in the server may connect to itself.
    let idents = [(&caller, ADMIN_ROLE), (&caller, OWNER_ROLE), (&user.name, OWNER_ROLE)];
    let idents = idents.map(|(system, role)| format!("walkaway \"{system}\" {role}\n")).concat();
    let settings = format!(
        "listen_addresses = ''\nunix_socket_permissions = 0700\nmax_connections = 40\n\
         wal_level = minimal\nmax_wal_senders = 0\nmax_wal_size = 4GB\nshared_buffers = 256MB\n\
         maintenance_work_mem = {}MB\nautovacuum = off\nlogging_collector = off\n",
        maintenance_megabytes()
    );
    for (file, text) in [
        ("pg_hba.conf", "local all all peer map=walkaway\n"),
        ("pg_ident.conf", idents.as_str()),
        ("postgresql.auto.conf", settings.as_str()),
    ] {
        let path = data.join(file);
        fs::write(&path, text).map_err(|source| directory_error(&path, source))?;
    }
    Ok(())
}

/// Memory for building one index: enough to sort most in memory, and a small part of the machine's.
fn maintenance_megabytes() -> u64 {
    let known = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = known.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let megabytes = total.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or_default() / 1024;
    (megabytes / 32).clamp(64, 1024)
}

/// A program of PostgreSQL, run as the server's user, from a directory that every user can enter.
fn as_user(tools: &Tools, program: &'static str, user: &ServerUser) -> Result<Command, PgError> {
    let mut command = tools.command(program, None)?;
    command.current_dir("/");
    if let Some((uid, gid)) = user.ids {
        command.uid(uid).gid(gid);
    }
    Ok(command)
}

fn server_user() -> Result<ServerUser, ClusterError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(ServerUser { name: caller_name(), ids: None });
    }
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find =
        |name: &&str| passwd_ids(&known, name).map(|ids| ServerUser { name: (*name).to_owned(), ids: Some(ids) });
    SERVER_USERS.iter().find_map(find).ok_or(ClusterError::NoServerUser)
}

/// The name by which the operating system knows this process's user; peer authentication compares it.
fn caller_name() -> String {
    let own = rustix::process::geteuid().as_raw();
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let fields = known.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let named = fields.filter(|fields| fields.get(2).is_some_and(|uid| uid.parse() == Ok(own)));
    named.filter_map(|fields| fields.first().map(|name| (*name).to_owned())).next().unwrap_or_else(|| own.to_string())
}

/// User and group number of a name in /etc/passwd (passwd(5)).
fn passwd_ids(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The directory around the data stays walkaway's own: what it records there as root, the server's user can't change.
fn make_directory(directory: &Path, user: &ServerUser) -> Result<(), ClusterError> {
    let failed = |source| directory_error(directory, source);
    let mode = if user.ids.is_some() { 0o711 } else { 0o700 };
    fs::create_dir_all(directory).map_err(failed)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(mode)).map_err(failed)
}

fn give(directory: &Path, user: &ServerUser) -> io::Result<()> {
    if let Some((uid, gid)) = user.ids {
        std::os::unix::fs::chown(directory, Some(uid), Some(gid))?;
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

/// Every directory above must be accessible to the server's user; root itself would not notice.
fn check_reachable(directory: &Path, user: &ServerUser) -> Result<(), ClusterError> {
    let Some((uid, gid)) = user.ids else { return Ok(()) };
    for ancestor in directory.ancestors().skip(1).filter(|path| path.is_dir()) {
        let metadata = fs::metadata(ancestor).map_err(|source| directory_error(ancestor, source))?;
        if !may_enter(&metadata, uid, gid) {
            return Err(ClusterError::Unreachable { user: user.name.clone(), path: ancestor.display().to_string() });
        }
    }
    Ok(())
}

fn may_enter(metadata: &fs::Metadata, uid: u32, gid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let bit = match (metadata.uid() == uid, metadata.gid() == gid) {
        (true, _) => 0o100,
        (false, true) => 0o010,
        (false, false) => 0o001,
    };
    metadata.mode() & bit != 0
}

/// A short path of its own: a socket's name has at most 107 bytes (unix(7)), a target's path may have more.
fn socket_directory(user: &ServerUser) -> Result<PathBuf, ClusterError> {
    let made = tempfile::Builder::new().prefix(SOCKET_PREFIX).tempdir_in("/tmp");
    let path = made.map_err(|source| directory_error(Path::new("/tmp"), source))?.keep();
    give(&path, user).map_err(|source| directory_error(&path, source))?;
    Ok(path)
}

/// pg_ctl only reports that the server didn't start; the server's log has the reason.
fn with_log(error: ClusterError, log: &Path) -> ClusterError {
    let text = fs::read_to_string(log).unwrap_or_default();
    match (error, text.lines().rfind(|line| line.contains("FATAL") || line.contains("PANIC"))) {
        (ClusterError::Pg(PgError::Program { program, .. }), Some(line)) => {
            ClusterError::Pg(PgError::Program { program, reason: line.to_owned() })
        }
        (error, _) => error,
    }
}
