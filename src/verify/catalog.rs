//! Compares two catalogs both ways.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;

use super::{Comparison, differs::described, spelling::same_but_for_spelling};
use crate::{
    domain::finding::{Finding, FindingKind},
    pg::{
        Address, PgError,
        catalog::{self, Catalog, CatalogKey},
    },
};

/// How the target prints differing definitions of the source, and what it creates for versions of extensions
/// that it doesn't have. This takes temporary objects in the restored database: so it is determined before
/// the database's own event triggers exist, and before verification.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spellings {
    views: BTreeMap<String, String>,
    members: Catalog,
}

impl Spellings {
    /// Of the source's views and rules that the target prints differently, as between two versions.
    pub(crate) fn learn(source: &Catalog, target: &Address) -> Result<Self, PgError> {
        let mut client = target.connect()?;
        let restored = &catalog::definitions(&mut client)?;
        let differing = |class: &'static str| {
            source.iter().filter(move |(object, definition)| {
                object.class == class && restored.get(*object).is_some_and(|found| found != *definition)
            })
        };
        let views = differing("view");
        let mut spelled: BTreeMap<_, _> =
            views.filter_map(|(_, view)| Some((view.clone(), respelled(&mut client, view)?))).collect();
        let rules: Vec<_> = differing("rule").collect();
        if !rules.is_empty() {
            spelled.extend(respelled_rules(&mut client, &rules).unwrap_or_default());
        }
        // A connection that was lost on the way refused nothing.
        let is_there = client.batch_execute("SELECT 1");
        is_there.map_err(|error| PgError::statement("learning how the target spells definitions", &error))?;
        Ok(Spellings { views: spelled, members: Catalog::new() })
    }

    /// With the members that CREATE EXTENSION creates on the target for the source's versions, where those differ.
    #[must_use]
    pub(crate) fn with_members(self, members: Catalog) -> Self {
        Spellings { members, ..self }
    }

    fn of<'a>(&'a self, definition: &'a String) -> &'a String {
        self.views.get(definition).unwrap_or(definition)
    }
}

/// Every object of the source must be on the target with the same definition, and vice versa.
pub(crate) fn compare_catalogs(asset: &str, source: &Catalog, target: &Catalog, spellings: &Spellings) -> Comparison {
    let mut comparison = Comparison::new("catalog");
    let source = &without_own_names(source);
    let target = &without_own_names(target);
    let mut moved = BTreeSet::new();
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
            found if object.class == PROPERTY => {
                // Differences in members between versions prove nothing about users' changes.
                if versions(object, [source, target]) == Versions::Same {
                    comparison.compared(unlike_made(asset, object, definition, found, IN_EXTENSION));
                }
            }
            // A language that only the source has comes with an unaltered configuration.
            None if object.class == BUILT_IN => {}
            found if object.class == BUILT_IN => {
                comparison.compared(unlike_made(asset, object, definition, found, IN_SYSTEM));
            }
            found if object.class == MEMBER => {
                let versions = versions(object, [source, target]);
                let made = made_by_version(object, definition, &spellings.members);
                member(asset, (object, definition), found, (versions, made), &mut comparison)
            }
            Some(found) if ["rule", "view"].contains(&object.class.as_str()) => {
                comparison.compared(difference(asset, object, spellings.of(definition), Some(found)));
            }
            Some(found) if is_moved_column(object, definition, found) => {
                moved.extend(object.name.rsplit_once('.').map(|(relation, _)| relation.to_owned()));
                comparison.compared(None);
            }
            found => comparison.compared(difference(asset, object, definition, found)),
        }
    }
    let of_order = |relation: &String| {
        let detail = "they stand in another order than at the source, because a dump puts inherited ones first; statements \
                      that name no columns depend on it";
        Finding::of(asset, FindingKind::Deviation, format!("columns of {relation}"), detail)
    };
    comparison.findings.extend(moved.iter().map(of_order));
    let new = |object: &&CatalogKey| {
        !source.contains_key(object)
            && !is_given(object)
            && !is_of_the_machine(object)
            && object.class != BUILT_IN
            && (![MEMBER, PROPERTY].contains(&object.class.as_str())
                || versions(object, [source, target]) == Versions::Same)
    };
    for object in target.keys().filter(new) {
        let kind = FindingKind::CatalogUnexpected;
        comparison.findings.push(Finding::of(asset, kind, title(object), "the source has no such object"));
    }
    comparison
}

