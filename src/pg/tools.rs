//! The programs that come with PostgreSQL: found on the PATH, else in the distribution's directories, newest first.

use std::{
    env, fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use super::{
    Address, PgError,
    liveness::{TICK, Waiting},
    sqlstate::Concern,
};
use crate::clock::Stopwatch;

/// The interval of checks for a program's end.
const TICK_MIN: Duration = Duration::from_millis(10);

/// Where Debian and Ubuntu put each version's programs.
const VERSIONED: &str = "/usr/lib/postgresql";

/// A version of PostgreSQL from 10 on: 15.20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 15 of 15.20.
    pub major: u32,
    /// 20 of 15.20.
    pub minor: u32,
}

impl Version {
    /// Reads `15.20`, `15.20 (Debian …)` and `18beta2`, whose minor version is 0.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
        let minor = text.split_once('.').and_then(|(_, minor)| number(minor)).unwrap_or_default();
        Some(Version { major: number(text)?, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// One installation: a directory with initdb, pg_ctl, pg_dump, pg_restore, and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    directory: PathBuf,
    version: Version,
}

impl Tools {
    /// The newest installation that has both pg_dump and pg_restore.
    pub fn client() -> Result<Self, PgError> {
        Self::find(&["pg_dump", "pg_restore"])
    }

    /// The newest installation that can also create a cluster.
    pub fn server() -> Result<Self, PgError> {
        Self::find(&["initdb", "pg_ctl", "postgres", "pg_dump", "pg_restore"])
    }

    fn find(programs: &'static [&'static str]) -> Result<Self, PgError> {
        let complete = |directory: &PathBuf| programs.iter().all(|program| directory.join(program).is_file());
        candidates()
            .into_iter()
            .filter(complete)
            .filter_map(|directory| version_of(&directory).map(|version| Tools { directory, version }))
            .reduce(|best, next| if next.version > best.version { next } else { best })
            .ok_or(PgError::NoProgram { program: programs[0] })
    }

    /// The major version, 15 for 15.18.
    pub fn major(&self) -> u32 {
        self.version.major
    }

    /// The version with its minor part.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The directory of the programs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A program of this installation, with no environment but the PATH and the server's address.
    pub fn command(&self, program: &'static str, address: Option<&Address>) -> Result<Command, PgError> {
        let mut command = Command::new(self.directory.join(program));
        command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
        command.envs(address.map(Address::environment).transpose()?.unwrap_or_default());
        command.stdin(Stdio::null());
        Ok(command)
    }
}

/// Directories on the PATH, then the distribution's.
fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let versioned = fs::read_dir(VERSIONED).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    env::split_paths(&path).chain(versioned).collect()
}

/// Asks `pg_dump --version`: "pg_dump (PostgreSQL) 15.18 (Debian …)".
fn version_of(directory: &Path) -> Option<Version> {
    let output = Command::new(directory.join("pg_dump")).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Version::parse(text.split(' ').nth(2)?)
}

/// Runs a program of this machine to its end; its error output is the reason if it fails.
pub fn run(program: &'static str, mut command: Command) -> Result<(), PgError> {
    let output = command.output().map_err(|error| PgError::Program { program, reason: error.to_string() })?;
    judged(program, &output.status, &output.stderr)
}

/// The same for one that talks to a server; it is killed when the wait for that ends.
pub fn run_at(program: &'static str, mut command: Command, address: &Address) -> Result<(), PgError> {
    let failed = |error: io::Error| PgError::Program { program, reason: error.to_string() };
    command.arg("--dbname").arg(Address::connection_string());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let mut stderr = child.stderr.take();
    std::thread::scope(|scope| {
        // A program whose error output is not read would block.
        let errors = scope.spawn(move || {
            let mut errors = Vec::new();
            let read = stderr.as_mut().map_or(Ok(0), |stderr| stderr.read_to_end(&mut errors));
            read.map(|_| errors)
        });
        let ended = wait(program, &mut child, &address.waiting());
        let errors = errors.join().map(Result::unwrap_or_default).unwrap_or_default();
        judged(program, &ended?, &errors)
    })
}

fn wait(program: &'static str, child: &mut Child, server: &Waiting) -> Result<ExitStatus, PgError> {
    let failed = |error: io::Error| PgError::Program { program, reason: error.to_string() };
    let waited = Stopwatch::start();
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status);
        }
        if let Some(why) = server.given_up(waited.elapsed()) {
            let killed = child.kill().and_then(|()| child.wait());
            killed.map_err(failed)?;
            let what = program.to_owned();
            let reason = why.to_string();
            return Err(PgError::Statement { what, reason, code: None, concern: Concern::Session });
        }
        std::thread::sleep(TICK.min(waited.elapsed().max(TICK_MIN)));
    }
}

fn judged(program: &'static str, status: &ExitStatus, errors: &[u8]) -> Result<(), PgError> {
    if status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(errors);
    let reason = errors.lines().filter(|line| !line.trim().is_empty()).take(6).collect::<Vec<_>>().join("; ");
    Err(PgError::Program { program, reason: if reason.is_empty() { status.to_string() } else { reason } })
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_read_as_programs_and_servers_spell_them() {
        let read = |text: &str| Version::parse(text).map(|version| version.to_string());
        for (text, version) in
            [("15.20 (Debian 15.20-0+deb12u1)", "15.20"), ("15.9\n", "15.9"), ("18beta2", "18.0"), ("16", "16.0")]
        {
            assert_eq!(read(text).as_deref(), Some(version));
        }
        assert_eq!(read("PostgreSQL"), None);
        assert!(Version::parse("15.9") < Version::parse("15.20"));
    }
}
