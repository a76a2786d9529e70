//! `walkaway verify`: checks a bundle offline and, if asked, the restored data against it. A consistent bundle is
//! exit code 0 whatever the verdict of its run, and whoever made it; what a reader requires beside that decides
//! with it.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    args::{Required, Script, TrustArgs, VerifyArgs},
    console::Console,
    style::{Paint, Style, count, near, of, size},
    table::{self, Cell, heading},
    terminal, work,
};
use crate::{
    clock,
    command::{self, Recheck},
    domain::{
        finding::{Finding, Severity, Verdict, printable},
        proof::Tier,
    },
    evidence::{
        BundleCheck, Requirement, SignatureSeen, TABLE_DIGEST_PY, Trust, VERIFY_PY, Vouched, check_bundle_against,
        result::RunResult,
        signing::{AllowedSigners, Role},
        timestamp::Authorities,
        vouched,
    },
    exit_code::ExitCode,
    interrupt::Interrupt,
    record::EngineError,
    run::outcome::of_findings,
};

/// The outcome of the request to compare the restored data.
enum Restored {
    NotAsked,
    /// The bundle that it would be compared with isn't intact.
    Senseless,
    Compared(Recheck),
    /// A stop was requested.
    Interrupted,
}

/// Verifies.
pub(super) fn verify(console: &Console, args: &VerifyArgs) -> Result<ExitCode, EngineError> {
    let path = match (&args.bundle, args.print_script) {
        (Some(path), _) => path,
        (None, script) => {
            let text = if script == Some(Script::TableDigest) { TABLE_DIGEST_PY } else { VERIFY_PY };
            console.out.line(text.trim_end());
            return Ok(ExitCode::Verified);
        }
    };
    let trust = trust(&args.trust, path)?;
    let bundle = check(path, &trust)?;
    let unmet = unmet(&args.require, &bundle, &trust);
    if !args.json.json {
        console.out.lines(&bundle_lines(console, path, &bundle));
        console.out.lines(&unmet_lines(console.options.stdout, &unmet));
    }
    let restored = restored(console, args, path, intact(&bundle) && unmet.is_empty())?;
    let code = if unmet.is_empty() { exit_code(&bundle, &restored) } else { ExitCode::Finding };
    if args.json.json {
        for (kind, line) in json_lines(&bundle, &unmet, &restored, code) {
            console.out.typed(kind, &line);
        }
    } else {
        console.out.lines(&restored_lines(console, &restored));
    }
    Ok(code)
}

/// All checks of a bundle itself, including its reports.
pub(super) fn check(path: &Path, trust: &Trust) -> Result<BundleCheck, EngineError> {
    let mut bundle = check_bundle_against(path, trust)?;
    bundle.findings.extend(command::claims::check(path));
    Ok(bundle)
}

