//! Places, ports and processes of the machine that the tests run on.

use std::{
    env,
    fs::{self, File, Permissions},
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Child,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock, statvfs},
    process::geteuid,
};

/// How long a server may take to answer for the first time.
pub(super) const START_MAX: Duration = Duration::from_secs(60);
/// How often a server is started again because a port was taken between choosing and using it.
pub(super) const ATTEMPTS_MAX: usize = 5;
/// Bytes that have to be free in memory before servers keep their data there.
const FREE_MEMORY_MIN: u64 = 6 << 30;
const POLL: Duration = Duration::from_millis(20);

/// A temporary directory that every user may enter: as root, PostgreSQL runs as another user.
pub struct TempDir(tempfile::TempDir);

impl TempDir {
    /// An empty directory, removed with all that is in it when the value is dropped.
    pub fn new() -> Self {
        Self::below(&open_parent())
    }

    /// For the data of a server that stands in for the provider: in memory where there is plenty, because the thousand
    /// small files of each would make those of the tests slow to create.
    pub(super) fn of_a_server() -> Self {
        let memory = Path::new("/dev/shm");
        let free = statvfs(memory).map_or(0, |of| of.f_bavail.saturating_mul(of.f_frsize));
        match free >= FREE_MEMORY_MIN {
            true => Self::below(memory),
            false => Self::new(),
        }
    }

    fn below(parent: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("walkaway-test-").tempdir_in(parent).unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        TempDir(directory)
    }

    /// Where it is; absolute.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path below it, that need not exist.
    pub fn join(&self, below: impl AsRef<Path>) -> PathBuf {
        self.path().join(below)
    }
}

fn open_parent() -> PathBuf {
    let asked = env::temp_dir();
    let open = asked.ancestors().all(|each| fs::metadata(each).is_ok_and(|found| found.mode() & 0o001 != 0));
    if open { asked } else { PathBuf::from("/tmp") }
}

/// A different random port at each call, free together with the one `also` above it. Below 32768, where the ports of
/// outgoing connections begin. It stays this process's own until that ends: no other test takes it between the choice
/// and its use, nor after the server is stopped to be started again.
pub fn free_port(also: u16) -> u16 {
    static RESERVED: Mutex<Vec<File>> = Mutex::new(Vec::new());
    loop {
        let random = RandomState::new().hash_one(0);
        let port = 12_000 + u16::try_from(random % 10_000).unwrap();
        if let Some(reservation) = reserve(port)
            && is_free(port)
            && is_free(port + also)
        {
            RESERVED.lock().unwrap().push(reservation);
            return port;
        }
    }
}

/// A lock on the port's name among all tests of this machine; nothing when another process, or this one, has it.
fn reserve(port: u16) -> Option<File> {
    let directory = env::temp_dir().join(format!("walkaway-test-ports-{}", geteuid().as_raw()));
    fs::create_dir_all(&directory).unwrap();
    let file = File::options().create(true).append(true).open(directory.join(port.to_string())).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Waits until `ready`, the end of the process, or the end of patience; tells whether it was the first.
pub(super) fn wait_until(process: &mut Child, mut ready: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < START_MAX && process.try_wait().unwrap().is_none() {
        if ready() {
            return true;
        }
        thread::sleep(POLL);
    }
    false
}

/// Uid and gid of `name` in /etc/passwd.
pub fn user_ids(name: &str) -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        found.then_some((uid, gid))
    })
}
