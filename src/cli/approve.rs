//! `walkaway approve`: a reviewer's signature under a bundle.

use super::{args::ApproveArgs, console::Console, endorse, work};
use crate::{
    engine::{self, EngineError},
    exit_code::ExitCode,
};

/// Signs.
pub(super) fn approve(console: &Console, args: &ApproveArgs) -> Result<ExitCode, EngineError> {
    let signing = engine::approve(&args.bundle, &args.key, args.timestamp.as_deref());
    let endorsement = work::block_on(signing)??;
    if !console.options.quiet {
        console.screen.lines(&endorse::lines(console.options.stderr, &endorsement));
    }
    console.out.path(&endorsement.file);
    Ok(ExitCode::Verified)
}
