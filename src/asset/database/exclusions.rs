//! Tables that the playbook leaves out: which exist, and what differs because of them. Findings about foreign keys to one
//! and materialized views over it say so. Their severity is unchanged: without those rows neither is what it was at the
//! source.

use std::collections::BTreeSet;

use crate::{
    domain::finding::{Finding, FindingKind},
    evidence::result::ExcludedTable,
    pg::{
        catalog::{Catalog, Named},
        name::{RelationName, quoted},
    },
    playbook::DatabaseSpec,
};

/// The names that the playbook leaves out.
pub(crate) fn names(spec: &DatabaseSpec) -> Vec<RelationName> {
    let name = |schema: &str, name: &str| RelationName { schema: schema.to_owned(), name: name.to_owned() };
    spec.exclude_tables.iter().map(|table| name(table.name.schema(), table.name.table())).collect()
}

/// With a partitioned table its partitions are left out, which hold its rows. A name that stands for no table leaves nothing
/// out, although the user relies on it.
pub(crate) fn left_out(table: &ExcludedTable, named: Option<&Named>) -> Result<Vec<ExcludedTable>, String> {
    if let Some(reason) = unmatched(named) {
        return Err(reason);
    }
    let partitions = named.into_iter().flat_map(|named| &named.partitions);
    let partitions = partitions.map(|name| ExcludedTable { table: name.to_string(), reason: table.reason.clone() });
    Ok(std::iter::once(table.clone()).chain(partitions).collect())
}

/// Why a name excludes nothing, if so.
pub(crate) fn unmatched(named: Option<&Named>) -> Option<String> {
    let kind = match named.map(|named| named.kind.as_str()) {
        Some("r" | "p") => return None,
        None => return Some("no table of this name is there".to_owned()),
        Some("v") => "a view",
        Some("m") => "a materialized view",
        Some("f") => "a foreign table",
        Some("S") => "a sequence",
        Some(_) => "neither a table nor a partitioned one",
    };
    Some(format!("it is {kind}, and has no rows that could be left out"))
}

/// The hint.
pub(crate) const UNMATCHED_HINT: &str = "names are compared to the letter, as pg_class has them: correct the entry of \
                                         exclude_tables, or remove it";

/// Adds the cause to the findings that follow from the excluded tables.
pub(crate) fn explain(findings: &mut [Finding], catalog: &Catalog, excluded: &[ExcludedTable]) {
    for ExcludedTable { table, .. } in excluded {
        let keys = foreign_keys(catalog, table);
        let views = views_over(catalog, table);
        for finding in findings.iter_mut() {
            if keys.iter().any(|key| is_about_key(finding, key)) {
                let cause = format!(
                    "it refers to {table}, which exclude_tables leaves out, so that the rows it refers to are not there: \
                     carry {table}, too, or waive this"
                );
                finding.detail = format!("{}; {cause}", finding.detail);
            } else if views.iter().any(|view| is_about_view(finding, view)) {
                finding.detail = format!(
                    "it is computed from {table}, which exclude_tables leaves out and whose rows are not there: carry \
                     {table}, too, or waive this; {}",
                    finding.detail
                );
            }
        }
    }
}

/// The names of the constraints that refer to a table, as `schema.table.constraint`.
fn foreign_keys<'a>(catalog: &'a Catalog, table: &str) -> Vec<&'a str> {
    let refers = |definition: &str| {
        definition.starts_with("FOREIGN KEY")
            && spellings(table).iter().any(|name| definition.contains(&format!(" REFERENCES {name}(")))
    };
    let constraints = catalog.iter().filter(|(key, _)| key.class == "constraint");
    constraints.filter(|(_, definition)| refers(definition)).map(|(key, _)| key.name.as_str()).collect()
}

/// A table's name as the server may print it: each part quoted where it needs to be.
fn spellings(table: &str) -> Vec<String> {
    let Some((schema, name)) = table.split_once('.') else { return vec![table.to_owned()] };
    let both = |part: &str| [part.to_owned(), quoted(part)];
    both(schema).iter().flat_map(|schema| both(name).map(|name| format!("{schema}.{name}"))).collect()
}

