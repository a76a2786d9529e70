//! What a restored database has beside its rows, as one digest for each item, and whether it still does.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;

use super::Comparison;
use crate::{
    domain::{
        digest::{RowDigest, RowKey, RowTotals, Sha256Digest},
        finding::{Finding, FindingKind},
    },
    pg::{
        Address, PgError,
        catalog::{self, Catalog, SequenceState, rights, special},
        copy,
        large::{self, LargeObject},
        name::RelationName,
    },
};

const SEQUENCE: &str = "sequence value";
const LARGE_OBJECT: &str = "large object";
const VIEW_ROWS: &str = "rows of materialized view";
const GENERATED: &str = "rows with generated columns of table";
const DATABASE: &str = "database";
/// That the classes of [`catalog::LATER`] were read, too.
const CLASSES: &str = "classes";
const SETTING: &str = "setting";
const ROLE: &str = "role";
const OWNER: &str = "owner";

/// Class and name of each item, with the digest of its definition.
pub type State = BTreeMap<(String, String), Sha256Digest>;

/// Reads a database's sequences, catalog and settings; its large objects too, unless they were just read.
pub fn state_of(client: &mut Client, large_objects: Option<&[LargeObject]>) -> Result<State, PgError> {
    let mut state = digests(catalog::definitions(client)?);
    state.extend(digests(catalog::beside(client)?));
    state.insert((DATABASE.to_owned(), "properties".to_owned()), Sha256Digest::of(catalog::properties(client)?));
    state.insert((DATABASE.to_owned(), CLASSES.to_owned()), Sha256Digest::of(catalog::LATER.join(",")));
    for setting in special::settings(client)? {
        // Roles of other databases are unknown here, and don't belong to this database.
        if !setting.everywhere || setting.role.is_none() {
            state.insert((SETTING.to_owned(), setting.place()), Sha256Digest::of(&setting.value));
        }
    }
    for SequenceState { name, last_value, is_called } in catalog::sequences(client)? {
        let stands = Sha256Digest::of(format!("{last_value} {is_called}"));
        state.insert((SEQUENCE.to_owned(), name.to_string()), stands);
    }
    let read = match large_objects {
        Some(objects) => objects.to_vec(),
        None => {
            let numbers = large::list(client)?;
            numbers.into_iter().map(|oid| large::read(client, oid, |_, _| Ok(()))).collect::<Result<_, _>>()?
        }
    };
    state.extend(read.into_iter().map(|object| ((LARGE_OBJECT.to_owned(), object.oid.to_string()), object.sha256)));
    Ok(state)
}

/// Owners and grants, and attributes and settings of the copied roles.
pub fn rights_of(client: &mut Client, carried: &BTreeSet<String>) -> Result<State, PgError> {
    let mut state = digests(rights::compared::state(client, carried)?);
    for setting in special::settings(client)? {
        if setting.everywhere && setting.role.as_ref().is_some_and(|role| carried.contains(role)) {
            state.insert((SETTING.to_owned(), setting.place()), Sha256Digest::of(&setting.value));
        }
    }
    Ok(state)
}

/// Digests of a materialized view's rows.
pub fn of_view(name: &RelationName, totals: &RowTotals) -> ((String, String), Sha256Digest) {
    let RowTotals { rows, bytes, digest } = totals;
    ((VIEW_ROWS.to_owned(), name.to_string()), Sha256Digest::of(format!("{rows} {bytes} {digest}")))
}

/// Digests of a table's rows with its generated columns.
pub fn of_generated(table: &str, totals: &RowTotals) -> ((String, String), Sha256Digest) {
    let RowTotals { rows, bytes, digest } = totals;
    ((GENERATED.to_owned(), table.to_owned()), Sha256Digest::of(format!("{rows} {bytes} {digest}")))
}

/// Digests of the rows that a statement, also the digest's context, copies from the restored database.
pub(super) fn totals(target: &Address, key: RowKey, table: &str, copy_sql: &str) -> Result<RowTotals, PgError> {
    copy::totals_of(&mut target.wire()?, table, copy_sql, RowDigest::new(key, copy_sql), |_, _| {})
}

/// Drops the classes that the verifying version did not read yet.
fn forget_later(proven: &State, found: &mut State) {
    let classes = (DATABASE.to_owned(), CLASSES.to_owned());
    let known = proven.get(&classes);
    let knew = |count: &usize| known == Some(&Sha256Digest::of(catalog::LATER[..*count].join(",")));
    let count = (1..=catalog::LATER.len()).find(knew).unwrap_or(0);
    found.retain(|(class, _), _| !catalog::LATER[count..].contains(&class.as_str()));
    match known {
        Some(digest) if count > 0 => found.insert(classes, *digest),
        _ => found.remove(&classes),
    };
}

fn digests(catalog: Catalog) -> State {
    catalog.into_iter().map(|(key, definition)| ((key.class, key.name), Sha256Digest::of(definition))).collect()
}

