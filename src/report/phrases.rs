//! Phrases and rows that the reports are composed of.

use std::cmp::Reverse;

use super::{
    scope::{Fate, Scope},
    table::{Cell, number},
};
use crate::{
    account::coverage::{Status, Totals},
    domain::{
        event::AssetKind,
        finding::{Finding, FindingKind, Severity},
    },
    evidence::result::{AssetResult, SampleResult, ThresholdResult},
    playbook::{Ceiling, Period},
    words::{count, count_of, duration, of, percent, rate, size, thousands},
};

/// What was covered of the account: everything, and also that nothing is untested or unreadable.
pub(super) fn account_rows(scope: &Scope) -> Vec<Vec<Cell>> {
    let row = |fate: Fate| {
        let amount = scope.amount(fate);
        let bytes = match (amount.bytes, amount.unknown) {
            (0, 1..) => "unknown".into(),
            (bytes, _) => number(size(bytes), bytes),
        };
        let rests = match amount.rests {
            0 => String::new(),
            rests => format!("with what is left of {} tested in part", count(rests, "thing", "things")),
        };
        let what = format!("{}, the account", fate.word());
        vec![what.into(), number(thousands(amount.things), amount.things), bytes, rests.into()]
    };
    let there = |fate: &Fate| matches!(fate, Fate::Untested | Fate::Unreadable) || scope.has(*fate);
    let mut rows: Vec<Vec<Cell>> = Fate::ALL.into_iter().filter(there).map(row).collect();
    rows.extend(unknown_row("the account", scope.unknown()));
    rows
}

/// The same of one region, of which the result has the sums.
pub(super) fn region_rows(region: &str, totals: &Totals) -> Vec<Vec<Cell>> {
    let place = match region {
        "?" => "region not stated".to_owned(),
        _ => format!("region {region}"),
    };
    let row = |status: Status| {
        let assets = totals.amount(status).assets;
        let bytes = totals.known_bytes(status).map_or_else(|| "unknown".into(), |bytes| number(size(bytes), bytes));
        let what = format!("{}, {place}", status.word());
        vec![what.into(), number(thousands(assets), assets), bytes, "".into()]
    };
    let there = |status: &Status| totals.amount(*status).assets > 0 || totals.amount(*status).bytes > 0;
    let mut rows: Vec<Vec<Cell>> = Status::ALL.into_iter().filter(there).map(row).collect();
    rows.extend(unknown_row(&place, totals.of_unknown_size));
    rows
}

fn unknown_row(place: &str, things: u64) -> Option<Vec<Cell>> {
    let what = format!("OF UNKNOWN SIZE, {place}");
    (things > 0).then(|| vec![what.into(), number(thousands(things), things), "unknown".into(), "".into()])
}

pub(super) fn named(id: &str, title: Option<&str>) -> String {
    title.map_or_else(|| id.to_owned(), |title| format!("{title} ({id})"))
}

pub(super) fn times(number: u32) -> String {
    count(u64::from(number), "time", "times")
}

/// A reason as a sentence of its own.
pub(super) fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

/// A finding's severity as a word.
pub(super) fn weight(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::NotRun => "NOT RUN",
        Severity::Fail => "FAIL",
    }
}

/// The kind of an asset.
pub(super) fn kind(kind: AssetKind) -> &'static str {
    kind.facts().word
}

pub(super) fn items(asset: &AssetResult) -> String {
    let (one, many) = asset.kind.facts().items;
    count(asset.items, one, many)
}

pub(super) fn format_of(asset: &AssetResult) -> String {
    match &asset.database {
        None if asset.pseudonyms().is_some() => "files, as the objects' bytes were, named by pseudonyms".to_owned(),
        None => "files, as the objects' bytes were".to_owned(),
        Some(database) => {
            format!(
                "PostgreSQL {} → {}, and COPY text for each table",
                database.source_version, database.target_version
            )
        }
    }
}

pub(super) fn compared(asset: &AssetResult) -> String {
    if asset.checks.is_empty() {
        return "nothing".to_owned();
    }
    let check = |check: &crate::domain::proof::Check| {
        let numbers = [check.equal, check.compared, check.expected].map(thousands).join(" / ");
        format!("{} {numbers}", check.name)
    };
    asset.checks.iter().map(check).collect::<Vec<_>>().join("; ")
}

