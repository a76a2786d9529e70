//! Compares two catalogs both ways.

use postgres::Client;

use super::{Comparison, differs::described};
use crate::{
    finding::{Finding, FindingKind},
    pg::catalog::{Catalog, CatalogKey},
};

/// Every object of the source must be on the target with the same definition, and the other way round.
/// Servers of two versions spell a view in two ways; `respelled` is how the target spells the source's.
pub fn compare_catalogs(
    asset: &str,
    source: &Catalog,
    target: &Catalog,
    mut respelled: impl FnMut(&str) -> Option<String>,
) -> Comparison {
    let mut comparison = Comparison::new("catalog");
    for (object, definition) in source {
        match target.get(object) {
            found if is_of_the_machine(object) => {
                comparison.findings.extend(found.and_then(|found| deviation(asset, object, definition, found)));
            }
            None if is_invalid_index(object, definition) => {
                let detail = "it is invalid at the source, so pg_dump leaves it out";
                comparison.findings.push(Finding::of(asset, FindingKind::Deviation, title(object), detail));
                comparison.compared(None);
            }
            Some(found) if object.class == "view" && found != definition => {
                let definition = respelled(definition).unwrap_or_else(|| definition.clone());
                comparison.compared(difference(asset, object, &definition, Some(found)));
            }
            found => comparison.compared(difference(asset, object, definition, found)),
        }
    }
    let new = |object: &&CatalogKey| !source.contains_key(object) && !is_given(object) && !is_of_the_machine(object);
    for object in target.keys().filter(new) {
        let kind = FindingKind::CatalogUnexpected;
        comparison.findings.push(Finding::of(asset, kind, title(object), "the source has no such object"));
    }
    comparison
}

/// Every new database has a schema `public`; a source that dropped it loses nothing by it.
fn is_given(object: &CatalogKey) -> bool {
    object.class == "schema" && object.name == "public"
}

/// How this server spells a view's definition: it is made for a moment, by whoever owns what was restored, and dropped.
pub fn respelled(client: &mut Client, definition: &str) -> Option<String> {
    let mut transaction = client.transaction().ok()?;
    // One statement and no more: the text comes from the source.
    transaction.execute(&format!("CREATE TEMPORARY VIEW walkaway_spelling AS {definition}"), &[]).ok()?;
    let sql = "SELECT pg_catalog.pg_get_viewdef('pg_temp.walkaway_spelling'::pg_catalog.regclass)";
    let spelled = transaction.query_one(sql, &[]).ok()?.try_get(0).ok();
    transaction.rollback().ok()?;
    spelled
}

/// An index that no query uses, such as the rest of a `CREATE INDEX CONCURRENTLY` that failed.
fn is_invalid_index(object: &CatalogKey, definition: &str) -> bool {
    object.class == "index" && format!("{definition} ").contains(" valid f ")
}

/// Versions of what the machine brings along: they may differ between two machines that hold the same data.
fn is_of_the_machine(object: &CatalogKey) -> bool {
    ["extension version", "collation version"].contains(&object.class.as_str())
}

fn deviation(asset: &str, object: &CatalogKey, source: &str, target: &str) -> Option<Finding> {
    let detail = || format!("{source} at the source, {target} here");
    (source != target).then(|| Finding::of(asset, FindingKind::Deviation, title(object), detail()))
}

fn difference(asset: &str, object: &CatalogKey, source: &str, target: Option<&String>) -> Option<Finding> {
    let finding = |kind, detail: String| Some(Finding::of(asset, kind, title(object), detail));
    match target {
        None => finding(FindingKind::CatalogMissing, "it is not on the target".to_owned()),
        Some(target) if target == source => None,
        // PostgreSQL spells some expressions with other casts and parentheses once they went through a dump.
        Some(target) if same_but_for_spelling(&object.class, source, target) => None,
        Some(target) => finding(FindingKind::CatalogDiffers, described(&object.class, source, target)),
    }
}

fn title(object: &CatalogKey) -> String {
    format!("{} {}", object.class, object.name)
}

/// Classes whose definitions are expressions that PostgreSQL spells from its parse tree.
const SPELLED: [&str; 6] = ["column", "constraint", "index", "policy", "type", "view"];
/// Casts between types of text, which a dump moves around.
const TEXT_CASTS: [&str; 4] = ["::character varying", "::bpchar", "::text", "::character"];

/// Whether two spellings of an expression differ only in what a trip through a dump is known to change: casts to a type
/// of text, and parentheses around a single name, literal or list of them. Such parentheses never decide an order.
fn same_but_for_spelling(class: &str, one: &str, other: &str) -> bool {
    SPELLED.contains(&class) && loosened(one) == loosened(other)
}

