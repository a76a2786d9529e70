//! What is another than before: two inventories compared, thing by thing and setting by setting.
//!
//! Sizes are left out, because data is written while a drill goes on. What walkaway made itself, and what the provider
//! does by its own schedule, is set apart.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::inventory::{Inventory, Item, ItemKind, User, fact};
use crate::finding::{Finding, FindingKind as Kind};

/// The tag that walkaway puts on whatever it makes at the provider.
pub const OWN_TAG: &str = "walkaway:run";

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// `bucket acme-invoices`.
    pub thing: String,
    /// The setting, or `is there`.
    pub what: String,
    /// Its value before.
    pub before: String,
    /// Its value after.
    pub after: String,
    /// Who did it.
    pub by: By,
}

/// Who changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Neither walkaway nor the provider's schedule.
    Somebody,
    /// walkaway itself; the thing carries its tag.
    Walkaway,
    /// The provider's own schedule, such as automated snapshots.
    Schedule,
}

/// Both looks and what differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// When the first look was taken.
    pub before: String,
    /// When the second look was taken.
    pub after: String,
    /// Things that were in both.
    pub compared: u64,
    /// Settings that were in both.
    pub settings: u64,
    /// What differs.
    pub changes: Vec<Change>,
    /// What could not be compared, and why.
    pub not_compared: Vec<NotCompared>,
}

/// What could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotCompared {
    /// The thing and its setting, or the call.
    pub what: String,
    /// Why.
    pub reason: String,
}

type Key<'a> = (ItemKind, Option<&'a str>, &'a str);

fn key(item: &Item) -> Key<'_> {
    (item.kind, item.region.as_deref(), &item.name)
}

/// Compares what was there before with what is there now.
pub fn compare(before: &Inventory, after: &Inventory) -> Comparison {
    let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) = (
        before.items.iter().map(|item| (key(item), item)).collect(),
        after.items.iter().map(|item| (key(item), item)).collect(),
    );
    let mut comparison = Comparison {
        before: before.taken.clone(),
        after: after.taken.clone(),
        compared: 0,
        settings: 0,
        changes: Vec::new(),
        not_compared: holes(before, after),
    };
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(key), new.get(key)) {
            (Some(before), Some(after)) => comparison.settings_of(before, after),
            (Some(gone), None) => comparison.presence(gone, ("yes", "no")),
            (None, Some(come)) => comparison.presence(come, ("no", "yes")),
            (None, None) => {}
        }
    }
    comparison.account(before, after);
    comparison.users(before.users.as_deref(), after.users.as_deref());
    comparison.changes.sort();
    comparison
}

/// Lists that one of the two looks could not read: whatever they hold may have changed.
fn holes(before: &Inventory, after: &Inventory) -> Vec<NotCompared> {
    let lists =
        [before, after].into_iter().flat_map(|look| &look.unreadable).filter(|missing| !missing.lists.is_empty());
    let hole = |missing: &super::inventory::Unreadable| {
        let place = missing.region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
        NotCompared { what: format!("{}{place}", missing.call), reason: missing.reason.clone() }
    };
    let mut holes: Vec<_> = lists.map(hole).collect();
    holes.sort();
    holes.dedup();
    holes
}

fn by(item: &Item) -> By {
    if item.tags.as_ref().is_some_and(|tags| tags.contains_key(OWN_TAG)) {
        return By::Walkaway;
    }
    let automated = item.known(fact::SNAPSHOT_TYPE).is_some_and(|kind| kind == "automated" || kind == "awsbackup");
    if automated || item.kind == ItemKind::Export { By::Schedule } else { By::Somebody }
}

impl Comparison {
    fn presence(&mut self, item: &Item, (before, after): (&str, &str)) {
        self.changes.push(Change {
            thing: item.title(),
            what: "is there".to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
            by: by(item),
        });
    }

    fn settings_of(&mut self, before: &Item, after: &Item) {
        self.compared += 1;
        // How an export stands changes by itself.
        if before.kind == ItemKind::Export {
            return;
        }
        let names: BTreeSet<&String> = before.facts.keys().chain(after.facts.keys()).collect();
        for name in names {
            let (old, new) = (before.facts.get(name), after.facts.get(name));
            let unreadable = [old, new].into_iter().flatten().find_map(|fact| fact.unreadable.clone());
            if let Some(reason) = unreadable {
                self.not_compared.push(NotCompared { what: format!("{}: {name}", before.title()), reason });
                continue;
            }
            self.settings += 1;
            let value = |fact: Option<&super::inventory::Fact>| {
                fact.and_then(|fact| fact.value.clone()).unwrap_or_else(|| "not said".to_owned())
            };
            self.differ(&before.title(), name, value(old), value(new), by(after));
        }
        let tags = |item: &Item| item.tags.as_ref().map(|tags| format!("{tags:?}"));
        if let (Some(old), Some(new)) = (tags(before), tags(after)) {
            self.settings += 1;
            self.differ(&before.title(), "tags", old, new, by(after));
        }
    }

