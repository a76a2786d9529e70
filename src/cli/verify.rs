//! `walkaway verify`: checks a bundle offline and, if asked, the restored data against it. An intact bundle is
//! exit code 0 whatever the run that it records came to: the question is whether the record can be trusted.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    args::VerifyArgs,
    console::Console,
    style::{Paint, Style, count, near, of, size},
    table::{self, Cell, heading},
    terminal, work,
};
use crate::{
    clock,
    engine::{self, EngineError, Recheck, outcome::of_findings},
    evidence::{
        BundleCheck, SignatureSeen, Trust, check_bundle_against,
        result::{RunResult, Tier},
        signing::AllowedSigners,
        timestamp::Authorities,
    },
    exit_code::ExitCode,
    finding::{Finding, Verdict, printable},
    interrupt::Interrupt,
};

/// What became of the wish to compare the restored data.
enum Restored {
    NotAsked,
    /// The bundle that it would be compared with isn't intact.
    Senseless,
    Compared(Recheck),
    /// Somebody asked to stop.
    Interrupted,
}

/// Verifies.
pub(super) fn verify(console: &Console, args: &VerifyArgs) -> Result<ExitCode, EngineError> {
    let mut bundle = check_bundle_against(&args.bundle, &trust(args)?)?;
    bundle.findings.extend(engine::claims::check(&args.bundle));
    if !args.json.json {
        console.out.lines(&bundle_lines(console, args, &bundle));
    }
    let restored = restored(console, args, &bundle)?;
    let code = exit_code(&bundle, &restored);
    if args.json.json {
        for (kind, line) in json_lines(&bundle, &restored, code) {
            console.out.typed(kind, &line);
        }
    } else {
        console.out.lines(&restored_lines(console, &restored));
    }
    Ok(code)
}

/// Who is trusted, read from outside the bundle.
fn trust(args: &VerifyArgs) -> Result<Trust, EngineError> {
    let unfit = |path: &Path, reason: String| EngineError::Trust { path: path.to_owned(), reason };
    let read = |path: &Path| {
        let inside =
            path.canonicalize().is_ok_and(|path| args.bundle.canonicalize().is_ok_and(|b| path.starts_with(b)));
        if inside {
            return Err(unfit(path, "lies inside the bundle, which can't vouch for itself".to_owned()));
        }
        fs::read_to_string(path).map_err(|error| unfit(path, error.to_string()))
    };
    let signers = args
        .allowed_signers
        .as_ref()
        .map(|path| AllowedSigners::parse(&read(path)?).map_err(|reason| unfit(path, reason)));
    let authorities = args
        .tsa_ca
        .as_ref()
        .map(|path| Authorities::parse(read(path)?.as_bytes()).map_err(|reason| unfit(path, reason)));
    Ok(Trust {
        allowed_signers: signers.transpose()?,
        authorities: authorities.transpose()?,
        previous: args.previous.clone(),
        now: clock::now(),
    })
}

fn intact(bundle: &BundleCheck) -> bool {
    Verdict::from_findings(&bundle.findings) == Verdict::Pass
}

fn restored(console: &Console, args: &VerifyArgs, bundle: &BundleCheck) -> Result<Restored, EngineError> {
    match (args.restored, intact(bundle)) {
        (false, _) => Ok(Restored::NotAsked),
        (true, false) => Ok(Restored::Senseless),
        (true, true) => recheck(console, args),
    }
}

fn recheck(console: &Console, args: &VerifyArgs) -> Result<Restored, EngineError> {
    let (monitor, interrupt) = (terminal::monitor(console, args.json.json), Interrupt::default());
    let work = engine::recheck(&args.bundle, monitor.clone(), interrupt.clone());
    let recheck = work::block_on_interruptible(&console.screen, interrupt.clone(), work);
    console.screen.end_bars();
    match recheck? {
        _ if interrupt.asked() => Ok(Restored::Interrupted),
        recheck => recheck.map(Restored::Compared),
    }
}

fn exit_code(bundle: &BundleCheck, restored: &Restored) -> ExitCode {
    match restored {
        Restored::NotAsked | Restored::Senseless => of_findings(&bundle.findings),
        Restored::Compared(recheck) => of_findings(&[&bundle.findings[..], &recheck.findings[..]].concat()),
        Restored::Interrupted => ExitCode::Interrupted,
    }
}

