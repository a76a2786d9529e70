//! What disturbs a run: a gate in front of a server that can be shut, stalled or slowed; signals at a chosen moment; and
//! the drill that is disturbed, with a look at everything it left behind.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{TempDir, walkaway};

/// No test waits longer for anything.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long a server may take from removing its postmaster.pid to its end.
const GRACE: Duration = Duration::from_secs(5);

// ---------------------------------------------------------------------------------------------------------------------
// The gate

/// Passes TCP connections on to a server, as long and as fast as the test wants.
pub struct Gate {
    port: u16,
    state: Arc<GateState>,
}

struct GateState {
    upstream: u16,
    open: AtomicBool,
    ended: AtomicBool,
    /// Bytes that may still pass from the server to the client.
    allowance: AtomicI64,
    stalled: AtomicBool,
    bytes_per_second: AtomicU64,
    /// Connections that were made, and how many of the first ones are cut off.
    made: AtomicU64,
    cut_off: AtomicU64,
    connections: Mutex<Vec<TcpStream>>,
}

impl Gate {
    /// A gate in front of the server at `url`, open.
    pub fn before(url: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(GateState {
            upstream: port_of(url),
            open: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            allowance: AtomicI64::new(i64::MAX),
            stalled: AtomicBool::new(false),
            bytes_per_second: AtomicU64::new(u64::MAX),
            made: AtomicU64::new(0),
            cut_off: AtomicU64::new(0),
            connections: Mutex::default(),
        });
        let accepting = Arc::clone(&state);
        thread::spawn(move || accepting.accept(&listener));
        Gate { port, state }
    }

    /// The URL that leads through the gate.
    pub fn through(&self, url: &str) -> String {
        url.replace(&format!("127.0.0.1:{}", port_of(url)), &format!("127.0.0.1:{}", self.port))
    }

    /// Lets so many more bytes pass from the server, and then none until [`Gate::open`].
    pub fn stall_after(&self, bytes: i64) {
        self.state.stalled.store(false, Relaxed);
        self.state.allowance.store(bytes, Relaxed);
    }

    /// Waits until somebody waits at the stalled gate.
    pub fn wait_for_stall(&self) {
        wait_for("a stall", || self.state.stalled.load(Relaxed).then_some(()));
    }

    /// Slows every connection down.
    pub fn slow_down(&self, bytes_per_second: u64) {
        self.state.bytes_per_second.store(bytes_per_second, Relaxed);
    }

    /// From now on nothing comes through the connections that are there, whatever becomes of their servers' ends, and they
    /// stay open; new ones are served.
    pub fn cut_off(&self) {
        self.state.cut_off.store(self.state.made.load(Relaxed), Relaxed);
    }

    /// Ends every connection, and every new one at once: the provider is gone.
    pub fn shut(&self) {
        self.state.open.store(false, Relaxed);
        self.state.cut();
    }

    /// Everything passes again.
    pub fn open(&self) {
        self.state.allowance.store(i64::MAX, Relaxed);
        self.state.bytes_per_second.store(u64::MAX, Relaxed);
        self.state.open.store(true, Relaxed);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.state.ended.store(true, Relaxed);
        self.shut();
        // Wakes the accepting thread, so that it sees the end.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl GateState {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().flatten() {
            if self.ended.load(Relaxed) {
                return;
            }
            if self.open.load(Relaxed) {
                let _ = Arc::clone(&self).connect(client);
            }
        }
    }

    fn connect(self: Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.upstream))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        self.connections.lock().unwrap().extend([client.try_clone()?, server.try_clone()?]);
        let from_client = client.try_clone()?;
        let to_client = client;
        let to_server = server.try_clone()?;
        let number = self.made.fetch_add(1, Relaxed);
        thread::spawn(move || pass(from_client, to_server, |_| {}));
        thread::spawn(move || {
            pass(server, to_client, |bytes| {
                self.keep_cut_off(number);
                if bytes > 0 {
                    self.admit(bytes);
                }
            });
        });
        Ok(())
    }

    /// Returns when the connection of this number is not cut off.
    fn keep_cut_off(&self, number: u64) {
        while number < self.cut_off.load(Relaxed) && self.open.load(Relaxed) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns when that many bytes may pass.
    fn admit(&self, bytes: usize) {
        let rate = self.bytes_per_second.load(Relaxed);
        if rate != u64::MAX {
            thread::sleep(Duration::from_secs_f64(bytes as f64 / rate as f64));
        }
        while self.allowance.load(Relaxed) <= 0 && self.open.load(Relaxed) {
            self.stalled.store(true, Relaxed);
            thread::sleep(Duration::from_millis(2));
        }
        if self.allowance.load(Relaxed) != i64::MAX {
            self.allowance.fetch_sub(bytes as i64, Relaxed);
        }
    }

    fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, admit: impl Fn(usize)) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        admit(read);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    admit(0);
    let _ = to.shutdown(Shutdown::Write);
}

