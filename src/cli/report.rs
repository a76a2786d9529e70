//! `walkaway report` and `walkaway manual`: documents for people, from a result or a playbook.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    args::{ManualArgs, ReportArgs},
    console::Console,
};
use crate::{clock, command, exit_code::ExitCode, playbook::Playbook, record::EngineError, report, run};

/// Regenerates the reports of a bundle.
pub(super) fn report(console: &Console, args: &ReportArgs) -> Result<ExitCode, EngineError> {
    let out = args.out.clone().unwrap_or_else(|| {
        let name = args.bundle.file_name().unwrap_or_default().to_string_lossy().into_owned();
        PathBuf::from(format!("report-{name}"))
    });
    for name in run::reports::make(&args.bundle, &out)? {
        console.out.path(&out.join(name));
    }
    Ok(ExitCode::Verified)
}

/// Prints the exit plan, or writes it.
pub(super) fn manual(console: &Console, args: &ManualArgs) -> Result<ExitCode, EngineError> {
    let loaded = Playbook::read(&args.playbook.playbook)?;
    let last = command::history::latest_result(&loaded.playbook, args.bundle.as_deref());
    let plan = report::plan(&loaded.playbook, &loaded.text, last.as_ref());
    if let Some(path) = &args.pdf {
        write(console, path, &plan.pdf(clock::now())?)?;
    }
    match &args.out {
        Some(path) => write(console, path, plan.markdown().as_bytes())?,
        None if args.pdf.is_some() => {}
        None => console.out.lines(&plan.markdown().lines().map(str::to_owned).collect::<Vec<_>>()),
    }
    Ok(ExitCode::Verified)
}

fn write(console: &Console, path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    fs::write(path, bytes).map_err(|source| EngineError::Directory { path: path.to_owned(), source })?;
    console.out.path(path);
    Ok(())
}
