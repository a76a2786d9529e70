//! The playbook: from YAML text to a [`Playbook`] that can only be valid, or to every problem with it at once.
//!
//! ```text
//! text ─ yaml ─▶ nodes with places ─ screen ─▶ no secrets ─ decode ─▶ document ─ validate ─▶ Playbook
//! ```
//!
//! Each step records its problems and continues with the rest; only text that is not YAML ends early.
//! Leaves out what a run does with a playbook, the clock, and all access to the provider or the target. The only thing
//! that is checked is whether references (`env:NAME`, `file:path`) resolve to a value; the value is not kept.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

mod checked;
mod decode;
mod document;
mod expect;
#[cfg(test)]
mod fake;
mod model;
mod names;
mod path;
mod problem;
mod quantity;
mod rds;
mod reference;
mod scalar;
mod schema;
mod screen;
mod selector;
mod suggest;
#[cfg(test)]
mod tests;
mod tree;
mod validate;
mod yaml;

// What tests and benches use.
pub use model::{Asset, Playbook, TargetSpec};
pub use problem::{Invalid, Problem, Wrong};
pub use quantity::{Age, Ceiling, Floor, Period, Share, Size};
pub use reference::{Environment, Unresolved};

pub(crate) use document::{
    DatabaseCheck, DocumentKind, Layout, NonCloud, Postcondition, Posture, Precondition, Previous, ReviewNote, Sizes,
    SnapshotChoice, Versions,
};
pub(crate) use model::{
    AccountSpec, AssetKind, Attest, AwsSpec, BucketSpec, Contract, DatabaseSpec, DocumentPlace, EVERY_DEFAULT,
    Exclusion, ExitLimit, ExitPlan, PostgresTarget, RolesSpec, S3TargetSpec, SampleSpec, Selection, Server,
    SqlCheckSpec, Waiver,
};
pub(crate) use names::{AssetId, BucketName, Line};
pub(crate) use rds::{
    ExportFrom, ExportSpec, ExportedSnapshot, NewExport, RdsMethodSpec, RdsPlace, RdsSpec, SnapshotSpec,
};
pub(crate) use reference::{ProcessEnvironment, Reference};
pub(crate) use schema::schema;
pub(crate) use screen::secret_in;
pub(crate) use selector::SelectorKind;

use checked::Checked;
use document::Document;
use problem::{Place, Problems};
use validate::Validator;

/// Where a playbook's text comes from. Kept with a run, it lets the text be parsed again with the same meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file as the user named it, for messages.
    pub name: String,
    /// The folder that relative paths start at.
    pub folder: PathBuf,
}

impl Origin {
    /// The origin of a file: its name as given, its folder as an absolute path.
    ///
    /// # Errors
    /// When the path is empty or there is no current folder.
    pub fn of(path: &Path) -> io::Result<Self> {
        let absolute = std::path::absolute(path)?;
        Ok(Self { name: path.display().to_string(), folder: absolute.parent().unwrap_or(&absolute).to_owned() })
    }
}

/// A playbook and the file it was read from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The parsed playbook.
    pub playbook: Playbook,
    /// The file's text, byte for byte.
    pub text: String,
    /// What [`Playbook::parse`] needs besides the text to get the same playbook again.
    pub origin: Origin,
}

impl Playbook {
    /// Reads a playbook from a file, with the references of this process.
    ///
    /// # Errors
    /// [`Invalid`] with every problem, also when the file cannot be read.
    pub fn read(path: &Path) -> Result<Loaded, Invalid> {
        let unreadable = |problem| invalid(path.display().to_string(), vec![problem]);
        let origin = Origin::of(path).map_err(|error| unreadable(cannot_read(&error)))?;
        let text = read_text(path).map_err(unreadable)?;
        let playbook = Self::parse(&text, &origin, &ProcessEnvironment)?;
        Ok(Loaded { playbook, text, origin })
    }

    /// Parses a playbook from text. References are looked up in `environment`, and only there.
    ///
    /// # Errors
    /// [`Invalid`] with every problem that was found, in the order of the file.
    pub fn parse(text: &str, origin: &Origin, environment: &dyn Environment) -> Result<Self, Invalid> {
        let problems = Problems::default();
        let playbook = understand(text, &origin.folder, environment, &problems);
        match (playbook, problems.into_sorted()) {
            (Some(playbook), problems) if problems.is_empty() => Ok(playbook),
            (_, problems) => Err(invalid(origin.name.clone(), problems)),
        }
    }
}

fn understand(text: &str, folder: &Path, environment: &dyn Environment, problems: &Problems) -> Option<Playbook> {
    let mut root = yaml::parse(text, problems)?;
    screen::screen(&mut root, text, problems);
    let document: Checked<Document> = decode::decode(&root, problems);
    let validator = Validator { folder, environment, problems };
    validator.playbook(document.optional()?)
}

fn invalid(origin: String, mut problems: Vec<Problem>) -> Invalid {
    if problems.is_empty() {
        // Every step that fails records why. Should one forget, the playbook is still not valid.
        problems.push(Problem::of_file("cannot be understood"));
    }
    problems.iter_mut().for_each(withhold_secrets);
    Invalid { origin, problems }
}

/// The last line of defence: no message repeats a secret, wherever in the file it was.
fn withhold_secrets(problem: &mut Problem) {
    for text in [&mut problem.path, &mut problem.message] {
        if screen::secret_in(text).is_some() {
            *text = "(withheld: it looks like a secret)".to_owned();
        }
    }
    problem.hint.take_if(|hint| screen::secret_in(hint).is_some());
}

fn read_text(path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let limit = yaml::TEXT_BYTES_MAX as u64 + 1;
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(|error| cannot_read(&error))?;
    if bytes.len() > yaml::TEXT_BYTES_MAX {
        return Err(yaml::too_large());
    }
    String::from_utf8(bytes).map_err(|error| not_utf8(error.as_bytes(), error.utf8_error().valid_up_to()))
}

fn cannot_read(error: &io::Error) -> Problem {
    Problem::of_file(format!("cannot be read: {error}")).hint("check the path of the playbook")
}

fn not_utf8(bytes: &[u8], valid: usize) -> Problem {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let place = Place { line: before.matches('\n').count() + 1, column: line.chars().count() + 1, path: String::new() };
    Problem::at(&place, "is not UTF-8 text").hint("save the playbook as UTF-8")
}