/// Constraints that a server creates and names implicitly, keyed by their content: each version names them in its own
/// way.
fn without_own_names(catalog: &Catalog) -> Catalog {
    let derived = |object: &CatalogKey| CatalogKey { class: DERIVED.to_owned(), name: object.name.clone() };
    let mut named = Catalog::new();
    for (object, definition) in catalog.iter().filter(|(object, _)| object.class != DERIVED) {
        let relation =
            Some(object).filter(|object| object.class == "constraint").and_then(|object| catalog.get(&derived(object)));
        let key = match relation {
            Some(relation) => CatalogKey { name: format!("{relation}: {definition}"), ..object.clone() },
            None => object.clone(),
        };
        named.insert(key, definition.clone());
    }
    named
}

const DERIVED: &str = "derived constraint";
const MEMBER: &str = "extension member";
const PROPERTY: &str = "property of extension member";
const BUILT_IN: &str = "built-in text search";
/// What to do about what a dump omits.
const IN_EXTENSION: &str = "a user changed it at the source (ALTER, COMMENT), and a dump leaves out whatever belongs to an \
                            extension: give the change a script that is run after CREATE EXTENSION";
const IN_SYSTEM: &str = "a user changed it at the source (ALTER TEXT SEARCH …), and a dump leaves out whatever PostgreSQL \
                         brings along: make a configuration of your own for it";

/// A difference, with the reason why a dump omits it.
fn unlike_made(
    asset: &str,
    object: &CatalogKey,
    definition: &str,
    found: Option<&String>,
    why: &str,
) -> Option<Finding> {
    let finding = difference(asset, object, definition, found)?;
    Some(Finding { detail: format!("{}; {why}", finding.detail), ..finding })
}

/// The versions of an extension at the source and on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Versions {
    Same,
    Other(String),
    /// The extension itself is missing, which is a finding of its own.
    Absent,
}

fn versions(member: &CatalogKey, [source, target]: [&Catalog; 2]) -> Versions {
    let extension = member.name.split(": ").next().unwrap_or_default();
    let key = CatalogKey { class: "extension version".to_owned(), name: extension.to_owned() };
    match (source.get(&key), target.get(&key)) {
        (Some(source), Some(target)) if source == target => Versions::Same,
        (Some(source), Some(target)) => {
            Versions::Other(format!("{extension} is {source} at the source, {target} here"))
        }
        _ => Versions::Absent,
    }
}

/// Whether CREATE EXTENSION of the source's version creates a member identically; none where that was not tried.
fn made_by_version(member: &CatalogKey, definition: &str, made: &Catalog) -> Option<bool> {
    let (extension, _) = member.name.split_once(": ")?;
    let is_known = made.keys().any(|key| key.name.split_once(": ").is_some_and(|(other, _)| other == extension));
    is_known.then(|| made.get(member).is_some_and(|own| own == definition))
}

/// A member that CREATE EXTENSION of the source's version doesn't create was added to the extension or changed by
/// a user. Where the target has another version and can't create that one, this is unknown, and it is reported.
fn member(
    asset: &str,
    (object, definition): (&CatalogKey, &str),
    found: Option<&String>,
    (versions, made): (Versions, Option<bool>),
    comparison: &mut Comparison,
) {
    match (versions, made) {
        (Versions::Absent, _) | (Versions::Other(_), Some(true)) => {}
        (Versions::Same, _) | (Versions::Other(_), Some(false)) => {
            let detail = "a user gave it to the extension or changed it there, and a dump leaves out whatever belongs to \
                          one: take it out at the source (ALTER EXTENSION … DROP …) to have it carried";
            comparison.compared(unlike_made(asset, object, definition, found, detail));
        }
        (Versions::Other(versions), None) if found.is_none() => {
            let detail = format!(
                "{versions}, which lacks it: the version there has it, or a user gave it to the extension (ALTER EXTENSION \
                 … ADD), and this server cannot make that version to tell; look, and waive this if nothing of yours is lost"
            );
            comparison.not_compared(Finding::of(asset, FindingKind::NotCarried, title(object), detail));
        }
        (Versions::Other(_), None) => {}
    }
}

