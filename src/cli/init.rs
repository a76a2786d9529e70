//! `walkaway init`: a first playbook from what is in the account.

use std::{fs::File, io::Write as _};

use super::{args::InitArgs, console::Console, style::shell_word, work};
use crate::{
    command::{self, InitOptions},
    domain::finding::printable,
    exit_code::ExitCode,
    record::EngineError,
};

/// Inspects the account, and writes the playbook.
pub(super) fn init(console: &Console, args: &InitArgs) -> Result<ExitCode, EngineError> {
    let options =
        InitOptions { profile: args.profile.clone(), regions: args.regions.clone(), target: args.target.clone() };
    let made = work::block_on_droppable(command::init(options))??;
    for missing in &made.unreadable {
        console.screen.line(&format!("could not be read: {}", printable(missing)));
    }
    match &args.output {
        Some(path) => {
            let written = File::create_new(path).and_then(|mut file| file.write_all(made.playbook.as_bytes()));
            written.map_err(|source| EngineError::Directory { path: path.clone(), source })?;
            console.screen.line(&format!("check it with: walkaway check {}", shell_word(path)));
        }
        None => console.out.lines(&made.playbook.lines().map(str::to_owned).collect::<Vec<_>>()),
    }
    Ok(if made.unreadable.is_empty() { ExitCode::Verified } else { ExitCode::NotVerified })
}