fn loosened(definition: &str) -> String {
    let mut text = without_text_casts(definition);
    while let Some((open, close)) = redundant_pair(&text) {
        text.remove(close);
        text.remove(open);
    }
    text
}

fn without_text_casts(definition: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut rest = definition;
    while let Some(first) = rest.chars().next() {
        if quote.is_none()
            && let Some(after) = after_text_cast(rest)
        {
            rest = after;
            continue;
        }
        quote = next_quote(quote, first);
        out.push(first);
        rest = &rest[first.len_utf8()..];
    }
    out
}

fn after_text_cast(text: &str) -> Option<&str> {
    let after = TEXT_CASTS.iter().find_map(|cast| text.strip_prefix(cast))?;
    let after = match after.strip_prefix('(').and_then(|length| length.split_once(')')) {
        Some((length, after)) if length.bytes().all(|digit| digit.is_ascii_digit()) => after,
        _ => after,
    };
    let after = after.strip_prefix("[]").unwrap_or(after);
    (!after.starts_with(is_word)).then_some(after)
}

/// Inside which quotes the text goes on after this character; a doubled quote leaves and enters again.
fn next_quote(quote: Option<char>, next: char) -> Option<char> {
    match (quote, next) {
        (None, '\'' | '"') => Some(next),
        (Some(open), next) if open == next => None,
        (quote, _) => quote,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The byte positions of a pair of parentheses that belong to no call and hold neither operator nor parenthesis.
fn redundant_pair(text: &str) -> Option<(usize, usize)> {
    let (mut open, mut quote, mut before) = (None, None, ' ');
    for (at, c) in text.char_indices() {
        let was = quote;
        quote = next_quote(quote, c);
        match c {
            _ if was.is_some() || quote.is_some() => {}
            '(' => open = (!is_word(before) && before != '"').then_some(at),
            ')' => {
                if let Some(open) = open {
                    return Some((open, at));
                }
            }
            ',' | '.' | '[' | ']' => {}
            ' ' if before == ',' => {}
            c if is_word(c) => {}
            _ => open = None,
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &[(&str, &str)], target: &[(&str, &str)]) -> Vec<FindingKind> {
        let catalog = |objects: &[(&str, &str)]| -> Catalog {
            let key = |name: &str| CatalogKey { class: "constraint".into(), name: name.into() };
            objects.iter().map(|(name, definition)| (key(name), (*definition).to_owned())).collect()
        };
        let comparison = compare_catalogs("a", &catalog(source), &catalog(target), |_| None);
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
    fn another_version_of_an_extension_is_said_and_no_failure() {
        let catalog = |version: &str| {
            let key = CatalogKey { class: "extension version".into(), name: "hstore".into() };
            Catalog::from([(key, version.to_owned())])
        };
        let comparison = compare_catalogs("a", &catalog("1.7"), &catalog("1.8"), |_| None);
        assert_eq!(comparison.findings[0].kind, FindingKind::Deviation);
        assert_eq!((comparison.check.expected, comparison.check.equal), (0, 0));
    }

    #[test]
    fn casts_and_parentheses_that_a_dump_moves_do_not_count() {
        let before = "CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))";
        let after = "CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))";
        assert!(kinds(&[("c", before)], &[("c", after)]).is_empty());
    }

    #[test]
    fn parentheses_that_decide_an_order_count() {
        assert_eq!(kinds(&[("c", "(a + b) * 2")], &[("c", "a + b * 2")]), [FindingKind::CatalogDiffers]);
        assert_eq!(kinds(&[("c", "(a OR b) AND c")], &[("c", "a OR (b AND c)")]), [FindingKind::CatalogDiffers]);
        assert_eq!(kinds(&[("c", "f(a)")], &[("c", "fa")]), [FindingKind::CatalogDiffers]);
        assert_eq!(kinds(&[("c", "a::integer")], &[("c", "a")]), [FindingKind::CatalogDiffers]);
        assert!(!same_but_for_spelling("function", "(a)", "a"));
    }

    #[test]
    fn literals_count_to_the_letter() {
        assert_eq!(kinds(&[("c", "s = '(a)'")], &[("c", "s = 'a'")]), [FindingKind::CatalogDiffers]);
        assert_eq!(kinds(&[("c", "s = 'a::text'")], &[("c", "s = 'a'")]), [FindingKind::CatalogDiffers]);
    }
}
