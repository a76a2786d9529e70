//! What was compared, in a few words. Reads the checks of a result; decides nothing.

use super::style::{count, count_of, thousands};
use crate::{domain::proof::Check, evidence::result::AssetResult};

/// For the summary: `3,012 of 3,012 objects read back`, `1,000,000 rows in 11 tables, 87 catalog objects`.
pub(super) fn of_asset(asset: &AssetResult) -> String {
    let parts: Vec<String> = [objects(asset), rows(asset), catalog(asset)].into_iter().flatten().collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

fn check<'a>(asset: &'a AssetResult, name: &str) -> Option<&'a Check> {
    asset.checks.iter().find(|check| check.name == name)
}

fn objects(asset: &AssetResult) -> Option<String> {
    let check = check(asset, "objects")?;
    let objects = count_of(check.compared, check.expected, "object", "objects");
    let sample = asset.objects.as_ref().and_then(|objects| objects.sample.as_ref());
    let of_all = sample.map(|sample| format!(" of a sample out of {}", thousands(sample.totals()[0].0)));
    Some(format!("{objects}{} read back{}", of_all.unwrap_or_default(), differing(check)))
}

fn rows(asset: &AssetResult) -> Option<String> {
    let check = check(asset, "digest").or_else(|| check(asset, "rows"))?;
    let tables = if check.compared == check.expected {
        format!("{} in {}", count(asset.items, "row", "rows"), count(check.compared, "table", "tables"))
    } else {
        count_of(check.compared, check.expected, "table", "tables")
    };
    Some(format!("{tables}{}", differing(check)))
}

fn catalog(asset: &AssetResult) -> Option<String> {
    let check = check(asset, "catalog")?;
    let objects = if check.compared == check.expected {
        count(check.compared, "catalog object", "catalog objects")
    } else {
        count_of(check.compared, check.expected, "catalog object", "catalog objects")
    };
    Some(format!("{objects}{}", differing(check)))
}

/// ` (2 differ)`.
fn differing(check: &Check) -> String {
    match check.compared.saturating_sub(check.equal) {
        0 => String::new(),
        1 => " (1 differs)".to_owned(),
        number => format!(" ({} differ)", thousands(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sample;

    fn with(place: usize, checks: &[(&str, u64, u64, u64)]) -> String {
        let mut asset = sample::result().assets.swap_remove(place);
        let check = |&(name, expected, compared, equal): &(&str, u64, u64, u64)| {
            sample::check(name, [expected, compared, equal])
        };
        asset.checks = checks.iter().map(check).collect();
        of_asset(&asset)
    }

    #[test]
    fn gaps_and_differences_are_named() {
        assert_eq!(with(0, &[("objects", 10, 9, 7)]), "9 of 10 objects read back (2 differ)");
        assert_eq!(
            with(1, &[("digest", 11, 9, 9), ("catalog", 87, 87, 86)]),
            "9 of 11 tables, 87 catalog objects (1 differs)"
        );
    }

    #[test]
    fn no_check_is_nothing() {
        assert_eq!((with(0, &[]), with(1, &[])), ("nothing".to_owned(), "nothing".to_owned()));
    }
}