/// What was required and does not hold, each with the reason.
fn unmet(required: &[Required], bundle: &BundleCheck, trust: &Trust) -> Vec<(&'static str, String)> {
    let requirement = |required: &Required| match required {
        Required::Signed => ("signed", Requirement::Signed),
        Required::Reviewed => ("reviewed", Requirement::Reviewed),
        Required::Stamped => ("stamped", Requirement::Stamped),
    };
    let reason =
        |(name, requirement): (&'static str, Requirement)| Some((name, requirement.unmet(&bundle.signatures, trust)?));
    required.iter().map(requirement).filter_map(reason).collect()
}

fn unmet_lines(style: Style, unmet: &[(&'static str, String)]) -> Vec<String> {
    let line = |(name, reason): &(&str, String)| {
        format!("{}: {name}: {}", style.paint(Paint::Bad, "required and not met"), printable(reason))
    };
    unmet.iter().map(line).collect()
}

/// Roots of trust, read from outside the bundle.
pub(super) fn trust(args: &TrustArgs, bundle: &Path) -> Result<Trust, EngineError> {
    let unfit = |path: &Path, reason: String| EngineError::Trust { path: path.to_owned(), reason };
    let read = |path: &Path| {
        let inside = path.canonicalize().is_ok_and(|path| bundle.canonicalize().is_ok_and(|b| path.starts_with(b)));
        if inside {
            return Err(unfit(path, "is inside the bundle, which can't vouch for itself".to_owned()));
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

fn restored(console: &Console, args: &VerifyArgs, path: &Path, sound: bool) -> Result<Restored, EngineError> {
    match (args.restored, sound) {
        (false, _) => Ok(Restored::NotAsked),
        (true, false) => Ok(Restored::Senseless),
        (true, true) => recheck(console, args, path),
    }
}

fn recheck(console: &Console, args: &VerifyArgs, path: &Path) -> Result<Restored, EngineError> {
    let monitor = terminal::monitor(console, args.json.json, Vec::new());
    let interrupt = Interrupt::default();
    let work = command::recheck(path, monitor.clone(), interrupt.clone());
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

fn bundle_lines(console: &Console, path: &Path, bundle: &BundleCheck) -> Vec<String> {
    let style = console.options.stdout;
    let findings = bundle.findings.iter().map(|finding| style.finding(finding));
    if console.options.quiet {
        return findings.collect();
    }
    let mut lines = checked(style, &near(path), bundle);
    lines.extend(signatures(style, bundle));
    lines.push(String::new());
    lines.extend(findings);
    lines.push(conclusion(style, bundle));
    lines
}

pub(super) fn checked(style: Style, path: &str, bundle: &BundleCheck) -> Vec<String> {
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

pub(super) fn signatures(style: Style, bundle: &BundleCheck) -> Vec<String> {
    let row = |seen: &SignatureSeen| {
        let who = match (&seen.fingerprint, &seen.principals) {
            (None, _) => "does not hold".to_owned(),
            (Some(key), None) => format!("{key}; its owner was not looked up, or is not allowed"),
            (Some(key), Some(principals)) => format!("{principals}, {key}"),
        };
        let when = match (&seen.stamped, seen.stamp_trusted) {
            (None, _) => "no time-stamp: the time is the signing machine's own".to_owned(),
            (Some(at), true) => format!("stamped {at}"),
            (Some(at), false) => format!("a time-stamp says {at}, which no trusted authority confirms"),
        };
        vec![Cell::painted(seen.role, Paint::Faint), printable(&format!("{who}; {when}")).into()]
    };
    let previous = bundle.result.as_ref().and_then(|result| result.chain.previous.as_ref());
    let before = previous.map(|before| vec![Cell::painted("before", Paint::Faint), printable(&before.run).into()]);
    let mut rows: Vec<Vec<Cell>> = bundle.signatures.iter().map(row).collect();
    for (role, word) in [(Role::Operator, "signed"), (Role::Reviewer, "reviewed")] {
        if vouched(&bundle.signatures, role) == Vouched::ByNobody {
            rows.push(vec![Cell::painted(word, Paint::Faint), "by nobody".into()]);
        }
    }
    rows.extend(before);
    table::lines(style, &rows)
}

/// Notes do not count against the bundle.
fn conclusion(style: Style, bundle: &BundleCheck) -> String {
    let notes = bundle.findings.iter().filter(|finding| finding.severity == Severity::Note).count();
    let found = count((bundle.findings.len() - notes) as u64, "finding", "findings");
    match (&bundle.result, intact(bundle)) {
        (Some(result), true) => {
            let verdict = style.judged(result.verdict, result.tier == Tier::Sample);
            let reviewed = match vouched(&bundle.signatures, Role::Reviewer) {
                Vouched::ByNobody => "; unreviewed",
                _ => "",
            };
            format!("{}{reviewed}; the run it records ended {verdict}", standing(style, bundle))
        }
        _ if bundle.findings.iter().all(|finding| finding.severity < Severity::Fail) => {
            format!("{}: {found}", style.paint(Paint::Bad, "the bundle could not be checked in full"))
        }
        _ => format!("{}: {found}", style.paint(Paint::Bad, "the bundle is not intact")),
    }
}

/// The value of consistency: a full rewrite of an unsigned bundle is consistent again.
fn standing(style: Style, bundle: &BundleCheck) -> String {
    match vouched(&bundle.signatures, Role::Operator) {
        Vouched::ByAllowed => style.paint(Paint::Good, "the bundle is intact, and its operator vouches for it"),
        Vouched::ByUnknown => {
            let text = "the bundle is consistent; it is signed, and the owner of the key was not looked up (--allowed-signers)";
            style.paint(Paint::Warn, text)
        }
        Vouched::ByNobody => style.paint(Paint::Warn, "the bundle is consistent; nobody vouches for it"),
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

fn json_lines(
    bundle: &BundleCheck,
    unmet: &[(&'static str, String)],
    restored: &Restored,
    code: ExitCode,
) -> Vec<(&'static str, Value)> {
    let none = Recheck { checks: Vec::new(), findings: Vec::new() };
    let recheck = if let Restored::Compared(recheck) = restored { recheck } else { &none };
    let whole = json!({
        "files": bundle.files,
        "bytes": bundle.bytes,
        "bundle_digest": bundle.bundle_digest,
        "intact": intact(bundle),
        "verdict": bundle.result.as_ref().map(|result| result.verdict),
        "signed": vouched(&bundle.signatures, Role::Operator),
        "reviewed": vouched(&bundle.signatures, Role::Reviewer),
        "signatures": bundle.signatures,
        "previous": bundle.result.as_ref().and_then(|result| Some(&result.chain.previous.as_ref()?.run)),
    });
    let finding = |of: &str, finding: &Finding| ("finding", json!({"of": of, "finding": finding}));
    let mut lines = vec![("bundle", whole)];
    lines.extend(bundle.findings.iter().map(|found| finding("bundle", found)));
    lines.extend(unmet.iter().map(|(name, reason)| ("unmet", json!({"requirement": name, "reason": reason}))));
    lines.extend(recheck.checks.iter().map(|(asset, check)| ("check", json!({"asset": asset, "check": check}))));
    lines.extend(recheck.findings.iter().map(|found| finding("restored", found)));
    lines.push(("result", json!({"exit_code": code.number()})));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::sample,
        domain::{digest::Sha256Digest, finding::FindingKind},
    };

    fn bundle(verdict: Verdict, findings: Vec<Finding>) -> BundleCheck {
        let result = RunResult { verdict, ..sample::result() };
        let bundle_digest = Sha256Digest([7; 32]);
        let signatures = Vec::new();
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
        let words = "the bundle is consistent; nobody vouches for it; unreviewed; the run it records ended FAIL";
        assert_eq!(conclusion(Style::default(), &failed), words);
        assert_eq!(exit_code(&failed, &Restored::NotAsked), ExitCode::Verified);
    }

    #[test]
    fn a_changed_bundle_is_a_finding() {
        let note = Finding::of_run(FindingKind::PredecessorUnseen, "run-0", "");
        let changed = bundle(Verdict::Pass, vec![changed(), note]);
        assert_eq!(conclusion(Style::default(), &changed), "the bundle is not intact: 1 finding");
        assert_eq!(exit_code(&changed, &Restored::Senseless), ExitCode::Finding);
        let open = bundle(Verdict::Pass, vec![Finding::of_run(FindingKind::OtherVersion, "VERIFY.md", "")]);
        assert_eq!(conclusion(Style::default(), &open), "the bundle could not be checked in full: 1 finding");
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