fn bundle_lines(console: &Console, args: &VerifyArgs, bundle: &BundleCheck) -> Vec<String> {
    let style = console.options.stdout;
    let findings = bundle.findings.iter().map(|finding| style.finding(finding));
    if console.options.quiet {
        return findings.collect();
    }
    let mut lines = checked(style, &near(&args.bundle), bundle);
    lines.extend(signatures(style, bundle));
    lines.push(String::new());
    lines.extend(findings);
    lines.push(conclusion(style, bundle));
    lines
}

fn checked(style: Style, path: &str, bundle: &BundleCheck) -> Vec<String> {
    let files = format!("{}, {}", count(bundle.files, "file", "files"), size(bundle.bytes));
    let run = |result: &RunResult| {
        let words = [&result.run, &result.started, &result.host].map(|word| printable(word));
        format!("{}, started {} on {}", words[0], words[1], words[2])
    };
    let lines = |result: &RunResult| count(result.journal.lines, "line", "lines");
    let facts = [
        ("bundle", Some(printable(path))),
        ("run", bundle.result.as_ref().map(run)),
        ("files", Some(files)),
        ("journal", bundle.result.as_ref().map(lines)),
        ("digest", Some(bundle.bundle_digest.to_string())),
    ];
    let told = facts.into_iter().filter_map(|(word, text)| Some((word, text?)));
    let rows: Vec<Vec<Cell>> = told.map(|(word, text)| vec![Cell::painted(word, Paint::Faint), text.into()]).collect();
    table::lines(style, &rows)
}

fn signatures(style: Style, bundle: &BundleCheck) -> Vec<String> {
    let row = |seen: &SignatureSeen| {
        let who = match (&seen.fingerprint, &seen.principals) {
            (None, _) => "does not hold".to_owned(),
            (Some(key), None) => format!("{key}, whose key that is was not asked"),
            (Some(key), Some(principals)) => format!("{principals}, {key}"),
        };
        let when = match (&seen.stamped, seen.stamp_trusted) {
            (None, _) => "no time-stamp: the time is the signing machine's own".to_owned(),
            (Some(at), true) => format!("stamped {at}"),
            (Some(at), false) => format!("stamped {at}, by whom was not asked or is not trusted"),
        };
        vec![Cell::painted(seen.role, Paint::Faint), printable(&format!("{who}; {when}")).into()]
    };
    let previous = bundle.result.as_ref().and_then(|result| result.chain.previous.as_ref());
    let before = previous.map(|before| vec![Cell::painted("before", Paint::Faint), printable(&before.run).into()]);
    let mut rows: Vec<Vec<Cell>> = bundle.signatures.iter().map(row).collect();
    if rows.is_empty() {
        rows.push(vec![Cell::painted("signed", Paint::Faint), "by nobody".into()]);
    }
    rows.extend(before);
    table::lines(style, &rows)
}

fn conclusion(style: Style, bundle: &BundleCheck) -> String {
    let found = count(bundle.findings.len() as u64, "finding", "findings");
    match (&bundle.result, intact(bundle)) {
        (Some(result), true) => {
            let tier = if result.tier == Tier::Sample { " (SAMPLE TIER)" } else { "" };
            let verdict = format!("{}{tier}", style.verdict(result.verdict));
            format!("{}; the run it records ended {verdict}", style.paint(Paint::Good, "the bundle is intact"))
        }
        _ => format!("{}: {found}", style.paint(Paint::Bad, "the bundle is not intact")),
    }
}

fn restored_lines(console: &Console, restored: &Restored) -> Vec<String> {
    let style = console.options.stdout;
    match restored {
        Restored::Compared(recheck) if console.options.quiet => {
            recheck.findings.iter().map(|finding| style.finding(finding)).collect()
        }
        Restored::NotAsked => Vec::new(),
        Restored::Senseless => vec!["the restored data was not compared: there is no intact bundle for it".to_owned()],
        Restored::Interrupted => vec!["interrupted; the restored data was not compared to the end".to_owned()],
        Restored::Compared(recheck) => recheck_lines(style, recheck),
    }
}