/// Whether a column differs only in its position among the others.
fn is_moved_column(object: &CatalogKey, source: &str, target: &str) -> bool {
    let rest = |definition: &str| definition.split_once(' ').map(|(_, rest)| rest.to_owned());
    object.class == "column"
        && source != target
        && rest(source).zip(rest(target)).is_some_and(|(one, other)| same_but_for_spelling("column", &one, &other))
}

/// Every new database has a schema `public`; a source that dropped it loses nothing by that.
fn is_given(object: &CatalogKey) -> bool {
    object.class == "schema" && object.name == "public"
}

/// How this server prints a view's definition: created temporarily by the owner of the restored objects.
fn respelled(client: &mut Client, definition: &str) -> Option<String> {
    let mut transaction = client.transaction().ok()?;
    // One statement and no more: the text comes from the source.
    transaction.execute(&format!("CREATE TEMPORARY VIEW walkaway_spelling AS {definition}"), &[]).ok()?;
    let sql = "SELECT pg_catalog.pg_get_viewdef('pg_temp.walkaway_spelling'::pg_catalog.regclass)";
    let spelled = transaction.query_one(sql, &[]).ok()?.try_get(0).ok();
    transaction.rollback().ok()?;
    spelled
}

/// How this server prints rules: each replaces the restored one temporarily. A rule that the server rejects has no
/// printed form.
fn respelled_rules(client: &mut Client, rules: &[(&CatalogKey, &String)]) -> Option<BTreeMap<String, String>> {
    let mut transaction = client.transaction().ok()?;
    let mut taken = Vec::new();
    for (object, rule) in rules {
        // After the statement comes whether the rule is enabled, which a statement does not change.
        let Some((statement, state)) = rule.rsplit_once(' ') else { continue };
        let Some(rest) = statement.strip_prefix("CREATE RULE ") else { continue };
        let mut attempt = transaction.transaction().ok()?;
        // One statement and no more: the text comes from the source.
        if attempt.execute(&format!("CREATE OR REPLACE RULE {rest}"), &[]).is_ok() {
            attempt.commit().ok()?;
            taken.push((*object, *rule, state));
        }
    }
    let there = catalog::definitions(&mut transaction).ok()?;
    transaction.rollback().ok()?;
    let spelled = taken.into_iter().filter_map(|(object, rule, state)| {
        let (statement, _) = there.get(object)?.rsplit_once(' ')?;
        Some((rule.clone(), format!("{statement} {state}")))
    });
    Some(spelled.collect())
}

/// An index that no query uses, such as the remains of a failed `CREATE INDEX CONCURRENTLY`.
fn is_invalid_index(object: &CatalogKey, definition: &str) -> bool {
    object.class == "index" && format!("{definition} ").contains(" valid f ")
}

/// Versions of the machine's libraries: they may differ between two machines with the same data.
fn is_of_the_machine(object: &CatalogKey) -> bool {
    ["extension version", "collation version", "locale version"].contains(&object.class.as_str())
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
        // PostgreSQL prints some expressions with other casts and parentheses after a dump and restore.
        Some(target) if same_but_for_spelling(&object.class, source, target) => None,
        Some(target) => finding(FindingKind::CatalogDiffers, described(&object.class, source, target)),
    }
}

