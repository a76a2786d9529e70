//! A whole drill for one test: servers that are filled, a playbook, walkaway's run of it, and what it left.
//!
//! A [`Drill`] carries out the bucket, the database, or both, whatever it was given. Leaves out disturbing the run: that
//! is [`super::disturb`]'s.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use postgres::{Client, NoTls};
use serde_json::Value;

use super::{
    ACCESS_KEY, PgCluster, REGION, SECRET_KEY, TempDir, WeedServer, block_on, client, fill_bucket, machine::user_ids,
    standin, walkaway, weed,
};

/// The asset that is a bucket.
pub const FILES: &str = "files";
/// The asset that is a database.
pub const LEDGER: &str = "ledger";
/// The bucket at the provider.
pub const BUCKET: &str = "drill-files";
/// The database at the provider.
pub const DATABASE: &str = "shop";
/// The role that reads it: no superuser, but allowed to read every row.
pub const READER: &str = "reader";
/// The password of [`READER`], distinctive enough to be looked for in everything that is written.
pub const READER_PASSWORD: &str = "login-canary-5e02c4";
/// A value of a row of [`ODD_DATABASE`].
pub const ROW_CANARY: &str = "row-canary-7f3a91";
/// The content of an object of [`odd_objects`].
pub const OBJECT_CANARY: &str = "object-canary-c81d06";
/// Statements that make a small database with one of everything that is easy to lose.
pub const ODD_DATABASE: &str = include_str!("odd_database.sql");
/// Two small tables.
pub const PLAIN_DATABASE: &str = "create table notes (id integer primary key, body text);
    insert into notes select n, 'note ' || n from generate_series(1, 50) as n;
    insert into notes values (51, null), (52, ''), (53, 'last');
    create table empty (id integer);";

const TIMEOUT: Duration = Duration::from_secs(120);
/// From 16 MiB on an object is read in ranges.
const LARGE_BYTES: usize = (17 << 20) + 3;

// ---------------------------------------------------------------------------------------------------------------------
// Before the run

/// What is carried out, and from where.
pub struct Drill {
    home: TempDir,
    weed: Option<WeedServer>,
    source: Option<PgCluster>,
    /// Whether the bucket is on a server that the test started itself.
    elsewhere: bool,
    prefix: Option<String>,
    s3: String,
    asset: String,
    target_keys: String,
    exclude_tables: String,
    target: String,
    settings: String,
    asset_settings: String,
    evidence: String,
    environment: Vec<(String, String)>,
    user: Option<(u32, u32)>,
}

impl Drill {
    /// A drill of nothing yet; databases go into a managed cluster.
    pub fn new() -> Self {
        Drill {
            home: TempDir::new(),
            weed: None,
            source: None,
            elsewhere: false,
            prefix: None,
            s3: String::new(),
            asset: String::new(),
            target_keys: String::new(),
            exclude_tables: "[]".to_owned(),
            target: "{managed: true}".to_owned(),
            settings: String::new(),
            asset_settings: String::new(),
            evidence: String::new(),
            environment: Vec::new(),
            user: None,
        }
    }

    /// A provider with a bucket that holds these objects.
    pub fn bucket<K: AsRef<str>, B: AsRef<[u8]>>(mut self, objects: &[(K, B)]) -> Self {
        let server = weed();
        fill_bucket(server.endpoint(), BUCKET, objects);
        self.environment.push(("DRILL_S3".to_owned(), server.endpoint().to_owned()));
        self.weed = Some(server);
        self
    }

    /// The bucket [`BUCKET`] on a server that the test keeps.
    pub fn bucket_at(mut self, endpoint: &str) -> Self {
        self.environment.push(("DRILL_S3".to_owned(), endpoint.to_owned()));
        self.elsewhere = true;
        self
    }

    /// More keys of the bucket, such as `versions: all`.
    pub fn s3(mut self, keys: &str) -> Self {
        self.s3.push_str(&format!(", {keys}"));
        self
    }

    /// More keys of the asset that is a bucket, such as `sample: {…}`.
    pub fn asset(mut self, keys: &str) -> Self {
        self.asset.push_str(&format!(", {keys}"));
        self
    }

    /// One more key of the target.
    pub fn target_key(mut self, key: &str) -> Self {
        self.target_keys.push_str(&format!("  {key}\n"));
        self
    }

    /// One more variable of walkaway's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes an object at the provider.
    pub fn delete_object(&self, key: &str) {
        let client = client(self.weed.as_ref().expect("a drill with a bucket").endpoint());
        block_on(async { client.delete_object().bucket(BUCKET).key(key).send().await }).unwrap();
    }