fn recheck_lines(style: Style, recheck: &Recheck) -> Vec<String> {
    let mut rows = vec![heading(["asset", "check", "compared", "equal"])];
    rows.extend(recheck.checks.iter().map(|(asset, check)| {
        let compared = of(check.compared, check.expected);
        vec![
            printable(asset).into(),
            printable(&check.name).into(),
            compared.into(),
            of(check.equal, check.compared).into(),
        ]
    }));
    let mut lines = vec![String::new()];
    lines.extend(table::lines(style, &rows));
    lines.push(String::new());
    lines.extend(recheck.findings.iter().map(|finding| style.finding(finding)));
    lines.push(restored_conclusion(style, &recheck.findings));
    lines
}

fn restored_conclusion(style: Style, findings: &[Finding]) -> String {
    let verdict = Verdict::from_findings(findings);
    let text = match verdict {
        Verdict::Pass => "the restored data agrees with the bundle",
        Verdict::Fail => "the restored data differs from the bundle",
        Verdict::NotRun | Verdict::Waived => "the restored data could not be compared in full",
    };
    style.paint(Paint::of_verdict(verdict), text)
}

fn json_lines(bundle: &BundleCheck, restored: &Restored, code: ExitCode) -> Vec<(&'static str, Value)> {
    let none = Recheck { checks: Vec::new(), findings: Vec::new() };
    let recheck = if let Restored::Compared(recheck) = restored { recheck } else { &none };
    let whole = json!({
        "files": bundle.files,
        "bytes": bundle.bytes,
        "bundle_digest": bundle.bundle_digest,
        "intact": intact(bundle),
        "verdict": bundle.result.as_ref().map(|result| result.verdict),
        "signatures": bundle.signatures,
        "previous": bundle.result.as_ref().and_then(|result| Some(&result.chain.previous.as_ref()?.run)),
    });
    let finding = |of: &str, finding: &Finding| ("finding", json!({"of": of, "finding": finding}));
    let mut lines = vec![("bundle", whole)];
    lines.extend(bundle.findings.iter().map(|found| finding("bundle", found)));
    lines.extend(recheck.checks.iter().map(|(asset, check)| ("check", json!({"asset": asset, "check": check}))));
    lines.extend(recheck.findings.iter().map(|found| finding("restored", found)));
    lines.push(("result", json!({"exit_code": code.number()})));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::sample, digest::Sha256Digest, finding::FindingKind};

    fn bundle(verdict: Verdict, findings: Vec<Finding>) -> BundleCheck {
        let result = RunResult { verdict, ..sample::result() };
        let (bundle_digest, signatures) = (Sha256Digest([7; 32]), Vec::new());
        BundleCheck { result: Some(result), findings, files: 27, bytes: 1 << 20, bundle_digest, signatures }
    }

    fn changed() -> Finding {
        Finding::of_run(FindingKind::BundleFileDiffers, "data/result.json", "")
    }

    #[test]
    fn what_was_checked_is_said() {
        let expected = "\
bundle   evidence/demo
run      demo-20261123T223000Z, started 2026-11-23T22:30:00Z on vault
files    27 files, 1.0 MiB
journal  153 lines
digest   0707070707070707070707070707070707070707070707070707070707070707";
        let lines = checked(Style::default(), "evidence/demo", &bundle(Verdict::Pass, vec![]));
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn an_intact_record_of_a_failure_is_intact() {
        let failed = bundle(Verdict::Fail, vec![]);
        assert_eq!(conclusion(Style::default(), &failed), "the bundle is intact; the run it records ended FAIL");
        assert_eq!(exit_code(&failed, &Restored::NotAsked), ExitCode::Verified);
    }

    #[test]
    fn a_changed_bundle_is_a_finding() {
        let changed = bundle(Verdict::Pass, vec![changed()]);
        assert_eq!(conclusion(Style::default(), &changed), "the bundle is not intact: 1 finding");
        assert_eq!(exit_code(&changed, &Restored::Senseless), ExitCode::Finding);
    }

    #[test]
    fn the_restored_data_decides_when_it_was_asked_for() {
        let differs = Finding::of("files", FindingKind::ObjectDigest, "a", "");
        let recheck =
            Recheck { checks: vec![("files".into(), sample::check("objects", [2, 2, 1]))], findings: vec![differs] };
        let lines = recheck_lines(Style::default(), &recheck);
        assert_eq!(lines[2], "files  objects  2 of 2    1 of 2");
        assert_eq!(lines.last().map(String::as_str), Some("the restored data differs from the bundle"));
        assert_eq!(exit_code(&bundle(Verdict::Pass, vec![]), &Restored::Compared(recheck)), ExitCode::Finding);
    }
}
