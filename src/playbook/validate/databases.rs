//! The other settings of a database asset: roles and checks.
//!
//! Leaves out whether the roles exist and whether the queries can be run.

use std::collections::BTreeMap;

use super::Validator;
use crate::playbook::{
    checked::Written,
    document::{Asset as AssetEntry, Roles, SqlCheck},
    model::{RolesSpec, SqlCheckSpec},
    names::Line,
    problem::{Located, Problem},
};

impl Validator<'_> {
    pub(super) fn roles(&self, entry: &Located<AssetEntry>) -> Option<RolesSpec> {
        let asset = &entry.value;
        let froms = self.items(&asset.role_map).filter_map(|mapping| mapping.value.from.optional());
        self.unique(froms, "the role");
        let mapped: BTreeMap<_, _> = self.items(&asset.role_map).filter_map(|one| self.mapping(one)).collect();
        let given = asset.roles.optional();
        let is_map = given.is_some_and(|roles| roles.value == Roles::Map);
        match asset.role_map.optional() {
            Some(list) if !is_map && !matches!(asset.roles, crate::playbook::checked::Checked::Bad) => {
                let problem = Problem::at(&list.place, "maps roles that are not to be mapped");
                self.problems.add(problem.hint("write `roles: map` beside it, or remove the key"));
            }
            None if is_map && asset.role_map.is_missing() => {
                let hint = "write [{from: shop_owner, to: app}], with roles that the target has";
                self.needed("role_map", "`roles` is `map`", &entry.place, hint);
            }
            _ => {}
        }
        Some(match given?.value {
            Roles::Carry => RolesSpec::Carry,
            Roles::Skip => RolesSpec::Skip,
            Roles::Map => RolesSpec::Map(mapped),
        })
    }

    fn mapping(&self, entry: &Located<crate::playbook::document::RoleMapping>) -> Option<(String, String)> {
        let from: Option<Line> = self.required_text(&entry.value.from, "from", &entry.place);
        let to: Option<Line> = self.required_text(&entry.value.to, "to", &entry.place);
        Some((from?.to_string(), to?.to_string()))
    }

    pub(super) fn checks(&self, asset: &AssetEntry) -> Vec<SqlCheckSpec> {
        self.unique(self.items(&asset.checks).filter_map(|check| check.value.id.optional()), "the check");
        self.items(&asset.checks).filter_map(|check| self.check(check)).collect()
    }

    fn check(&self, entry: &Located<SqlCheck>) -> Option<SqlCheckSpec> {
        let Located { value: check, place } = entry;
        let id = self.required_text(&check.id, "id", place);
        let sql = check.sql.required("sql", place, self.problems);
        let sql = sql.and_then(|sql| {
            if sql.value.trim().is_empty() {
                self.problems.add(Problem::at(&sql.place, "is empty").hint("write one query that yields one value"));
                return None;
            }
            Some(sql.value.clone())
        });
        let expect = check.expect.required("expect", place, self.problems);
        let expect = expect.and_then(|Located { value: Written(text), place }| self.accept(place, text.parse()));
        Some(SqlCheckSpec { id: id?, sql: sql?, expect: expect? })
    }
}