    /// Begins an upload at the provider that nobody completes.
    pub fn begin_upload(&self, key: &str) {
        let client = client(self.weed.as_ref().expect("a drill with a bucket").endpoint());
        block_on(async { client.create_multipart_upload().bucket(BUCKET).key(key).send().await }).unwrap();
    }

    /// Only the keys that begin with this.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.to_owned());
        self
    }

    /// A provider with a database that the statements made.
    pub fn database(self, sql: &str) -> Self {
        self.database_like("template template0 encoding 'UTF8'", sql)
    }

    /// The same, with the options of `CREATE DATABASE`.
    pub fn database_like(self, options: &str, sql: &str) -> Self {
        self.database_on(PgCluster::start(), options, sql)
    }

    /// The same, on this server.
    pub fn database_on(mut self, source: PgCluster, options: &str, sql: &str) -> Self {
        source.execute("postgres", "alter system set autovacuum = off");
        source.execute("postgres", "select pg_reload_conf()");
        source.execute("postgres", &format!("create role {READER} login bypassrls password '{READER_PASSWORD}'"));
        let reads_all = match source.major() {
            13 => format!("alter role {READER} superuser"),
            _ => format!("grant pg_read_all_data to {READER}"),
        };
        source.execute("postgres", &reads_all);
        source.execute("postgres", &format!("create database {DATABASE} {options}"));
        source.execute(DATABASE, sql);
        let url = source.url_as(READER, READER_PASSWORD, DATABASE);
        self.environment.push(("DRILL_PG".to_owned(), url));
        self.source = Some(source);
        self
    }

    /// Tables that stay behind, as a YAML list.
    pub fn exclude_tables(mut self, list: &str) -> Self {
        self.exclude_tables = list.to_owned();
        self
    }

    /// Restores databases into a server that exists, as whatever login.
    pub fn into_server(self, url: &str) -> Self {
        let mut drill = self.into_server_as_lesser(url);
        drill.target = "{url: \"env:DRILL_TARGET\", trust_source: true}".to_owned();
        drill
    }

    /// The same as a login that can't leave the databases that it makes.
    pub fn into_server_as_lesser(mut self, url: &str) -> Self {
        self.environment.push(("DRILL_TARGET".to_owned(), url.to_owned()));
        self.target = "{url: \"env:DRILL_TARGET\"}".to_owned();
        self
    }

    /// More keys of the database's asset.
    pub fn asset_settings(mut self, yaml: &str) -> Self {
        self.asset_settings = format!(", {yaml}");
        self
    }

    /// Lets walkaway find PostgreSQL's programs in this directory first.
    pub fn programs(mut self, directory: &Path) -> Self {
        let path = env::var("PATH").unwrap_or_default();
        self.environment.push(("PATH".to_owned(), format!("{}:{path}", directory.display())));
        self
    }

    /// More lines of the playbook.
    pub fn settings(mut self, yaml: &str) -> Self {
        self.settings.push_str(yaml);
        self.settings.push('\n');
        self
    }

    /// More keys of the playbook's `evidence`, between commas.
    pub fn evidence(mut self, yaml: &str) -> Self {
        self.evidence = format!(", {yaml}");
        self
    }

    /// Lets an ordinary user run walkaway: `nobody`, where the tests run as root.
    pub fn ordinary_user(mut self) -> Self {
        self.user = rustix::process::geteuid().is_root().then(|| user_ids("nobody").expect("a user nobody"));
        if let Some((uid, gid)) = self.user {
            chown(self.home.path(), Some(uid), Some(gid)).unwrap();
            fs::copy(env!("CARGO_BIN_EXE_walkaway"), self.home.join("walkaway")).unwrap();
        }
        self
    }

    /// The directory of the playbook, the restored data and the evidence.
    pub fn home(&self) -> &TempDir {
        &self.home
    }

    /// Who runs walkaway, if it isn't who runs the test.
    pub fn user(&self) -> Option<(u32, u32)> {
        self.user
    }

    /// The cluster at the provider.
    pub fn source(&self) -> &PgCluster {
        self.source.as_ref().expect("a drill with a database")
    }

    /// The normalised dump of the source.
    pub fn source_dump(&self) -> String {
        dump(Command::new("pg_dump").args(["--dbname", &self.source().url(DATABASE)]))
    }

    // -----------------------------------------------------------------------------------------------------------------
    // The run

    /// walkaway with what the playbook refers to in its environment.
    pub fn walkaway(&self, arguments: &[&str]) -> Command {
        let mut command = walkaway();
        if let Some((uid, gid)) = self.user {
            command = Command::new(self.home.join("walkaway"));
            command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).env("HOME", "/nonexistent");
            command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
            command.env("AWS_REGION", REGION).env("AWS_EC2_METADATA_DISABLED", "true").uid(uid).gid(gid);
        }
        command.args(arguments).envs(self.environment.iter().cloned()).current_dir(self.home.path());
        command.stdin(Stdio::null());
        command
    }

    /// Writes the playbook and runs it.
    pub fn run(&self) -> Ran {
        self.run_with(&[])
    }

    /// Runs the playbook with more arguments.
    pub fn run_with(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.prepared(arguments).output().unwrap())
    }

    /// Runs the playbook while a table of the source is locked: the run waits in the middle of its work until the lock
    /// is given back, `hold` after the work on the asset began.
    pub fn run_against_a_lock(&self, table: &str, hold: Duration) -> Ran {
        let mut client = self.source().client(DATABASE);
        let mut lock = client.transaction().unwrap();
        lock.batch_execute("set idle_in_transaction_session_timeout = 0").unwrap();
        lock.batch_execute(&format!("lock table {table} in access exclusive mode")).unwrap();
        let mut command = self.prepared(&[]);
        let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until(|| self.journal().contains("asset_started"));
        thread::sleep(hold);
        assert!(!self.journal().contains("run_done"), "the lock held nothing up");
        lock.rollback().unwrap();
        Ran::of(&running.wait_with_output().unwrap())
    }

    /// The command that runs the playbook, which is written.
    pub fn prepared(&self, arguments: &[&str]) -> Command {
        fs::write(self.home.join("drill.yaml"), self.playbook()).unwrap();
        self.walkaway(&[&["run", "drill.yaml"], arguments].concat())
    }

    fn journal(&self) -> String {
        let bundles = fs::read_dir(self.home.join("evidence")).into_iter().flatten().flatten();
        bundles
            .map(|bundle| fs::read_to_string(bundle.path().join("data/journal.ndjson")).unwrap_or_default())
            .collect()
    }

    fn has_bucket(&self) -> bool {
        self.weed.is_some() || self.elsewhere
    }

    /// The playbook's text.
    pub fn playbook(&self) -> String {
        let mut text = "version: 1\nid: drill\n".to_owned();
        if self.has_bucket() {
            text += "provider: {aws: {regions: [us-east-1], endpoints: {s3: \"env:DRILL_S3\"}}}\n";
        }
        text += &format!("target:\n  path: restored/\n{}", self.target_keys);
        if self.source.is_some() {
            text += &format!("  postgres: {}\n", self.target);
        }
        text += &format!("evidence: {{path: evidence/{}}}\nassets:\n", self.evidence);
        if self.has_bucket() {
            let prefix = self.prefix.iter().map(|prefix| format!(", prefix: {prefix}")).collect::<String>();
            let s3 = &self.s3;
            let asset = &self.asset;
            text += &format!("  - {{id: {FILES}, s3: {{bucket: {BUCKET}{prefix}{s3}}}{asset}}}\n");
        }
        if self.source.is_some() {
            let excluded = &self.exclude_tables;
            text += &format!(
                "  - {{id: {LEDGER}, postgres: {{url: \"env:DRILL_PG\"}}, exclude_tables: {excluded}{}}}\n",
                self.asset_settings
            );
        }
        text + &self.settings
    }
}

