//! `walkaway approve`: a reviewer's signature under a bundle, after everything that `verify` checks, and after the reviewer
//! saw what the signature will cover.

use std::io;

use super::{
    args::ApproveArgs,
    console::Console,
    endorse,
    style::{Paint, Style, count, near, size},
    table::{self, Cell},
    verify, work,
};
use crate::{
    account::coverage::Status,
    domain::finding::printable,
    evidence::{BundleCheck, result::RunResult},
    exit_code::ExitCode,
    record::EngineError,
    run,
};

/// Signs.
pub(super) fn approve(console: &Console, args: &ApproveArgs) -> Result<ExitCode, EngineError> {
    let style = console.options.stderr;
    let trust = verify::trust(&args.trust, &args.bundle)?;
    let check = verify::check(&args.bundle, &trust)?;
    let review = run::review(&args.bundle, &check, &args.key, &trust)?;
    if !args.yes || !console.options.quiet {
        console.screen.lines(&shown(style, &near(&args.bundle), &check));
    }
    if !args.yes {
        console.screen.line("Sign this bundle as its reviewer? Type yes to sign:");
        if !agreed() {
            console.screen.line("nothing was signed; answer yes to sign, or pass --yes in a script");
            return Ok(ExitCode::NotVerified);
        }
    }
    let signing = run::approve(&args.bundle, review, args.timestamp.as_deref());
    let endorsement = work::block_on(signing)??;
    if !console.options.quiet {
        console.screen.lines(&endorse::lines(style, &endorsement));
    }
    console.out.path(&endorsement.file);
    Ok(ExitCode::Verified)
}

/// Whether the next line of stdin is a yes; end of input is a no.
fn agreed() -> bool {
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer).is_ok();
    read && ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// The bundle, its signers, and its content: verdict, coverage, what was left out, what was waived.
fn shown(style: Style, path: &str, check: &BundleCheck) -> Vec<String> {
    let mut lines = verify::checked(style, path, check);
    lines.extend(verify::signatures(style, check));
    let Some(result) = &check.result else { return lines };
    let mut rows = vec![("verdict", verdict(result)), ("coverage", coverage(result))];
    rows.extend(result.exclusions.iter().map(|left_out| {
        let pattern = &left_out.pattern;
        let reason = &left_out.reason;
        let owner = &left_out.owner;
        let until = &left_out.until;
        ("excluded", format!("{pattern}: {reason}, by {owner} until {until}"))
    }));
    rows.extend(result.waivers.iter().map(|waiver| {
        let waives = count(waiver.waives, "finding", "findings");
        (
            "waived",
            format!("{} ({waives}): {}, by {} until {}", waiver.finding, waiver.reason, waiver.owner, waiver.until),
        )
    }));
    let row = |(word, text): &(&str, String)| vec![Cell::painted(*word, Paint::Faint), printable(text).into()];
    lines.extend(table::lines(style, &rows.iter().map(row).collect::<Vec<_>>()));
    lines.extend(check.findings.iter().map(|finding| style.finding(finding)));
    lines
}

fn verdict(result: &RunResult) -> String {
    let found = count(result.findings_total(), "finding", "findings");
    format!("{}, {}, {found}", result.verdict_words(), count(result.assets.len() as u64, "asset", "assets"))
}

fn coverage(result: &RunResult) -> String {
    let Some(coverage) = &result.coverage else {
        return "unknown: the account around the playbook's assets was not looked at".to_owned();
    };
    let totals = &coverage.totals;
    let there = Status::ALL.into_iter().filter(|status| totals.amount(*status).assets > 0);
    let part = |status: Status| {
        let bytes = totals.known_bytes(status).map_or_else(|| "size unknown".to_owned(), size);
        format!("{} {}, {bytes}", status.word().to_lowercase(), totals.amount(status).assets)
    };
    there.map(part).collect::<Vec<_>>().join("; ")
}