    fn differ(&mut self, thing: &str, what: &str, before: String, after: String, by: By) {
        if before != after {
            self.changes.push(Change { thing: thing.to_owned(), what: what.to_owned(), before, after, by });
        }
    }

    fn account(&mut self, before: &Inventory, after: &Inventory) {
        for (name, old) in &before.account {
            let Some(new) = after.account.get(name) else { continue };
            match (&old.value, &new.value) {
                (Some(old), Some(new)) => {
                    self.settings += 1;
                    self.differ("the account", name, old.clone(), new.clone(), By::Somebody);
                }
                _ => self.not_compared.push(NotCompared {
                    what: format!("the account: {name}"),
                    reason: old.unreadable.clone().or(new.unreadable.clone()).unwrap_or_default(),
                }),
            }
        }
    }

    /// When a key was last used changes by using it, so it does not count.
    fn users(&mut self, before: Option<&[User]>, after: Option<&[User]>) {
        let (Some(before), Some(after)) = (before, after) else { return };
        let told = |users: &[User]| -> BTreeMap<String, String> {
            let keys = |user: &User| -> Vec<String> {
                user.keys
                    .iter()
                    .map(|key| format!("key {} of {}", key.number, key.since.as_deref().unwrap_or("?")))
                    .collect()
            };
            let told = |user: &User| format!("console {}, mfa {}, {:?}", user.console, user.mfa, keys(user));
            users.iter().map(|user| (format!("user {}", user.name), told(user))).collect()
        };
        let (old, new) = (told(before), told(after));
        for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            self.settings += 1;
            let value =
                |users: &BTreeMap<String, String>| users.get(name).cloned().unwrap_or_else(|| "none".to_owned());
            self.differ(name, "credentials", value(&old), value(&new), By::Somebody);
        }
    }

    /// What of it is a finding.
    pub fn findings(&self) -> Vec<Finding> {
        let changed = self.changes.iter().filter(|change| change.by == By::Somebody).map(|change| {
            let detail = format!("{}: {} before, {} after", change.what, change.before, change.after);
            Finding::of_run(Kind::SourceChanged, &change.thing, detail)
        });
        let open = self.not_compared.iter();
        let open = open.map(|open| Finding::of_run(Kind::SourceNotCompared, &open.what, open.reason.clone()));
        changed.chain(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::inventory::Fact;

    fn look(items: Vec<Item>) -> Inventory {
        Inventory { items, ..Inventory::new("2026-11-24T00:00:00Z".into(), vec![]) }
    }

    fn bucket(name: &str, encryption: Fact) -> Item {
        let mut item = Item::named(ItemKind::Bucket, name, None);
        item.facts.insert(fact::ENCRYPTION.into(), encryption);
        item
    }

    fn kinds(before: Vec<Item>, after: Vec<Item>) -> Vec<Kind> {
        compare(&look(before), &look(after)).findings().iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn settings_and_presence_are_compared_and_sizes_are_not() {
        let before = bucket("a", Fact::listed("AES256"));
        let larger = Item { bytes: Some(7), ..before.clone() };
        assert!(kinds(vec![before.clone()], vec![larger]).is_empty());
        assert_eq!(kinds(vec![before.clone()], vec![bucket("a", Fact::listed("none"))]), [Kind::SourceChanged]);
        assert_eq!(kinds(vec![before.clone()], vec![]), [Kind::SourceChanged]);
        assert_eq!(kinds(vec![], vec![before]), [Kind::SourceChanged]);
    }

    #[test]
    fn what_could_not_be_read_was_not_compared() {
        let hidden = bucket("a", Fact::unreadable("GetBucketEncryption", "AccessDenied"));
        assert_eq!(kinds(vec![hidden], vec![bucket("a", Fact::listed("AES256"))]), [Kind::SourceNotCompared]);
    }

    #[test]
    fn own_things_and_automated_snapshots_are_set_apart() {
        let mut own = Item::named(ItemKind::Instance, "walkaway-1", None);
        own.tags = Some([(OWN_TAG.to_owned(), "run".to_owned())].into());
        let mut automated = Item::named(ItemKind::Snapshot, "rds:db-1", None);
        automated.facts.insert(fact::SNAPSHOT_TYPE.into(), Fact::listed("automated"));
        let comparison = compare(&look(vec![]), &look(vec![own, automated]));
        let by: Vec<_> = comparison.changes.iter().map(|change| change.by).collect();
        assert_eq!((by, comparison.findings()), (vec![By::Walkaway, By::Schedule], vec![]));
    }
}