fn port_of(url: &str) -> u16 {
    let (_, rest) = url.split_once("127.0.0.1:").unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

/// Polls until there is something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < TIMEOUT, "waited in vain for {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The drill

/// A playbook in a directory of its own, and what running it needs.
pub struct Drill {
    home: TempDir,
    env: Vec<(String, String)>,
}

/// How a command of walkaway ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Ended {
    /// Fails unless it ended with this exit code; a panic is never one of the ways to end.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The one line on stdout, a path.
    #[track_caller]
    pub fn path(&self) -> PathBuf {
        assert_eq!(self.stdout.lines().count(), 1, "stdout: {}", self.stdout);
        PathBuf::from(self.stdout.trim_end())
    }
}

impl Drill {
    /// Writes the playbook. Everything that a run makes lies below [`Drill::path`] then, if the playbook says so.
    pub fn new(playbook: &str) -> Self {
        let home = TempDir::new();
        fs::write(home.join("playbook.yaml"), playbook).unwrap();
        Drill { home, env: Vec::new() }
    }

    /// Sets a variable for every command.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// The directory of the playbook.
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// A path below it.
    pub fn join(&self, below: &str) -> PathBuf {
        self.home.join(below)
    }

    /// A walkaway with the drill's environment, started in a directory that is not the playbook's.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = walkaway();
        command.envs(self.env.iter().cloned()).current_dir("/usr").args(args).stdin(Stdio::null());
        command
    }

    /// Makes a walkaway that does the same, and is not the same executable.
    pub fn other_version(&self) -> PathBuf {
        let other = self.join("walkaway-of-another-version");
        fs::copy(walkaway().get_program(), &other).unwrap();
        File::options().append(true).open(&other).unwrap().write_all(b"another").unwrap();
        other
    }

    /// Runs a command of another executable to its end.
    pub fn end_by(&self, program: &Path, args: &[&str]) -> Ended {
        let ours = self.command(args);
        let mut command = Command::new(program);
        command.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir("/usr").args(args).stdin(Stdio::null()).output().unwrap().into()
    }

    /// Runs a command to its end.
    pub fn end(&self, args: &[&str]) -> Ended {
        self.command(args).output().unwrap().into()
    }

    /// Runs the playbook to the end.
    pub fn run(&self) -> Ended {
        self.end(&["run", &text(&self.join("playbook.yaml"))])
    }

    /// Starts the playbook and returns while it runs.
    pub fn start(&self) -> Running {
        self.spawn(&["run", &text(&self.join("playbook.yaml"))])
    }

    /// Resumes the only run.
    pub fn resume(&self) -> Ended {
        self.end(&["resume", &text(&self.bundle())])
    }

    /// Starts to resume the only run and returns while it works.
    pub fn start_resume(&self) -> Running {
        self.spawn(&["resume", &text(&self.bundle())])
    }

    fn spawn(&self, args: &[&str]) -> Running {
        let stdout = self.join("stdout");
        let stderr = self.join("stderr");
        let mut command = self.command(args);
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        Running { child: command.spawn().unwrap(), stdout, stderr, evidence: self.join("evidence") }
    }

    /// The directory of the only run.
    #[track_caller]
    pub fn bundle(&self) -> PathBuf {
        let mut runs = self.runs();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    /// The directories of all runs.
    pub fn runs(&self) -> Vec<PathBuf> {
        entries(&self.join("evidence"))
    }

    /// The directory of the restored data of the only run.
    pub fn restored(&self) -> PathBuf {
        self.join("restored").join(self.bundle().file_name().unwrap())
    }

    /// The journal's lines of the only run.
    pub fn journal(&self) -> Vec<Value> {
        journal(&self.bundle()).unwrap()
    }

    /// The result of the only run.
    pub fn result(&self) -> Value {
        serde_json::from_slice(&fs::read(self.bundle().join("data/result.json")).unwrap()).unwrap()
    }

    /// Checks the bundle, and the restored data against it.
    pub fn verify(&self) -> Ended {
        let ended = self.end(&["verify", "--restored", &text(&self.bundle())]);
        if ended.code == Some(0) {
            super::independent::assert_agrees(&self.bundle(), true, "after a run");
        }
        ended
    }

    /// The managed cluster's process and socket directory, as long as it runs.
    pub fn postmaster(&self) -> Option<Postmaster> {
        let file = fs::read_to_string(self.restored().join(".postgres/data/postmaster.pid")).ok()?;
        let mut lines = file.lines();
        let pid = Pid::from_raw(lines.next()?.parse().ok().filter(|pid| *pid > 0)?)?;
        let socket = lines.nth(3).filter(|line| !line.is_empty()).map(PathBuf::from);
        Some(Postmaster { pid, socket })
    }

    /// Removes everything that was run, so that the playbook can be run anew.
    pub fn forget(&self) {
        for directory in ["evidence", "restored"] {
            let _ = fs::remove_dir_all(self.join(directory));
        }
    }
}

