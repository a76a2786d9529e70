//! How much of the account was tested, as text, with what was not.

use super::style::{Paint, Style, count, size, thousands};
use crate::account::coverage::{RegionTotals, Status, Totals};

/// Regions that are shown; the others are in the result.
const REGIONS_SHOWN_MAX: usize = 5;

/// The inventory of the account lists more than what is counted here.
const NO_COPIES: &str = " (no copies such as snapshots)";

/// `tested 2 of 5 things in the account, 61.0 % of the 10 GiB that are known`, then what was not, then the regions where there are several.
pub(super) fn coverage(style: Style, totals: &Totals, regions: &[RegionTotals], verb: &str) -> Vec<String> {
    let mut lines = vec![format!("{verb} {}", told(totals, NO_COPIES)), rest(style, totals)];
    if regions.len() > 1 {
        let shown = regions.iter().take(REGIONS_SHOWN_MAX);
        lines.extend(shown.map(|region| format!("  {}: {}", region.region, told(&region.totals, ""))));
        let more = regions.len().saturating_sub(REGIONS_SHOWN_MAX);
        if more > 0 {
            lines.push(format!("  … and {}, see coverage.csv", count(more as u64, "more region", "more regions")));
        }
    }
    lines
}

fn told(totals: &Totals, remark: &str) -> String {
    let all = totals.assets_in_scope();
    let bytes = totals.bytes_in_scope();
    let share = match (u128::from(totals.bytes_tested()) * 1_000).checked_div(u128::from(bytes)) {
        Some(thousandths) => {
            format!("{}.{} % of the {} that are known", thousandths / 10, thousandths % 10, size(bytes))
        }
        None => "no bytes that are known".to_owned(),
    };
    let unknown = match totals.of_unknown_size {
        0 => String::new(),
        some => format!(", {} of unknown size", thousands(some)),
    };
    let tested = thousands(totals.tested.assets);
    let things = count(all, "thing", "things");
    format!("{tested} of {things} in the account{remark}, {share}{unknown}")
}

fn rest(style: Style, totals: &Totals) -> String {
    let others = Status::ALL.into_iter().filter(|status| *status != Status::Tested);
    let part = |status: Status| {
        let assets = totals.amount(status).assets;
        let bytes = totals.known_bytes(status).map_or_else(|| "size unknown".to_owned(), size);
        let text = format!("{} {} ({bytes})", status.word().to_lowercase(), thousands(assets));
        let alarming = assets > 0 && matches!(status, Status::Untested | Status::Unreadable);
        if alarming { style.paint(Paint::Warn, &text) } else { text }
    };
    let parts: Vec<String> = others.map(part).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::coverage::Amount;

    #[test]
    fn what_was_not_tested_is_said_in_numbers() {
        let amount = |assets, bytes| Amount { assets, bytes };
        let totals = Totals {
            tested: amount(2, 610),
            untested: amount(1, 390),
            excluded: amount(1, 5),
            of_unknown_size: 1,
            ..Totals::default()
        };
        let lines = coverage(Style::default(), &totals, &[], "tested");
        assert_eq!(
            lines[0],
            "tested 2 of 3 things in the account (no copies such as snapshots), 61.0 % of the 1,000 bytes that are known, 1 of unknown size"
        );
        assert_eq!(
            lines[1],
            "tested in part 0 (0 bytes), excluded 1 (5 bytes), untested 1 (390 bytes), unreadable 0 (0 bytes)"
        );
    }
}
