//! `walkaway clean`: removes what a run left at the provider, and stops the server that it left on this machine.

use super::{args::CleanArgs, console::Console, work};
use crate::{command, domain::finding::printable, exit_code::ExitCode, interrupt::Interrupt, record::EngineError};

/// Prints a line for everything that was removed.
pub(super) fn clean(console: &Console, args: &CleanArgs) -> Result<ExitCode, EngineError> {
    let interrupt = Interrupt::default();
    let cleaning = command::clean(&args.run, args.wait, &interrupt);
    let cleaned = work::block_on_interruptible(&console.screen, interrupt.clone(), cleaning)??;
    if let Some(server) = &cleaned.stopped {
        console.out.line(&format!("stopped {}", printable(server)));
    }
    for resource in &cleaned.removed {
        console.out.line(&format!("removed {}", printable(resource)));
    }
    for (resource, reason) in &cleaned.left {
        console.screen.line(&format!("{} may still be there: {}", printable(resource), printable(reason)));
    }
    if cleaned.removed.is_empty() && cleaned.left.is_empty() {
        console.screen.line(if interrupt.asked() { "stopped" } else { "the run left nothing at the provider" });
    }
    Ok(match cleaned.left.is_empty() {
        false => ExitCode::LeftBehind,
        true if interrupt.asked() => ExitCode::Interrupted,
        true => ExitCode::Verified,
    })
}