fn title(object: &CatalogKey) -> String {
    format!("{} {}", object.class, object.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &[(&str, &str)], target: &[(&str, &str)]) -> Vec<FindingKind> {
        let catalog = |objects: &[(&str, &str)]| -> Catalog {
            let key = |name: &str| CatalogKey { class: "constraint".into(), name: name.into() };
            objects.iter().map(|(name, definition)| (key(name), (*definition).to_owned())).collect()
        };
        let comparison = compare_catalogs("a", &catalog(source), &catalog(target), &Spellings::default());
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
        let comparison = compare_catalogs("a", &catalog("1.7"), &catalog("1.8"), &Spellings::default());
        assert_eq!(comparison.findings[0].kind, FindingKind::Deviation);
        assert_eq!((comparison.check.expected, comparison.check.equal), (0, 0));
    }

    /// Classes, names and definitions.
    type Objects<'a> = &'a [(&'a str, &'a str, &'a str)];

    fn found_in(source: Objects<'_>, target: Objects<'_>) -> Vec<(FindingKind, String)> {
        found_beside(source, target, &[])
    }

    /// The same where the target was found to create these members for the source's versions of extensions.
    fn found_beside(source: Objects<'_>, target: Objects<'_>, made: Objects<'_>) -> Vec<(FindingKind, String)> {
        let catalog = |objects: Objects<'_>| -> Catalog {
            let key = |class: &str, name: &str| CatalogKey { class: class.into(), name: name.into() };
            objects.iter().map(|(class, name, definition)| (key(class, name), (*definition).to_owned())).collect()
        };
        let spellings = Spellings::default().with_members(catalog(made));
        let comparison = compare_catalogs("a", &catalog(source), &catalog(target), &spellings);
        comparison.findings.into_iter().map(|finding| (finding.kind, finding.subject)).collect()
    }

    #[test]
    fn columns_in_another_order_are_said_once_and_no_failure() {
        let source = [("column", "s.kin.late", "2 integer f"), ("column", "s.kin.own", "3 text f")];
        let target = [("column", "s.kin.late", "3 integer f"), ("column", "s.kin.own", "2 text f")];
        assert_eq!(found_in(&source, &target), [(FindingKind::Deviation, "columns of s.kin".to_owned())]);
        let other = [("column", "s.kin.late", "3 bigint f"), ("column", "s.kin.own", "3 text f")];
        assert_eq!(found_in(&source, &other), [(FindingKind::CatalogDiffers, "column s.kin.late".to_owned())]);
    }

    #[test]
    fn constraints_that_a_server_named_are_matched_by_what_they_say() {
        let key = "FOREIGN KEY (a) REFERENCES s.p1(a) valid true";
        let of = |name: &'static str, definition: &'static str| {
            [("constraint", name, definition), ("derived constraint", name, "s.r")]
        };
        assert!(found_in(&of("s.r.r_a_fkey1", key), &of("s.r.r_a_fkey_1", key)).is_empty());
        let missing = found_in(&of("s.r.r_a_fkey1", key), &[]);
        assert_eq!(missing, [(FindingKind::CatalogMissing, format!("constraint s.r: {key}"))]);
        let named = found_in(&[("constraint", "s.r.mine", key)], &[("constraint", "s.r.yours", key)]);
        assert_eq!(named.len(), 2, "{named:?}");
    }

    #[test]
    fn what_users_gave_to_an_extension_is_missed_and_what_its_version_brings_is_not() {
        let table = "x: table s.q";
        let function = "x: function s.f()";
        let of = |version: &'static str, members: &[&'static str]| {
            let mut objects = vec![("extension version", "x", version)];
            objects.extend(members.iter().map(|member| (MEMBER, *member, "")));
            objects
        };
        let all = of("1.8", &[table, function]);
        let expected =
            [function, table].map(|member| (FindingKind::CatalogMissing, format!("extension member {member}")));
        assert_eq!(found_in(&all, &of("1.8", &[])), expected);
        let newer = of("1.9", &["x: function s.new()"]);
        let member = |kind, member: &str| (kind, format!("extension member {member}"));
        let deviation = (FindingKind::Deviation, "extension version x".to_owned());
        // Nothing here creates 1.8: their owner is unknown.
        let unknown = [function, table].map(|one| member(FindingKind::NotCarried, one));
        assert_eq!(found_in(&all, &newer), [&unknown[..], std::slice::from_ref(&deviation)].concat());
        // Here 1.8 has the function; so the table was a user's. A function that a user changed was the user's, too.
        let made = [(MEMBER, function, "")];
        let missed = [member(FindingKind::CatalogMissing, table), deviation.clone()];
        assert_eq!(found_beside(&all, &newer, &made), missed);
        let changed = [("extension version", "x", "1.8"), (MEMBER, function, "changed")];
        assert_eq!(
            found_beside(&changed, &newer, &made),
            [member(FindingKind::CatalogMissing, function), deviation.clone()]
        );
        assert_eq!(found_beside(&of("1.8", &[function]), &newer, &made), [deviation]);
        assert!(found_in(&all, &[]).is_empty(), "the extension itself is a finding of the class that names it");
        assert_eq!(found_in(&of("1.8", &[]), &of("1.8", &[table])).len(), 1);
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