/// A managed PostgreSQL as its postmaster.pid names it.
#[derive(Clone, Debug)]
pub struct Postmaster {
    pid: Pid,
    socket: Option<PathBuf>,
}

impl Postmaster {
    /// Whether the process is there; one that has ended and was not waited for is not (proc(5), state Z).
    pub fn runs(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid.as_raw_nonzero())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    /// Fails if the process or its socket directory is still there. A server removes its postmaster.pid, which `pg_ctl`
    /// waits for, a moment before it ends.
    #[track_caller]
    pub fn assert_gone(&self, when: &str) {
        let started = Instant::now();
        while self.runs() && started.elapsed() < GRACE {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!self.runs(), "{when}: the managed PostgreSQL still runs: {self:?}");
        let socket = self.socket.as_deref().filter(|socket| socket.exists());
        assert_eq!(socket, None, "{when}: the socket directory was left behind");
    }

    /// Ends what a failed test would leave running.
    pub fn end(&self) {
        let _ = kill_process(self.pid, Signal::QUIT);
    }
}

impl Drop for Drill {
    fn drop(&mut self) {
        // A test that failed must not leave a server behind.
        if self.runs().len() == 1
            && let Some(postmaster) = self.postmaster()
        {
            postmaster.end();
        }
    }
}

/// A walkaway at work.
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    evidence: PathBuf,
}

/// A moment of a run, as its directory shows it.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// This event is in the journal for the n-th time.
    Event(&'static str, usize),
    /// This file of the bundle is there.
    File(&'static str),
    /// This file of the restored data is there.
    Restored(&'static str),
}

impl Moment {
    fn has_come(self, bundle: &Path) -> bool {
        match self {
            Moment::File(name) => bundle.join(name).exists(),
            Moment::Restored(name) => {
                let run = bundle.file_name().unwrap();
                bundle.join("../../restored").join(run).join(name).exists()
            }
            Moment::Event(name, times) => {
                let events = fs::read_to_string(bundle.join("data/journal.ndjson")).unwrap_or_default();
                events.matches(&format!("\"event\":\"{name}\"")).count() >= times
            }
        }
    }
}

impl Running {
    /// Waits for the moment, or for the end of the process; tells whether it was the first.
    pub fn wait_for(&mut self, moment: Moment) -> bool {
        let Running { child, evidence, .. } = self;
        wait_for(&format!("{moment:?}"), || {
            if entries(evidence).last().is_some_and(|bundle| moment.has_come(bundle)) {
                return Some(true);
            }
            child.try_wait().unwrap().map(|_| false)
        })
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let child = &mut self.child;
        let status = wait_for("the end of walkaway", || child.try_wait().unwrap());
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Ended { code: status.code(), stdout: read(&self.stdout), stderr: read(&self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What lies there

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}

/// What lies directly in a directory, sorted; nothing if there is none.
pub fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// Every file below a directory with its SHA-256; names are relative.
pub fn files(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for path in entries(&directory) {
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name, sha256(&fs::read(&path).unwrap_or_default()));
            }
        }
    }
    found
}

/// Lower-case hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lines of a run's journal, if its chain is unbroken; computed here, without walkaway.
pub fn journal(bundle: &Path) -> Result<Vec<Value>, String> {
    let text = fs::read_to_string(bundle.join("data/journal.ndjson")).map_err(|error| error.to_string())?;
    let mut prev = "0".repeat(64);
    let mut lines = Vec::new();
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        if entry["prev"] != prev.as_str() || entry["seq"] != lines.len() + 1 {
            return Err(format!("the chain breaks at {line}"));
        }
        prev = sha256(line.as_bytes());
        lines.push(entry);
    }
    Ok(lines)
}

/// How often an event is in a journal.
pub fn count(journal: &[Value], event: &str) -> usize {
    journal.iter().filter(|line| line["event"] == event).count()
}

/// Bytes that look random, do not compress, and are the same for the same seed.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut made: Vec<u8> = std::iter::repeat_with(&mut next).take(length.div_ceil(8)).flatten().collect();
    made.truncate(length);
    made
}
