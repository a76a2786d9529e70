//! Runs asynchronous work to its end, and turns signals into cancellation: the first requests it, the second ends
//! the process, and names what that may leave at the provider.

use std::io;

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use super::console::Screen;
use crate::{domain::finding::printable, exit_code::ExitCode, interrupt::Interrupt, record::EngineError};

/// The exit code of a process that SIGINT ended.
const ENDED_BY_SIGNAL: i32 = 130;

/// Work without a provider: signals end the process as usual.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, EngineError> {
    let runtime = runtime()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

/// Work that changes nothing and may be dropped where it waits. Process 1 of a container is not ended by
/// signals unless it listens.
pub(super) fn block_on_droppable<T>(work: impl Future<Output = T>) -> Result<T, EngineError> {
    block_on(async move {
        let mut ctrl_c = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        tokio::select! {
            done = work => Ok(done),
            () = either(&mut ctrl_c, &mut terminate) => Err(EngineError::Interrupted),
        }
    })?
}

/// Work that can be cancelled.
pub(super) fn block_on_interruptible<T>(
    screen: &Screen,
    interrupt: Interrupt,
    work: impl Future<Output = T>,
) -> Result<T, EngineError> {
    let screen = screen.clone();
    block_on(async move {
        let ctrl_c = listen(SignalKind::interrupt())?;
        let terminate = listen(SignalKind::terminate())?;
        tokio::spawn(heed(ctrl_c, terminate, screen, interrupt));
        Ok(work.await)
    })?
}

fn runtime() -> Result<Runtime, EngineError> {
    Builder::new_multi_thread().enable_all().build().map_err(|error| internal("cannot start threads", &error))
}

fn listen(kind: SignalKind) -> Result<Signal, EngineError> {
    signal(kind).map_err(|error| internal("cannot listen to signals", &error))
}

fn internal(what: &str, error: &io::Error) -> EngineError {
    EngineError::Internal(format!("{what}: {error}"))
}

async fn heed(mut ctrl_c: Signal, mut terminate: Signal, screen: Screen, interrupt: Interrupt) {
    either(&mut ctrl_c, &mut terminate).await;
    interrupt.ask();
    screen.line("stopping in order; once more ends at once");
    stopping(&interrupt.held()).iter().for_each(|line| screen.line(line));
    either(&mut ctrl_c, &mut terminate).await;
    screen.end_bars();
    screen.line("ended at once");
    let held = interrupt.held();
    held.iter().for_each(|resource| screen.line(&format!("{} may still be at the provider", printable(resource))));
    if held.is_empty() {
        std::process::exit(ENDED_BY_SIGNAL);
    }
    screen.line("  remove what is left with `walkaway clean` and the run's directory");
    std::process::exit(ExitCode::LeftBehind.number().into());
}

/// What an orderly end waits for, which may take minutes. The journal records what an immediate end leaves.
fn stopping(held: &[String]) -> Vec<String> {
    if held.is_empty() {
        return Vec::new();
    }
    let names = held.iter().map(|resource| format!("  {}", printable(resource)));
    let why =
        "removing first what is at the provider, or may still appear there, which is looked up for up to 5 minutes:";
    [why.to_owned()].into_iter().chain(names).collect()
}

async fn either(ctrl_c: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = ctrl_c.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_end_in_order_waits_for_is_named_at_once() {
        assert_eq!(stopping(&[]), Vec::<String>::new());
        let lines = stopping(&["RDS instance walkaway-0123456789abcdef0123".to_owned()]);
        assert!(lines[0].contains("may still appear") && lines[1].ends_with("abcdef0123"), "{lines:?}");
    }

    #[test]
    fn work_returns_what_it_made() {
        assert_eq!(block_on(async { 7 }).ok(), Some(7));
    }
}