/// The materialized views that are computed from a table, through other views, too.
fn views_over(catalog: &Catalog, table: &str) -> BTreeSet<String> {
    let views: Vec<_> = catalog.iter().filter(|(key, _)| key.class == "view").collect();
    let mut over = BTreeSet::new();
    let mut open = vec![table.to_owned()];
    while let Some(below) = open.pop() {
        let spelled = spellings(&below);
        for (key, definition) in &views {
            if spelled.iter().any(|name| mentions(definition, name)) && over.insert(key.name.clone()) {
                open.push(key.name.clone());
            }
        }
    }
    over
}

/// Whether a definition contains the name as a whole word.
fn mentions(definition: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '$';
    definition
        .match_indices(name)
        .any(|(at, _)| !definition[..at].ends_with(is_part) && !definition[at + name.len()..].starts_with(is_part))
}

fn is_about_key(finding: &Finding, key: &str) -> bool {
    match finding.kind {
        FindingKind::CatalogMissing => finding.subject == format!("constraint {key}"),
        // `FK CONSTRAINT table constraint owner`, as printed by pg_restore.
        FindingKind::SchemaStatement => {
            let entry = finding.subject.strip_prefix("FK CONSTRAINT ");
            let within = key.split_once('.').map(|(_, within)| within.replace('.', " "));
            entry.zip(within).is_some_and(|(entry, within)| entry.starts_with(&format!("{within} ")))
        }
        _ => false,
    }
}

fn is_about_view(finding: &Finding, view: &str) -> bool {
    finding.kind == FindingKind::ViewDiffers && finding.subject == format!("materialized view {view}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::catalog::CatalogKey;

    #[test]
    fn a_partitioned_table_is_left_out_with_its_partitions_and_what_is_no_table_is_said() {
        let table = ExcludedTable { table: "s.p".to_owned(), reason: "r".to_owned() };
        let named = |kind: &str, partitions: &[&str]| {
            let name = |name: &&str| RelationName { schema: "s".to_owned(), name: (*name).to_owned() };
            Named { kind: kind.to_owned(), partitions: partitions.iter().map(name).collect() }
        };
        let names = |found: Vec<ExcludedTable>| found.into_iter().map(|one| one.table).collect::<Vec<_>>();
        assert_eq!(left_out(&table, Some(&named("r", &[]))).map(names), Ok(vec!["s.p".to_owned()]));
        let found = left_out(&table, Some(&named("p", &["p1", "p.2"]))).map(names);
        assert_eq!(found, Ok(["s.p", "s.p1", "s.\"p.2\""].map(str::to_owned).to_vec()));
        assert_eq!(left_out(&table, None), Err("no table of this name is there".to_owned()));
        assert!(left_out(&table, Some(&named("m", &[]))).is_err());
    }

    #[test]
    fn keys_and_views_of_an_excluded_table_say_why_they_differ() {
        let object = |class: &str, name: &str, definition: &str| {
            (CatalogKey { class: class.to_owned(), name: name.to_owned() }, definition.to_owned())
        };
        let catalog = Catalog::from([
            object(
                "constraint",
                "shop.orders.to_customer",
                "FOREIGN KEY (c) REFERENCES shop.\"Customers\"(id) valid true",
            ),
            object("constraint", "shop.orders.to_other", "FOREIGN KEY (c) REFERENCES shop.other(id) valid true"),
            object("view", "shop.names", "SELECT name FROM shop.\"Customers\""),
            object("view", "shop.count", "SELECT count(*) FROM shop.names;"),
            object("view", "shop.names_of_old", "SELECT 1 FROM shop.names2"),
        ]);
        let excluded = [ExcludedTable { table: "shop.Customers".to_owned(), reason: "reproducible".to_owned() }];
        let find = |kind, subject: &str| Finding::of("a", kind, subject, "why");
        let mut findings = vec![
            find(FindingKind::SchemaStatement, "FK CONSTRAINT orders to_customer owner"),
            find(FindingKind::CatalogMissing, "constraint shop.orders.to_customer"),
            find(FindingKind::ViewDiffers, "materialized view shop.count"),
            find(FindingKind::CatalogMissing, "constraint shop.orders.to_other"),
            find(FindingKind::ViewDiffers, "materialized view shop.names_of_old"),
        ];
        explain(&mut findings, &catalog, &excluded);
        let told: Vec<_> = findings.iter().map(|one| one.detail.contains("exclude_tables leaves out")).collect();
        assert_eq!(told, [true, true, true, false, false]);
    }
}
