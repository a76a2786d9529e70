//! `doctor`: whether this machine can run a drill, and how fast its parts are. Rates are samples, not a benchmark.

use std::{fs::File, io::Write as _, path::Path};

use tokio::task::spawn_blocking;

use crate::{
    asset::kinds,
    clock::{self, Stopwatch},
    domain::digest::Sha256Digest,
    pg::tools::Tools,
    playbook::Playbook,
    record::{error::EngineError, layout::Layout},
    run::preflight::{self, Consent},
};

const PROBE_BYTES: usize = 64 << 20;

/// The status of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Good.
    Good,
    /// Works; worth knowing.
    Remark,
    /// A run would fail.
    Bad,
}

/// One examined subject.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Examined {
    /// What was examined.
    pub subject: String,
    /// Its status.
    pub state: State,
    /// What was found.
    pub detail: String,
    /// What to do, where that is known.
    pub hint: Option<String>,
}

fn examined(subject: &str, state: State, detail: impl Into<String>) -> Examined {
    Examined { subject: subject.to_owned(), state, detail: detail.into(), hint: None }
}

/// Examines the machine, and with a playbook everything that its run would need.
pub async fn examine(playbook: Option<&Playbook>) -> Vec<Examined> {
    let target = playbook.map_or_else(std::env::temp_dir, |playbook| playbook.target().path.clone());
    let machine = spawn_blocking(move || vec![hash_rate(), disk_rate(&target), programs(), clock_reading()]);
    let mut all = machine.await.unwrap_or_else(|error| vec![examined("machine", State::Bad, error.to_string())]);
    if let Some(playbook) = playbook {
        all.extend(reachability(playbook).await);
    }
    all
}

async fn reachability(playbook: &Playbook) -> Vec<Examined> {
    let layout = Layout::of(playbook, "doctor");
    match preflight::look(playbook, &kinds::all(playbook), (&layout, "doctor"), &Consent::NotNeeded, Vec::new()).await {
        Ok(ready) => {
            let caller = ready.caller.as_ref().map_or_else(String::new, |caller| format!(" as {}", caller.arn));
            vec![examined("playbook", State::Good, format!("everything it names can be reached{caller}"))]
        }
        Err(EngineError::NotReady(obstacles)) => obstacles
            .into_iter()
            .map(|obstacle| Examined { hint: obstacle.hint, ..examined("playbook", State::Bad, obstacle.what) })
            .collect(),
        Err(error) => vec![examined("playbook", State::Bad, error.to_string())],
    }
}

fn hash_rate() -> Examined {
    let bytes = vec![0x5a; PROBE_BYTES];
    let watch = Stopwatch::start();
    let _ = std::hint::black_box(Sha256Digest::of(&bytes));
    examined("SHA-256", State::Good, format!("{} on one core", rate(watch)))
}

fn disk_rate(target: &Path) -> Examined {
    let subject = "disk";
    let directory = target.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let watch = Stopwatch::start();
    match write_probe(directory) {
        Ok(()) => {
            examined(subject, State::Good, format!("{} written and synced in {}", rate(watch), directory.display()))
        }
        Err(error) => Examined {
            hint: Some("choose a target.path that this user may write to, with free space".to_owned()),
            ..examined(subject, State::Bad, format!("{}: {error}", directory.display()))
        },
    }
}

fn write_probe(directory: &Path) -> std::io::Result<()> {
    let mut file: File = tempfile::tempfile_in(directory)?;
    file.write_all(&vec![0x5a; PROBE_BYTES])?;
    file.sync_all()
}

fn rate(watch: Stopwatch) -> String {
    let seconds = watch.elapsed().as_secs_f64().max(1e-6);
    format!("{:.0} MiB/s", PROBE_BYTES as f64 / seconds / f64::from(1 << 20))
}

fn programs() -> Examined {
    let subject = "PostgreSQL programs";
    match Tools::server() {
        Ok(tools) => {
            examined(subject, State::Good, format!("version {} in {}", tools.version(), tools.directory().display()))
        }
        Err(error) => {
            Examined { hint: error.hint(), ..examined(subject, State::Remark, format!("{error}; databases need it")) }
        }
    }
}

fn clock_reading() -> Examined {
    let detail = format!("{} by this machine; walkaway does not check it against another", clock::now());
    examined("clock", State::Remark, detail)
}
