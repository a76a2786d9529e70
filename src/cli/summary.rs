//! What a person reads in ten seconds when a run has ended: the verdict, what was compared, what was found, what is
//! not proven, where the bundle is, and the next command. All of it from the outcome; nothing is measured here.

use std::{cmp::Reverse, path::Path};

use super::{
    account, compared, endorse,
    failure::hint,
    style::{Paint, Style, count, count_of, duration, near, rate, shell_word, size, thousands},
    table::{self, Cell, heading},
};
use crate::{
    domain::{
        digest::Sha256Digest,
        finding::{Finding, Verdict, printable},
        proof::Tier,
    },
    evidence::{
        findings::FINDINGS_NDJSON,
        result::{AssetResult, ClassCount, ObjectsResult, RunResult, SampleResult},
    },
    run::{RunEnd, RunOutcome, StoppedAsset},
};

/// Findings that the summary repeats.
const FINDINGS_SHOWN_MAX: usize = 10;

/// The lines of the summary.
pub(super) fn lines(style: Style, outcome: &RunOutcome) -> Vec<String> {
    match &outcome.end {
        RunEnd::Sealed { result, bundle_digest, signed } => {
            let mut lines = sealed(style, &outcome.bundle, result, *bundle_digest);
            lines.extend(signed.iter().flat_map(|signed| indented(endorse::lines(style, signed))));
            lines
        }
        RunEnd::Stopped { assets } => stopped(style, &outcome.bundle, assets),
        RunEnd::Interrupted => vec![format!("interrupted; {}", resume_hint(&outcome.bundle))],
    }
}

fn sealed(style: Style, bundle: &Path, result: &RunResult, digest: Sha256Digest) -> Vec<String> {
    let verdict = style.judged(result.verdict, result.tier == Tier::Sample);
    let tier = if result.tier == Tier::Sample { format!(" ({})", sample_tier(result)) } else { String::new() };
    let first = format!("{verdict}{tier}  {}  in {}", printable(&result.run), duration(result.duration_ms));
    let parts = [
        vec![first],
        covered(style, result),
        assets(style, result),
        findings(style, result),
        facts(style, bundle, result, digest),
    ];
    paragraphs(parts)
}

/// Required for a sampled run: how much of the sampled buckets it covers.
fn sample_tier(result: &RunResult) -> String {
    let samples = result.assets.iter().filter_map(|asset| asset.objects.as_ref()?.sample.as_ref());
    let sums = samples.map(SampleResult::totals).fold([(0, 0); 2], |sums: [(u64, u64); 2], totals| {
        [0, 1].map(|at| (sums[at].0.saturating_add(totals[at].0), sums[at].1.saturating_add(totals[at].1)))
    });
    let percent = |part: u64, whole: u64| 100.0 * part as f64 / (whole.max(1)) as f64;
    let [(objects, bytes), (taken_objects, taken_bytes)] = sums;
    format!(
        "{:.1} % of the objects, {:.1} % of the bytes of the sampled buckets",
        percent(taken_objects, objects),
        percent(taken_bytes, bytes)
    )
}

/// Parts with an empty line between; empty parts leave none.
fn paragraphs<const N: usize>(parts: [Vec<String>; N]) -> Vec<String> {
    let parts: Vec<Vec<String>> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(&String::new())
}

