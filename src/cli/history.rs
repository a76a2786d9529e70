//! `walkaway compare` and `walkaway due`: the runs of a playbook over time.

use serde_json::json;

use super::{
    args::{CompareArgs, DueArgs},
    console::Console,
    style::{Paint, Style, duration, of, shell_word, size, stamp},
    table::{self, Cell, heading},
    work,
};
use crate::{
    command::{
        self, StillThere,
        history::{Comparison, Due},
    },
    domain::finding::printable,
    evidence::facts::PastRun,
    exit_code::ExitCode,
    playbook::Playbook,
    record::EngineError,
};

/// Compares bundles.
pub(super) fn compare(console: &Console, args: &CompareArgs) -> Result<ExitCode, EngineError> {
    let comparison = command::history::compare(&args.bundles)?;
    let code = if comparison.worse.is_empty() { ExitCode::Verified } else { ExitCode::Finding };
    if args.json.json {
        comparison.runs.iter().for_each(|run| console.out.typed("run", &json!({"run": run})));
        comparison.worse.iter().for_each(|words| console.out.typed("worse", &json!({"detail": words})));
        console.out.typed("result", &json!({"exit_code": code.number()}));
    } else {
        console.out.lines(&compared(console.options.stdout, &comparison));
    }
    Ok(code)
}

fn compared(style: Style, comparison: &Comparison) -> Vec<String> {
    let mut rows = vec![heading(["run", "verdict", "assets", "bytes", "work", "exit P50", "exit P90"])];
    rows.extend(comparison.runs.iter().map(row));
    let mut lines = table::lines(style, &rows);
    lines.push(String::new());
    lines.extend(comparison.worse.iter().map(|words| style.paint(Paint::Bad, &printable(words))));
    if comparison.worse.is_empty() {
        lines.push("nothing got worse".to_owned());
    }
    lines
}

fn row(run: &PastRun) -> Vec<Cell> {
    let time = |ms: Option<u64>| ms.map_or_else(|| "refused".to_owned(), duration);
    vec![
        printable(&run.run).into(),
        Cell::painted(run.verdict.words(run.sampled), Paint::of_judged(run.verdict, run.sampled)),
        of(run.passed, run.assets).into(),
        size(run.bytes).into(),
        duration(run.duration_ms).into(),
        time(run.exit_p50_ms).into(),
        time(run.exit_p90_ms).into(),
    ]
}

/// Reports whether a playbook has to be run.
pub(super) fn due(console: &Console, args: &DueArgs) -> Result<ExitCode, EngineError> {
    let loaded = Playbook::read(&args.playbook.playbook)?;
    let due = command::history::due(&loaded.playbook, args.samples)?;
    if args.timer {
        console.out.lines(&timer(&loaded.playbook, &shell_word(&absolute(&args.playbook.playbook)?)));
        return Ok(ExitCode::Verified);
    }
    console.out.lines(&told(&due));
    let left = work::block_on_droppable(command::history::still_there(&loaded.playbook))?;
    left.iter().for_each(|left| console.out.line(&left_behind(left)));
    // A run that is due removes what others left. What may be in use is not removed.
    Ok(match (due.reasons.is_empty(), left.iter().all(|left| left.in_use)) {
        (false, _) => ExitCode::Finding,
        (true, false) => ExitCode::LeftBehind,
        (true, true) => ExitCode::Verified,
    })
}

fn left_behind(left: &StillThere) -> String {
    let resource = printable(&left.resource);
    let reason = printable(&left.reason);
    if left.in_use {
        return format!("IN USE: {resource}: {reason}");
    }
    let how = left.run_dir.as_ref().map(|run| format!("; remove it with: walkaway clean {}", shell_word(run)));
    format!("LEFT: {resource}: {reason}{}", how.unwrap_or_default())
}

fn absolute(path: &std::path::Path) -> Result<std::path::PathBuf, EngineError> {
    std::path::absolute(path).map_err(|source| EngineError::Directory { path: path.to_owned(), source })
}

fn told(due: &Due) -> Vec<String> {
    let days = due.every.as_secs() / 86_400;
    let last = due.last.as_ref().map_or_else(
        || "last passed run: none".to_owned(),
        |last| format!("last passed run: {}, started {}", printable(&last.run), stamp(last.started)),
    );
    let mut lines = vec![last, format!("a run counts for {days} days")];
    match due.reasons.as_slice() {
        [] => lines.push("not due".to_owned()),
        reasons => {
            let passed_over = due.passed_over.iter().map(|run| format!("does not count: {}", printable(run)));
            lines.extend(passed_over);
            lines.extend(reasons.iter().map(|reason| format!("DUE: {}", printable(reason))));
        }
    }
    lines
}

/// Two units of systemd: every day they check whether a run is due, and if so run it.
fn timer(playbook: &Playbook, path: &str) -> Vec<String> {
    let id = playbook.id().as_str();
    let program = std::env::current_exe().map_or_else(|_| "walkaway".to_owned(), |path| shell_word(&path));
    // A percent sign is a specifier for systemd.
    // Where the playbook itself asks for samples, each run is one: they count, or the drill would run every day.
    let samples =
        playbook.assets().iter().any(|asset| asset.kind.bucket().is_some_and(|bucket| bucket.sample.is_some()));
    let samples = if samples { " --samples" } else { "" };
    let command = format!("{program} due{samples} {path}; due=$?; [ $due -eq 1 ] || exit $due; {program} run {path}");
    let command = command.replace('%', "%%").replace('$', "$$").replace('"', "\\\"");
    format!(
        "# /etc/systemd/system/walkaway-{id}.service\n[Unit]\nDescription=Exit drill {id}, when it is due\n\
         Wants=network-online.target\nAfter=network-online.target\n\n[Service]\nType=oneshot\n\
         ExecStart=/bin/sh -c \"{command}\"\n\n\
         # /etc/systemd/system/walkaway-{id}.timer\n[Unit]\nDescription=Looks daily whether the exit drill {id} is due\n\n\
         [Timer]\nOnCalendar=daily\nRandomizedDelaySec=1h\nPersistent=true\n\n[Install]\nWantedBy=timers.target"
    )
    .lines()
    .map(str::to_owned)
    .collect()
}
