//! `walkaway run` and `walkaway resume`: start it with a monitor and cancellation, then report how it ended.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    args::{ResumeArgs, RunArgs, RunOptionsArgs},
    console::Console,
    summary, terminal, work,
};
use crate::{
    asset::RecheckDepth,
    domain::event::Monitor,
    evidence::result::WaiverResult,
    exit_code::ExitCode,
    interrupt::Interrupt,
    playbook::Playbook,
    record::EngineError,
    run::{self, Consent, Plan, RunDependencies, RunEnd, RunOptions, RunOutcome},
};

/// Runs a playbook.
pub(super) fn run(console: &Console, args: &RunArgs) -> Result<ExitCode, EngineError> {
    let loaded = Playbook::read(&args.playbook.playbook)?;
    let consent = Consent::Given(args.confirm.confirm.clone());
    let options = options(args.options);
    let waivers = run::waivers(&loaded.playbook);
    watched(console, args.json.json, waivers, |monitor, interrupt| async move {
        let plan = interrupt.unless_asked(Plan::of(loaded)).await.ok_or(EngineError::Interrupted)??;
        run::run(plan, consent, RunDependencies::new(options, monitor, interrupt)).await
    })
}

/// Resumes a run.
pub(super) fn resume(console: &Console, args: &ResumeArgs) -> Result<ExitCode, EngineError> {
    let consent = Consent::Given(args.confirm.confirm.clone());
    let options = options(args.options);
    let options =
        RunOptions { look: if args.verify { RecheckDepth::Content } else { RecheckDepth::Presence }, ..options };
    watched(console, args.json.json, run::waivers_of(&args.run), |monitor, interrupt| {
        run::resume(&args.run, args.seal, consent, RunDependencies::new(options, monitor, interrupt))
    })
}

fn options(args: RunOptionsArgs) -> RunOptions {
    RunOptions { memory_bytes: args.memory, look: RecheckDepth::default() }
}

fn watched<W>(
    console: &Console,
    json: bool,
    waivers: Vec<WaiverResult>,
    work: impl FnOnce(Arc<dyn Monitor>, Interrupt) -> W,
) -> Result<ExitCode, EngineError>
where
    W: Future<Output = Result<RunOutcome, EngineError>>,
{
    let monitor = terminal::monitor(console, json, waivers);
    let interrupt = Interrupt::default();
    let outcome = work::block_on_interruptible(&console.screen, interrupt.clone(), work(monitor.clone(), interrupt));
    console.screen.end_bars();
    let outcome = outcome??;
    report(console, json, &outcome);
    Ok(outcome.exit_code())
}

fn report(console: &Console, json: bool, outcome: &RunOutcome) {
    if !console.options.quiet {
        console.screen.line("");
        console.screen.lines(&summary::lines(console.options.stderr, outcome));
    }
    if json {
        console.out.typed("result", &result_line(outcome));
    } else {
        console.out.path(&outcome.bundle);
    }
}

/// The last line of `--json`.
fn result_line(outcome: &RunOutcome) -> Value {
    let (end, verdict, digest) = match &outcome.end {
        RunEnd::Sealed { result, bundle_digest, .. } => ("sealed", Some(result.verdict), Some(*bundle_digest)),
        RunEnd::Stopped { .. } => ("stopped", None, None),
        RunEnd::Interrupted => ("interrupted", None, None),
    };
    json!({
        "bundle": outcome.bundle.to_string_lossy(),
        "exit_code": outcome.exit_code().number(),
        "end": end,
        "verdict": verdict,
        "bundle_digest": digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sample;

    #[test]
    fn the_last_line_tells_programs_how_it_ended() {
        let line = result_line(&sample::sealed(sample::result()));
        assert_eq!((&line["end"], &line["exit_code"], &line["verdict"]), (&json!("sealed"), &json!(0), &json!("PASS")));
        let open =
            result_line(&RunOutcome { bundle: "evidence/a".into(), end: RunEnd::Interrupted, left_behind: vec![] });
        assert_eq!(
            (&open["end"], &open["exit_code"], &open["verdict"]),
            (&json!("interrupted"), &json!(5), &json!(null))
        );
    }
}
