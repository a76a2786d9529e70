//! `walkaway report` and `walkaway manual`: documents for people, made of a result or of a playbook.

use std::{fs, path::PathBuf};

use super::{
    args::{ManualArgs, ReportArgs},
    console::Console,
};
use crate::{
    digest::Sha256Digest,
    engine::{self, EngineError},
    exit_code::ExitCode,
    playbook::Playbook,
    report,
};

/// Makes the reports of a bundle again.
pub(super) fn report(console: &Console, args: &ReportArgs) -> Result<ExitCode, EngineError> {
    let out = args.out.clone().unwrap_or_else(|| {
        let name = args.bundle.file_name().unwrap_or_default().to_string_lossy().into_owned();
        PathBuf::from(format!("report-{name}"))
    });
    for name in engine::reports::make(&args.bundle, &out)? {
        console.out.path(&out.join(name));
    }
    Ok(ExitCode::Verified)
}

/// Prints the exit plan.
pub(super) fn manual(console: &Console, args: &ManualArgs) -> Result<ExitCode, EngineError> {
    let loaded = Playbook::read(&args.playbook.playbook)?;
    let last = engine::history::latest_result(&loaded.playbook, args.bundle.as_deref());
    let digest = Sha256Digest::of(&loaded.text).to_string();
    let blocks = report::manual(&loaded.playbook, &digest, last.as_ref());
    let text = report::markdown(&blocks);
    match &args.out {
        None => console.out.lines(&text.lines().map(str::to_owned).collect::<Vec<_>>()),
        Some(path) => {
            fs::write(path, text).map_err(|source| EngineError::Directory { path: path.clone(), source })?;
            console.out.path(path);
        }
    }
    Ok(ExitCode::Verified)
}
