//! `walkaway completions`: a completion script, made from the same definitions as the help texts.

use clap::CommandFactory;

use super::{
    args::{Args, CompletionsArgs},
    console::Console,
};
use crate::{exit_code::ExitCode, record::EngineError};

/// Prints the script.
pub(super) fn completions(console: &Console, args: &CompletionsArgs) -> Result<ExitCode, EngineError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "walkaway", &mut script);
    console.out.line(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::Verified)
}
