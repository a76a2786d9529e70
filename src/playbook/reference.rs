//! [`Reference`]: a value from outside the playbook, as `env:NAME` or `file:path`, and the [`Secret`] it resolves to.
//!
//! A playbook holds the reference, never the value: it is looked up once while the playbook is checked, so that a
//! missing one is found before the transfer, and again on each connection.
//! Leaves out what the value means; a connection string is checked by the client that uses it.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Serialize, Serializer};
use thiserror::Error;

use super::path::path_in;
use super::problem::{Wrong, shown};

/// The largest file of a reference, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The targets of references: environment variables and files. Tests have their own.
pub trait Environment {
    /// The value of an environment variable, `None` when it is not set.
    fn variable(&self, name: &str) -> Option<std::ffi::OsString>;

    /// The bytes of a file, which may be cut off beyond 64 KiB.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The environment of this process and the files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<std::ffi::OsString> {
        std::env::var_os(name)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // Reading a pipe would block, and it would be empty the second time.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        // One byte more than allowed, to detect files that are too large.
        file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// `env:NAME` or `file:path`. Prints and serializes as it was written, never as its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    written: String,
    lookup: Lookup,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Lookup {
    Variable(String),
    File(PathBuf),
}

impl Reference {
    /// Reads a reference; a relative `file:` path is taken from `folder`.
    ///
    /// # Errors
    /// When the text is neither `env:NAME` nor `file:path`. The error does not repeat the text.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Wrong> {
        let lookup = match text.split_once(':') {
            Some(("env", name)) if is_variable_name(name) => Lookup::Variable(name.to_owned()),
            Some(("env", _)) => return Err(bad_name()),
            Some(("file", path)) => Lookup::File(path_in(folder, path)?),
            _ => return Err(not_a_reference()),
        };
        Ok(Self { written: text.to_owned(), lookup })
    }

    /// Looks the value up.
    ///
    /// # Errors
    /// When there is no usable value.
    pub fn resolve(&self, environment: &dyn Environment) -> Result<Secret, Unresolved> {
        let text = match &self.lookup {
            Lookup::Variable(name) => variable(name, environment)?,
            Lookup::File(path) => file(path, environment)?,
        };
        if text.trim().is_empty() {
            return Err(Unresolved::Empty(self.written.clone()));
        }
        Ok(Secret(text))
    }
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn bad_name() -> Wrong {
    Wrong::new("names no environment variable after `env:`")
        .hint("letters, digits and `_`, as in env:CRM_URL; nothing else in the value")
}

// Anything else here may be a secret, so it is not repeated.
fn not_a_reference() -> Wrong {
    Wrong::new("is not a reference").hint("put the value elsewhere and write env:NAME or file:path")
}

fn variable(name: &str, environment: &dyn Environment) -> Result<String, Unresolved> {
    let value = environment.variable(name);
    let value = value.ok_or_else(|| Unresolved::Unset(name.to_owned()))?;
    value.into_string().map_err(|_| Unresolved::NotText(format!("env:{name}")))
}

fn file(path: &Path, environment: &dyn Environment) -> Result<String, Unresolved> {
    let name = || path.display().to_string();
    let bytes = environment.file(path).map_err(|source| Unresolved::Unreadable { path: name(), source })?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(Unresolved::TooLarge(name()));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| Unresolved::NotText(name()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

/// Why a reference has no usable value. Never contains the value.
#[derive(Debug, Error)]
pub enum Unresolved {
    /// The environment variable is not set.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The value exists but is empty.
    #[error("{} leads to an empty value", shown(.0))]
    Empty(String),
    /// The file cannot be read.
    #[error("the file {} cannot be read: {source}", shown(.path))]
    Unreadable {
        /// The file, with the playbook's folder.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// The value is not UTF-8 text.
    #[error("{} does not hold UTF-8 text", shown(.0))]
    NotText(String),
    /// The file is larger than 64 KiB.
    #[error("the file {} is larger than 64 KiB", shown(.0))]
    TooLarge(String),
}

impl Unresolved {
    /// The hint.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unset(_) => "set it in the environment that walkaway runs in",
            Self::Empty(_) => "give it a value",
            Self::Unreadable { .. } => {
                "create the file, readable for you alone; a relative path starts at the playbook's folder"
            }
            Self::NotText(_) | Self::TooLarge(_) => "it should hold the value and nothing else",
        }
    }
}

/// A value that is never shown: no `Serialize`, and printing it reveals nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself, for the client that connects with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(withheld)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(withheld)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::Fake;
    use super::*;

    fn resolve(text: &str) -> Result<Secret, Unresolved> {
        let fake = Fake::default()
            .variable("CRM_URL", "postgres://db/crm")
            .variable("BLANK", " ")
            .file("/books/crm.url", b"postgres://db/x\n")
            .file("/books/bytes", b"\xff\xfe");
        Reference::parse(text, Path::new("/books")).unwrap().resolve(&fake)
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(ProcessEnvironment.file(&pipe).is_err());
        assert!(ProcessEnvironment.file(dir.path()).is_err());
        std::fs::write(dir.path().join("file"), "x").unwrap();
        assert_eq!(ProcessEnvironment.file(&dir.path().join("file")).unwrap(), b"x");
    }

    #[test]
    fn references_lead_to_variables_and_files() {
        assert_eq!(resolve("env:CRM_URL").unwrap().expose(), "postgres://db/crm");
        assert_eq!(resolve("file:crm.url").unwrap().expose(), "postgres://db/x");
        assert_eq!(resolve("file:/books/crm.url").unwrap().expose(), "postgres://db/x");
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        assert!(matches!(resolve("env:GONE"), Err(Unresolved::Unset(name)) if name == "GONE"));
        assert!(matches!(resolve("env:BLANK"), Err(Unresolved::Empty(_))));
        assert!(matches!(resolve("file:gone"), Err(Unresolved::Unreadable { .. })));
        assert!(matches!(resolve("file:bytes"), Err(Unresolved::NotText(_))));
    }

    #[test]
    fn only_whole_references_are_accepted() {
        for text in ["", "CRM_URL", "env:", "env:A B", "env:1", "file:", "postgres://h/db", "file:~/x"] {
            assert!(Reference::parse(text, Path::new("/")).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = resolve("env:CRM_URL").unwrap();
        assert!(!format!("{secret} {secret:?}").contains("postgres"));
    }
}