fn indented(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

/// How much of the account was tested comes before what was.
fn covered(style: Style, result: &RunResult) -> Vec<String> {
    let Some(coverage) = &result.coverage else { return Vec::new() };
    indented(account::coverage(style, &coverage.totals, &coverage.regions, "tested"))
}

fn assets(style: Style, result: &RunResult) -> Vec<String> {
    let mut rows = vec![heading(["asset", "verdict", "compared", "bytes", "rate"])];
    rows.extend(result.assets.iter().map(asset));
    indented(table::lines(style, &rows))
}

fn asset(asset: &AssetResult) -> Vec<Cell> {
    vec![
        printable(&asset.id).into(),
        Cell::painted(asset.verdict_words(), Paint::of_judged(asset.verdict, asset.tier == Tier::Sample)),
        compared::of_asset(asset).into(),
        size(asset.bytes).into(),
        rate(asset.bytes, asset.timings.transfer_ms).unwrap_or_else(|| "–".to_owned()).into(),
    ]
}

/// The most severe findings.
fn findings(style: Style, result: &RunResult) -> Vec<String> {
    let mut findings: Vec<&Finding> = result.all_findings().collect();
    findings.sort_by_key(|finding| Reverse(finding.kind.severity()));
    let shown = findings.iter().take(FINDINGS_SHOWN_MAX).map(|finding| style.finding_under(finding, &result.waivers));
    let mut lines: Vec<String> = shown.collect();
    let more = result.findings_total().saturating_sub(lines.len() as u64);
    if more > 0 {
        let filed = result.assets.iter().filter(|asset| asset.filed.is_some());
        let files: String =
            filed.map(|asset| format!(" and assets/{}/{FINDINGS_NDJSON}", printable(&asset.id))).collect();
        lines.push(format!("… and {} more, see result.json{files}", thousands(more)));
    }
    indented(lines)
}

fn facts(style: Style, bundle: &Path, result: &RunResult, digest: Sha256Digest) -> Vec<String> {
    let path = printable(&near(bundle));
    let facts = [
        ("provider", provider_confirmed(result)),
        ("mapped", mapped(result)),
        ("kept", kept(result)),
        ("moved", moved(result)),
        ("left out", left_out(result)),
        ("not portable", not_portable(result)),
        ("waived", waived(result)),
        ("not proven", not_proven(result)),
        ("bundle", Some(path)),
        ("digest", Some(digest.to_string())),
        ("check", Some(format!("walkaway verify {}", shell_word(bundle)))),
    ];
    let told = facts.into_iter().filter_map(|(word, text)| Some((word, text?)));
    let rows: Vec<Vec<Cell>> = told.map(|(word, text)| vec![Cell::painted(word, Paint::Faint), text.into()]).collect();
    indented(table::lines(style, &rows))
}

/// The sum of one number over all buckets.
fn objects(result: &RunResult, number: impl Fn(&ObjectsResult) -> u64) -> u64 {
    result.assets.iter().filter_map(|asset| asset.objects.as_ref()).map(number).fold(0, u64::saturating_add)
}

fn provider_confirmed(result: &RunResult) -> Option<String> {
    let confirmed = objects(result, |objects| objects.provider_confirmed);
    let all = confirmed.saturating_add(objects(result, |objects| objects.provider_unconfirmed));
    let objects = count_of(confirmed, all, "object", "objects");
    (all > 0).then(|| format!("{objects} confirmed by the provider's own checksum"))
}

fn mapped(result: &RunResult) -> Option<String> {
    let mapped = objects(result, |objects| objects.mapped);
    let text = count(mapped, "object", "objects");
    (mapped > 0).then(|| format!("{text} restored under another name, see the manifest"))
}

/// The outcome of all properties, if any could not be kept.
fn kept(result: &RunResult) -> Option<String> {
    let sum = |number: fn(&ClassCount) -> u64| {
        objects(result, |objects| number(&objects.classes).saturating_add(number(&objects.bucket_classes)))
    };
    let [carried, recorded] = [sum(|classes| classes.carried), sum(|classes| classes.recorded)].map(thousands);
    let [lost, unreadable] = [sum(|classes| classes.lost), sum(|classes| classes.unreadable)];
    (lost + unreadable > 0).then(|| {
        let lost = thousands(lost);
        let unreadable = thousands(unreadable);
        format!("of objects and buckets {carried} properties carried, {recorded} recorded, {lost} lost, {unreadable} unreadable")
    })
}

fn moved(result: &RunResult) -> Option<String> {
    let [came, changed, went] = [
        objects(result, |objects| objects.changes.came),
        objects(result, |objects| objects.changes.changed),
        objects(result, |objects| objects.changes.went),
    ];
    (came + changed + went > 0).then(|| {
        let came = count(came, "object", "objects");
        let changed = thousands(changed);
        let went = thousands(went);
        format!("{came} came, {changed} changed, {went} went at the provider during the run")
    })
}

fn left_out(result: &RunResult) -> Option<String> {
    let databases = result.assets.iter().filter_map(|asset| asset.database.as_ref());
    let tables: usize = databases.map(|database| database.excluded_tables.len()).sum();
    let exclusions = result.exclusions.len();
    let parts = [(exclusions, "exclusion", "exclusions"), (tables, "table", "tables")];
    let told =
        parts.iter().filter(|(number, ..)| *number > 0).map(|(number, one, many)| count(*number as u64, one, many));
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| format!("{} by the playbook, see result.json", told.join(" and ")))
}

fn not_portable(result: &RunResult) -> Option<String> {
    let databases = result.assets.iter().filter_map(|asset| asset.database.as_ref());
    let number: usize = databases.map(|database| database.not_portable.len()).sum();
    let text = count(number as u64, "thing exists", "things exist");
    (number > 0).then(|| format!("{text} nowhere but at the provider, see result.json"))
}

