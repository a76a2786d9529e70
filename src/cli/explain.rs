//! `walkaway explain`: the resolved playbook, as JSON. References stay references.

use serde::Serialize;

use super::{args::PlaybookArg, console::Console};
use crate::{exit_code::ExitCode, playbook::Playbook, record::EngineError};

/// Explains.
pub(super) fn explain(console: &Console, args: &PlaybookArg) -> Result<ExitCode, EngineError> {
    let playbook = Playbook::read(&args.playbook)?.playbook;
    pretty(console, &playbook)
}

/// Prints a value as JSON for people.
pub(super) fn pretty(console: &Console, value: &impl Serialize) -> Result<ExitCode, EngineError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| EngineError::Internal(error.to_string()))?;
    console.out.line(&text);
    Ok(ExitCode::Verified)
}