/// Waits for something that has to come soon.
pub fn wait_until(mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < TIMEOUT, "waited in vain");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Objects with keys and sizes that are easy to lose, in no order. Beyond what SeaweedFS keeps faithfully, nothing is
/// here: it turns a backslash into a slash, refuses segments over 255 bytes, and drops the body of a key that ends with a
/// slash.
pub fn odd_objects() -> Vec<(String, Vec<u8>)> {
    let long = format!("long/{}", "x".repeat(200));
    let deep = format!("deep/{}leaf", "d/".repeat(40));
    let keys = [
        "plain",
        "plain/beneath/it",
        "beside/b",
        "beside",
        "Readme",
        "README",
        "readme",
        "Dir/x",
        "dir/x",
        "folder/marker/",
        "with space/ leading and trailing ",
        "plus+plus",
        "percent%2Fslash",
        "percent%20space",
        "100%",
        "a&b<c>=d@e,f;g#h?i",
        "it's",
        "say \"hi\"",
        "$(touch x)`id`",
        "*",
        "-rf",
        ".hidden",
        "...",
        "ends with a dot.",
        "tab\there",
        "new\nline",
        "日本語/資料.txt",
        "🚀",
        "caf\u{e9}",
        "cafe\u{301}",
        "zero\u{200b}width",
        "right\u{202e}to-left",
        "CON",
        "empty",
        &long,
        &deep,
    ];
    let mut objects: Vec<_> = keys.iter().map(|key| ((*key).to_owned(), content(key, 50 + key.len()))).collect();
    objects.iter_mut().filter(|(key, _)| key == "empty" || key.ends_with('/')).for_each(|(_, bytes)| bytes.clear());
    objects.push(("canary.txt".to_owned(), format!("text with {OBJECT_CANARY} in it").into_bytes()));
    objects.push(("large.bin".to_owned(), content("large.bin", LARGE_BYTES)));
    objects
}