/// Reads from a restored database what its verification read: `proven` lists that. Also returns what the bundle of
/// an earlier version lacks.
pub fn again(address: &Address, key: RowKey, proven: &State) -> Result<(State, Option<&'static str>), PgError> {
    let mut client = address.connect()?;
    let mut found = state_of(&mut client, None)?;
    let of = |class: &'static str| proven.keys().filter(move |(found, _)| found == class).map(|(_, name)| name);
    if of(DATABASE).next().is_none() {
        found.retain(|(class, _), _| class != DATABASE && class != SETTING);
        return Ok((found, Some("roles, owners, grants, settings, rows of materialized views")));
    }
    forget_later(proven, &mut found);
    if of(OWNER).next().is_some() {
        found.extend(rights_of(&mut client, &of(ROLE).cloned().collect())?);
    }
    let views: BTreeSet<_> = of(VIEW_ROWS).collect();
    for view in catalog::materialized_views(&mut client)?.iter().filter(|view| views.contains(&view.name.to_string())) {
        let totals = copy::totals(&mut address.wire()?, view, &view.select_out_sql(), key, |_, _| {})?;
        found.extend([of_view(&view.name, &totals)]);
    }
    let generated: BTreeSet<_> = of(GENERATED).collect();
    for table in catalog::tables(&mut client)?.iter().filter(|table| generated.contains(&table.name.to_string())) {
        let name = table.name.to_string();
        let totals = totals(address, key, &name, &table.whole_out_sql())?;
        found.extend([of_generated(&name, &totals)]);
    }
    Ok((found, None))
}

/// The checks of the items.
const CHECKS: [&str; 5] = ["sequences", "large objects", "catalog", "materialized views", "generated columns"];

/// Compares a database's state with its state at verification, both ways.
pub fn compare_state(asset: &str, proven: &State, found: &State) -> Vec<Comparison> {
    let kinds = |class: &str| match class {
        SEQUENCE => ("sequences", FindingKind::SequenceValue, FindingKind::SequenceValue),
        LARGE_OBJECT => ("large objects", FindingKind::LargeObject, FindingKind::LargeObject),
        VIEW_ROWS => ("materialized views", FindingKind::TableMissing, FindingKind::TableDigest),
        GENERATED => ("generated columns", FindingKind::TableMissing, FindingKind::TableDigest),
        _ => ("catalog", FindingKind::CatalogMissing, FindingKind::CatalogDiffers),
    };
    let mut comparisons = CHECKS.map(Comparison::new);
    let place = |name: &str| CHECKS.iter().position(|one| *one == name);
    for ((class, name), digest) in proven {
        let (check, missing, differs) = kinds(class);
        let finding = |kind, detail: &str| Some(Finding::of(asset, kind, format!("{class} {name}"), detail));
        let difference = match found.get(&(class.clone(), name.clone())) {
            None => finding(missing, "it was there when it was proven"),
            Some(now) if now != digest => finding(differs, "it is not what it was when it was proven"),
            Some(_) => None,
        };
        if let Some(place) = place(check) {
            comparisons[place].compared(difference);
        }
    }
    for (class, name) in found.keys().filter(|thing| !proven.contains_key(*thing)) {
        let detail = "it was not there when the database was proven";
        let new = Finding::of(asset, FindingKind::CatalogUnexpected, format!("{class} {name}"), detail);
        if let Some(place) = place(kinds(class).0) {
            comparisons[place].findings.push(new);
        }
    }
    comparisons.into_iter().filter(|one| one.check.expected > 0 || !one.findings.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_came_or_went_is_named() {
        let state = |things: &[(&str, &str, &str)]| -> State {
            let thing = |(class, name, what): &(&str, &str, &str)| {
                ((class.to_string(), name.to_string()), Sha256Digest::of(what))
            };
            things.iter().map(thing).collect()
        };
        let proven = state(&[
            ("index", "a", "1"),
            ("index", "b", "1"),
            (SEQUENCE, "s", "1 t"),
            (LARGE_OBJECT, "7", "x"),
            (VIEW_ROWS, "v", "1"),
        ]);
        let found = state(&[
            ("index", "a", "2"),
            ("index", "c", "1"),
            (SEQUENCE, "s", "2 t"),
            (LARGE_OBJECT, "7", "x"),
            (VIEW_ROWS, "v", "2"),
        ]);
        let findings: Vec<_> = compare_state("asset", &proven, &found)
            .into_iter()
            .flat_map(|comparison| comparison.findings)
            .map(|finding| (finding.kind, finding.subject))
            .collect();
        let expected = [
            (FindingKind::SequenceValue, "sequence value s"),
            (FindingKind::CatalogDiffers, "index a"),
            (FindingKind::CatalogMissing, "index b"),
            (FindingKind::CatalogUnexpected, "index c"),
            (FindingKind::TableDigest, "rows of materialized view v"),
        ];
        assert_eq!(findings, expected.map(|(kind, subject)| (kind, subject.to_owned())));
    }

    #[test]
    fn classes_that_a_bundle_does_not_know_are_not_held_against_it() {
        let marked = |count: usize| -> State {
            let known = catalog::LATER[..count].join(",");
            [((DATABASE.to_owned(), CLASSES.to_owned()), Sha256Digest::of(known))].into()
        };
        let classes = || catalog::LATER.iter().map(|class| ((*class).to_owned(), "x".to_owned()));
        let all = catalog::LATER.len();
        for count in [0, 5, all] {
            let proven = if count == 0 { State::new() } else { marked(count) };
            let mut found = marked(all);
            found.extend(classes().map(|thing| (thing, Sha256Digest::of("x"))));
            forget_later(&proven, &mut found);
            assert_eq!(found.len(), count + proven.len(), "{count}");
            assert!(proven.iter().all(|(thing, digest)| found.get(thing) == Some(digest)), "{count}");
        }
    }
}
