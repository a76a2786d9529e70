//! Phrases and rows that the story is put together from.

use super::table::{Cell, number};
use crate::{
    account::coverage::{Amount, Totals},
    event::AssetKind,
    evidence::result::AssetResult,
    finding::Severity,
    words::{count, duration, of, rate, size, thousands},
};

/// What was covered of the account, or of one region of it.
/// Of a region, only what there is.
pub(super) fn account_rows(region: &str, totals: &Totals) -> Vec<Vec<Cell>> {
    let place = match region {
        "" => "the account".to_owned(),
        "?" => "region not stated".to_owned(),
        _ => format!("region {region}"),
    };
    let row = |(what, amount): (&str, Amount)| {
        vec![
            format!("{what}, {place}").into(),
            number(thousands(amount.assets), amount.assets),
            number(size(amount.bytes), amount.bytes),
            "–".into(),
            "".into(),
        ]
    };
    let mut rows: Vec<Vec<Cell>> = [
        ("TESTED", totals.tested),
        ("TESTED IN PART", totals.partly_tested),
        ("EXCLUDED", totals.excluded),
        ("UNTESTED", totals.untested),
        ("UNREADABLE", totals.unreadable),
    ]
    .into_iter()
    .filter(|(_, amount)| region.is_empty() || amount.assets > 0)
    .map(row)
    .collect();
    if totals.of_unknown_size > 0 {
        let unknown = number(thousands(totals.of_unknown_size), totals.of_unknown_size);
        rows.push(vec![format!("OF UNKNOWN SIZE, {place}").into(), unknown, "unknown".into(), "–".into(), "".into()]);
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
    match kind {
        AssetKind::S3 => "bucket",
        AssetKind::Postgres => "database",
    }
}

pub(super) fn items(asset: &AssetResult) -> String {
    match asset.kind {
        AssetKind::S3 => count(asset.items, "object", "objects"),
        AssetKind::Postgres => count(asset.items, "row", "rows"),
    }
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