/// Bytes that follow from a name and never repeat (xorshift, Marsaglia 2003).
pub fn content(name: &str, length: usize) -> Vec<u8> {
    let mut state = name
        .bytes()
        .fold(0x9e37_79b9_7f4a_7c15_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}

// ---------------------------------------------------------------------------------------------------------------------
// After the run

/// What a run said, and the bundle that it left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// `result.json`.
    pub result: Value,
}

impl Ran {
    /// What the output of a run tells.
    pub fn of(output: &Output) -> Self {
        let stdout = text(&output.stdout);
        let stderr = text(&output.stderr);
        let last = stdout.lines().last().unwrap_or_default();
        let bundle =
            serde_json::from_str::<Value>(last).ok().and_then(|line| line["bundle"].as_str().map(PathBuf::from));
        let bundle = bundle.unwrap_or_else(|| PathBuf::from(last));
        let result = fs::read(bundle.join("data/result.json"));
        let result = result.unwrap_or_else(|error| panic!("no result: {error}\n{stdout}\n{stderr}"));
        Ran {
            code: output.status.code().unwrap_or(-1),
            result: serde_json::from_slice(&result).unwrap(),
            stdout,
            stderr,
            bundle,
        }
    }

    /// Fails with the summary and the findings when the run did not end like this.
    #[track_caller]
    pub fn assert_ended(&self, code: i32, verdict: &str) -> &Self {
        let ended = (self.code, self.result["verdict"].as_str().unwrap_or_default());
        assert_eq!(ended, (code, verdict), "{}\n{:#}", self.stderr, self.findings());
        self
    }

    /// An asset's part of the result.
    #[track_caller]
    pub fn asset(&self, id: &str) -> &Value {
        let assets = self.result["assets"].as_array().unwrap();
        assets.iter().find(|asset| asset["id"] == id).unwrap_or_else(|| panic!("no asset {id} in {:#}", self.result))
    }

    /// All findings, those of the run and those of the assets.
    pub fn findings(&self) -> Value {
        let of_assets = self.result["assets"].as_array().unwrap().iter().map(|asset| &asset["findings"]);
        let lists = of_assets.chain([&self.result["findings"]]);
        Value::Array(lists.flat_map(|list| list.as_array().unwrap().clone()).collect())
    }

    /// Whether there is a finding of a kind about a subject that contains the words.
    #[track_caller]
    pub fn assert_found(&self, kind: &str, subject: &str) -> &Self {
        let found = self.findings();
        let fits = |finding: &Value| finding["kind"] == kind && finding["subject"].as_str().unwrap().contains(subject);
        assert!(found.as_array().unwrap().iter().any(fits), "no {kind} about {subject} in {found:#}");
        self
    }

    /// The directory of an asset's restored data.
    pub fn restored(&self, asset: &str) -> PathBuf {
        Path::new(self.result["restored_to"].as_str().unwrap()).join(self.asset(asset)["directory"].as_str().unwrap())
    }