fn waived(result: &RunResult) -> Option<String> {
    let holding = result.waivers.iter().filter(|waiver| waiver.waives > 0);
    let told = holding.map(|waiver| {
        let findings = count(waiver.waives, "finding", "findings");
        let owner = printable(&waiver.owner);
        format!("{findings} until {} by {owner}: {}", waiver.until, printable(&waiver.reason))
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn not_proven(result: &RunResult) -> Option<String> {
    let number = result.not_proven.len() as u64;
    (number > 0).then(|| format!("{}, see result.json", count(number, "statement", "statements")))
}

fn stopped(style: Style, bundle: &Path, assets: &[StoppedAsset]) -> Vec<String> {
    let run = bundle.file_name().unwrap_or_default().to_string_lossy();
    let first = format!("{}  {}  stopped", style.verdict(Verdict::NotRun), printable(&run));
    let reasons = assets.iter().flat_map(|asset| stopped_asset(style, asset)).collect();
    paragraphs([vec![first], indented(reasons), indented(vec![resume_hint(bundle)])])
}

fn stopped_asset(style: Style, asset: &StoppedAsset) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", printable(&asset.asset), printable(&asset.reason))];
    lines.extend(asset.hint.as_deref().map(|text| hint(style, text)));
    lines
}

fn resume_hint(bundle: &Path) -> String {
    format!("go on with: walkaway resume {}", shell_word(bundle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::sample,
        domain::finding::FindingKind,
        evidence::result::{ExclusionResult, Stratum},
    };

    fn text(outcome: &RunOutcome) -> String {
        lines(Style::default(), outcome).join("\n")
    }

    #[test]
    fn a_pass_is_read_in_ten_seconds() {
        let expected = "\
PASS  demo-20261123T223000Z  in 41 s

  asset  verdict  compared                                         bytes    rate
  files  PASS     3,012 of 3,012 objects read back                 430 MiB  215 MiB/s
  shop   PASS     1,000,000 rows in 11 tables, 87 catalog objects  96 MiB   48 MiB/s

  provider    3,000 of 3,012 objects confirmed by the provider's own checksum
  not proven  1 statement, see result.json
  bundle      evidence/demo-20261123T223000Z
  digest      0707070707070707070707070707070707070707070707070707070707070707
  check       walkaway verify evidence/demo-20261123T223000Z";
        assert_eq!(text(&sample::sealed(sample::result())), expected);
    }

    #[test]
    fn the_heaviest_findings_come_first_and_the_rest_is_counted() {
        let mut result = sample::result();
        result.verdict = Verdict::Fail;
        result.findings = vec![Finding::of_run(FindingKind::Deviation, "a note", "")];
        let differs = |n: usize| Finding::of("files", FindingKind::ObjectDigest, format!("key {n}"), "");
        result.assets[0].findings = (0..12).map(differs).collect();
        let shown = findings(Style::default(), &result);
        assert_eq!(shown[0], "  FAIL     files: object differs in content: key 0");
        assert_eq!((shown.len(), shown[10].as_str()), (11, "  … and 3 more, see result.json"));
    }

    #[test]
    fn a_waived_finding_is_no_plain_failure() {
        let mut result = sample::result();
        result.assets[0].findings = vec![Finding::of("files", FindingKind::ObjectDigest, "key", "")];
        result.waivers = vec![crate::cli::sample::waiver("files: object differs in content")];
        let expected =
            "  waived   files: object differs in content: key; accepted until 2099-01-31 by dba@acme.example";
        assert_eq!(findings(Style::default(), &result), [expected]);
    }

    #[test]
    fn a_sample_never_looks_like_a_whole() {
        let mut result = sample::result();
        (result.tier, result.assets[0].tier) = (Tier::Sample, Tier::Sample);
        let stratum =
            Stratum { bytes_from: 4096, objects: 1000, bytes: 5_000_000, taken_objects: 20, taken_bytes: 110_000 };
        let drawn = SampleResult { share: "2%".into(), seed: 1, strata: vec![stratum] };
        result.assets[0].objects = Some(ObjectsResult { sample: Some(drawn), ..ObjectsResult::default() });
        let first = text(&sample::sealed(result)).lines().next().map(str::to_owned).unwrap_or_default();
        let tier = "PASS OF A SAMPLE (2.0 % of the objects, 2.2 % of the bytes of the sampled buckets)  demo-";
        assert!(first.starts_with(tier), "{first}");
    }

    #[test]
    fn what_is_left_out_is_said() {
        let mut result = sample::result();
        let exclusion = ExclusionResult {
            pattern: "s3:logs-*".into(),
            reason: "reproducible".into(),
            owner: "sre".into(),
            until: "2027-03-31".into(),
            expired: false,
            tags: std::collections::BTreeMap::new(),
        };
        result.exclusions = vec![exclusion.clone(), exclusion];
        assert_eq!(left_out(&result).as_deref(), Some("2 exclusions by the playbook, see result.json"));
    }

    #[test]
    fn a_stopped_run_says_why_and_how_to_go_on() {
        let shop =
            StoppedAsset { asset: "shop".into(), reason: "cannot connect".into(), hint: Some("start it".into()) };
        let outcome = RunOutcome {
            bundle: "evidence/demo-1".into(),
            end: RunEnd::Stopped { assets: vec![shop] },
            left_behind: vec![],
        };
        let expected = "\
NOT RUN  demo-1  stopped

  shop: cannot connect
    hint: start it

  go on with: walkaway resume evidence/demo-1";
        assert_eq!(text(&outcome), expected);
    }

    #[test]
    fn an_interrupted_run_says_how_to_go_on() {
        let outcome = RunOutcome { bundle: "evidence/demo-1".into(), end: RunEnd::Interrupted, left_behind: vec![] };
        assert_eq!(text(&outcome), "interrupted; go on with: walkaway resume evidence/demo-1");
    }
}
