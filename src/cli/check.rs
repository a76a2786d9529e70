//! `walkaway check`: reports that a playbook is valid, or everything that is wrong with it. Makes no connection.

use super::{
    args::PlaybookArg,
    console::Console,
    style::{count, near},
};
use crate::{clock, domain::finding::printable, exit_code::ExitCode, playbook::Playbook, record::EngineError};

/// Checks.
pub(super) fn check(console: &Console, args: &PlaybookArg) -> Result<ExitCode, EngineError> {
    let playbook = Playbook::read(&args.playbook)?.playbook;
    let assets = count(playbook.assets().len() as u64, "asset", "assets");
    console.remark(&format!("{} is valid: {assets}", printable(&near(&args.playbook))));
    let today = clock::today();
    for exclusion in playbook.exclusions().iter().filter(|exclusion| exclusion.expired(today)) {
        let selector = printable(&exclusion.selector.to_string());
        console.remark(&format!("the exclusion of {selector} ended on {}: a run will find that", exclusion.until));
    }
    Ok(ExitCode::Verified)
}