    /// A file of the bundle.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.bundle.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The bucket's lines of `objects.ndjson`.
    pub fn receipts(&self) -> Vec<Value> {
        let lines = self.read(&format!("data/assets/{FILES}/objects.ndjson"));
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The line about one key.
    #[track_caller]
    pub fn receipt(&self, key: &str) -> Value {
        let found = self.receipts().into_iter().find(|receipt| receipt["key"] == key);
        found.unwrap_or_else(|| panic!("no receipt of {key:?}"))
    }

    /// The bucket's receipts: where the manifest says that each key lies.
    pub fn places(&self) -> BTreeMap<String, PathBuf> {
        let lines = self.read(&format!("data/assets/{FILES}/objects.ndjson"));
        let receipts = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let root = self.restored(FILES);
        let place = |receipt: Value| {
            let part = |name: &str| receipt[name].as_str().unwrap().to_owned();
            (part("key"), root.join(part("path")))
        };
        receipts.map(place).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Runs a stock tool; its stdout, or a panic with what it complained of.
#[track_caller]
pub fn stock(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stdout = text(&output.stdout);
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// Runs a Python program of the test with the stand-ins' interpreter.
#[track_caller]
pub fn python(program: &str, arguments: &[&Path]) -> String {
    stock(Command::new(standin("python")).args(["-W", "ignore", "-c", program]).args(arguments))
}

/// A dump of schema and data without what differs between any two dumps: comments, settings, and the order of the rows.
#[track_caller]
pub fn dump(pg_dump: &mut Command) -> String {
    // The settings of the databases are carried as well, and would change how either is written down.
    pg_dump.env("PGOPTIONS", "-c timezone=UTC -c bytea_output=hex -c xmlbinary=base64 -c quote_all_identifiers=off");
    normalised(&stock(pg_dump.args(["--format=plain", "--encoding=UTF8", "--no-owner", "--no-privileges"])))
}

/// A plain dump without what differs between any two dumps.
pub fn normalised(dumped: &str) -> String {
    let mut kept = Vec::new();
    let mut rows = Vec::new();
    let mut in_copy = false;
    for line in dumped.lines() {
        match (in_copy, line) {
            (true, r"\.") => {
                rows.sort_unstable();
                kept.append(&mut rows);
                in_copy = false;
            }
            (true, row) => rows.push(row),
            (false, line) if is_about_the_dump(line) => {}
            (false, line) => {
                in_copy = line.starts_with("COPY ") && line.ends_with("FROM stdin;");
                kept.push(line);
            }
        }
    }
    kept.join("\n")
}

/// Whether a line of a plain dump is about the dump, and not about what was dumped.
pub fn is_about_the_dump(line: &str) -> bool {
    let settings = ["--", "\\restrict ", "\\unrestrict ", "SET ", "SELECT pg_catalog.set_config("];
    line.is_empty() || settings.iter().any(|start| line.starts_with(start))
}

// ---------------------------------------------------------------------------------------------------------------------
// The managed cluster, by the commands of VERIFY.md

/// The managed cluster of a finished run, started again by hand.
pub struct Managed {
    stop: String,
    socket: PathBuf,
}

impl Managed {
    /// Starts it with the command of `VERIFY.md`.
    pub fn start(ran: &Ran) -> Self {
        let (start, stop) = start_and_stop(ran);
        Self::started(start, stop)
    }

    fn started(start: String, stop: String) -> Self {
        let socket = start.split_once("-o '-k ").and_then(|(_, rest)| rest.split_once(' ')).expect("a socket").0;
        stock(Command::new("bash").args(["-c", &start]).current_dir("/"));
        Managed { stop, socket: socket.into() }
    }

    /// The same where the programs are not on the PATH.
    pub fn start_with(ran: &Ran, programs: &Path) -> Self {
        let path = format!("PATH={}:$PATH; ", programs.display());
        let (start, stop) = start_and_stop(ran);
        Self::started(path.clone() + &start, path + &stop)
    }

    /// A connection to the restored database.
    pub fn client(&self) -> Client {
        self.client_as("walkaway_restore")
    }

    /// The same as the cluster's superuser.
    pub fn admin(&self) -> Client {
        self.client_as("walkaway")
    }

    fn client_as(&self, user: &str) -> Client {
        let mut config = postgres::Config::new();
        config.host_path(&self.socket).user(user).dbname(LEDGER).connect(NoTls).unwrap()
    }

    /// The normalised dump of the restored database.
    pub fn dump(&self) -> String {
        dump(&mut self.pg_dump())
    }

    /// `pg_dump` of the restored database.
    pub fn pg_dump(&self) -> Command {
        let mut command = Command::new("pg_dump");
        command.arg("--host").arg(&self.socket).args(["--username=walkaway_restore", LEDGER]);
        command
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        let _ = Command::new("bash").args(["-c", &self.stop]).current_dir("/").status();
    }
}

/// The two commands of `VERIFY.md` that start and stop the managed cluster.
pub fn start_and_stop(ran: &Ran) -> (String, String) {
    let document = ran.read("VERIFY.md");
    let command = |end: &str| {
        let mut lines = document.lines().filter(|line| line.contains("pg_ctl") && line.contains(end));
        lines.next().unwrap_or_else(|| panic!("VERIFY.md has no command that has{end}")).to_owned()
    };
    (command("' start"), command(" stop && rmdir "))
}