pub(super) fn controls(asset: &AssetResult) -> String {
    let found = asset.controls.iter().filter(|control| control.found).count() as u64;
    of(found, asset.controls.len() as u64)
}

pub(super) fn times_of(asset: &AssetResult) -> String {
    let timings = asset.timings;
    let speed = rate(asset.bytes, timings.transfer_ms).map(|rate| format!(" ({rate})")).unwrap_or_default();
    format!(
        "{}{speed}, {}, {}",
        duration(timings.transfer_ms),
        duration(timings.rebuild_ms),
        duration(timings.verify_ms)
    )
}

/// A key of the playbook that bounds something, as text and as written there.
pub(super) fn term(key: &str) -> String {
    let words = match key {
        "objectives.rto" => "recovery time objective",
        "contract.transition" => "transition period",
        "contract.retrieval" => "retrieval period",
        "contract.notice" => "notice period",
        "run_time" => "time of the run",
        "time_to_exit_p50" => "time to exit, likely",
        "time_to_exit_p90" => "time to exit, in one of ten exits",
        "coverage_assets" => "share of the account's assets tested",
        "coverage_bytes" => "share of the account's bytes tested",
        _ => return key.to_owned(),
    };
    format!("{words} ({key})")
}

/// A time for planning: `9 h`, `1 h 31 min`, `72 h`, `30 days`.
pub(super) fn span(ms: u64) -> String {
    const MINUTE: u64 = 60_000;
    let minutes = ms.saturating_add(MINUTE / 2) / MINUTE;
    let hours = minutes / 60;
    let rest = minutes % 60;
    match (hours, rest) {
        (0, _) => duration(ms),
        (1..10, 1..) => format!("{hours} h {rest:02} min"),
        (1..100, _) => count(hours + u64::from(hours >= 10 && rest >= 30), "h", "h"),
        _ if hours.is_multiple_of(24) => count(hours / 24, "day", "days"),
        _ => format!("{} {} h", count(hours / 24, "day", "days"), hours % 24),
    }
}

/// A period as the playbook writes it, in words.
pub(super) fn period(written: &str) -> String {
    written.parse().map_or_else(|_| written.to_owned(), |period: Period| in_words(period.duration()))
}

fn in_words(time: std::time::Duration) -> String {
    span(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// `limit 1 h, measured 1 h 31 min`: limits and times as the result writes them, in one way.
pub(super) fn threshold_words(threshold: &ThresholdResult) -> String {
    format!("limit {}, measured {}", limit_words(threshold), measured_words(threshold))
}

pub(super) fn limit_words(threshold: &ThresholdResult) -> String {
    match threshold.limit.parse::<Ceiling>() {
        Ok(ceiling) => in_words(ceiling.period().duration()),
        Err(_) => threshold.limit.strip_prefix("<=").map_or_else(|| threshold.limit.clone(), |name| term(name.trim())),
    }
}

pub(super) fn measured_words(threshold: &ThresholdResult) -> String {
    let seconds = threshold.measured.strip_suffix('s').and_then(|text| text.parse::<f64>().ok());
    let time = seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
    time.map_or_else(|| threshold.measured.clone(), in_words)
}

/// `28 of 300 objects (9.3 %), 1.2 MiB of 1.3 MiB, seed 7`.
pub(super) fn sample_words(sample: &SampleResult) -> String {
    let [(objects, bytes), (taken, taken_bytes)] = sample.totals();
    format!(
        "a sample of {} ({}), {} of {}; share asked for {}, seed {}",
        count_of(taken, objects, "object", "objects"),
        percent(taken, objects),
        size(taken_bytes),
        size(bytes),
        sample.share,
        sample.seed
    )
}

/// The most severe findings come first: a blind verifier, then by severity, then what is missing before what differs,
/// in the order of kinds.
pub(super) fn gravity(finding: &Finding) -> (bool, Reverse<Severity>, FindingKind) {
    (finding.kind != FindingKind::VerifierBlind, Reverse(finding.severity), finding.kind)
}
