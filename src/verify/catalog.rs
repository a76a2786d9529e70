//! Compares two catalogs both ways.

use super::Comparison;
use crate::{
    finding::{Finding, FindingKind},
    pg::catalog::{Catalog, CatalogKey},
};

/// Every object of the source must be on the target with the same definition, and the other way round.
pub fn compare_catalogs(asset: &str, source: &Catalog, target: &Catalog) -> Comparison {
    let mut comparison = Comparison::new("catalog");
    for (object, definition) in source {
        comparison.compared(difference(asset, object, definition, target.get(object)));
    }
    for object in target.keys().filter(|object| !source.contains_key(object) && !is_given(object)) {
        let kind = FindingKind::CatalogUnexpected;
        comparison.findings.push(Finding::of(asset, kind, title(object), "the source has no such object"));
    }
    comparison
}

/// Every new database has a schema `public`; a source that dropped it loses nothing by it.
fn is_given(object: &CatalogKey) -> bool {
    object.class == "schema" && object.name == "public"
}

fn difference(asset: &str, object: &CatalogKey, source: &str, target: Option<&String>) -> Option<Finding> {
    let finding = |kind, detail: String| Some(Finding::of(asset, kind, title(object), detail));
    match target {
        None => finding(FindingKind::CatalogMissing, "it is not on the target".to_owned()),
        Some(target) if target == source => None,
        // PostgreSQL spells some expressions with other casts and parentheses once they went through a dump.
        Some(target) if loosened(target) == loosened(source) => None,
        Some(target) => finding(FindingKind::CatalogDiffers, format!("source: {source}; target: {target}")),
    }
}

fn title(object: &CatalogKey) -> String {
    format!("{} {}", object.class, object.name)
}

/// A definition without casts, parentheses and white space outside of string literals.
fn loosened(definition: &str) -> String {
    let mut out = String::new();
    let mut rest = definition;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let end = rest[1..].find('\'').map_or(rest.len(), |at| at + 2);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if let Some(after) = rest.strip_prefix("::") {
            rest = without_type(after);
        } else {
            if !matches!(first, '(' | ')') && !first.is_whitespace() {
                out.push(first);
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Skips a type's name after `::`, such as `character varying[]`.
fn without_type(text: &str) -> &str {
    let named = text.trim_start_matches(|c: char| c.is_alphanumeric() || "_.\"".contains(c));
    let named = named.strip_prefix(" varying").unwrap_or(named);
    named.strip_prefix("[]").unwrap_or(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &[(&str, &str)], target: &[(&str, &str)]) -> Vec<FindingKind> {
        let catalog = |objects: &[(&str, &str)]| -> Catalog {
            let key = |name: &str| CatalogKey { class: "index".into(), name: name.into() };
            objects.iter().map(|(name, definition)| (key(name), (*definition).to_owned())).collect()
        };
        let comparison = compare_catalogs("a", &catalog(source), &catalog(target));
        comparison.findings.iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn both_directions_are_compared() {
        assert_eq!(kinds(&[("a", "x")], &[]), [FindingKind::CatalogMissing]);
        assert_eq!(kinds(&[], &[("a", "x")]), [FindingKind::CatalogUnexpected]);
        assert_eq!(kinds(&[("a", "x")], &[("a", "y")]), [FindingKind::CatalogDiffers]);
        assert!(kinds(&[("a", "x")], &[("a", "x")]).is_empty());
    }

    #[test]
    fn casts_and_parentheses_that_a_dump_moves_do_not_count() {
        let before = "CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))";
        let after = "CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))";
        assert!(kinds(&[("c", before)], &[("c", after)]).is_empty());
    }

    #[test]
    fn literals_count_to_the_letter() {
        assert_eq!(kinds(&[("c", "s = '(a)'")], &[("c", "s = 'a'")]), [FindingKind::CatalogDiffers]);
        assert_eq!(kinds(&[("c", "s = 'a::text'")], &[("c", "s = 'a'")]), [FindingKind::CatalogDiffers]);
    }
}
