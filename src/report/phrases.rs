//! Phrases and rows that the story is put together from.

use super::table::{Cell, number};
use crate::{
    account::coverage::{Status, Totals},
    event::AssetKind,
    evidence::result::{AssetResult, SampleResult},
    finding::Severity,
    words::{count, count_of, duration, of, percent, rate, size, thousands},
};

/// What was covered of the account, or of one region of it. Of a region, only what there is; of the account also that
/// nothing is untested or unreadable.
pub(super) fn account_rows(region: &str, totals: &Totals) -> Vec<Vec<Cell>> {
    let place = match region {
        "" => "the account".to_owned(),
        "?" => "region not stated".to_owned(),
        _ => format!("region {region}"),
    };
    let row = |status: Status| {
        let assets = totals.amount(status).assets;
        let bytes = totals.known_bytes(status).map_or_else(|| "unknown".into(), |bytes| number(size(bytes), bytes));
        let what = format!("{}, {place}", status.word());
        vec![what.into(), number(thousands(assets), assets), bytes, "".into()]
    };
    let always = |status: &Status| region.is_empty() && matches!(status, Status::Untested | Status::Unreadable);
    let there = |status: &Status| always(status) || totals.amount(*status).assets > 0;
    let mut rows: Vec<Vec<Cell>> = Status::ALL.into_iter().filter(there).map(row).collect();
    if totals.of_unknown_size > 0 {
        let unknown = number(thousands(totals.of_unknown_size), totals.of_unknown_size);
        rows.push(vec![format!("OF UNKNOWN SIZE, {place}").into(), unknown, "unknown".into(), "".into()]);
    }
    rows
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

/// A finding's weight as a word.
pub(super) fn weight(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::NotRun => "NOT RUN",
        Severity::Fail => "FAIL",
    }
}

/// What an asset is.
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
    let check = |check: &crate::evidence::result::Check| {
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
