//! Changes: two inventories compared, resource by resource and setting by setting.
//!
//! Data is written during a drill, so that sizes are left out; only a bucket with fewer objects than before
//! is reported. Changes by walkaway itself, and by the provider's own schedule, are marked as such. A comparison states
//! which settings it compared: what is not among them may have changed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::inventory::{Fact, Inventory, Item, ItemKind, NONE, User, fact};
use crate::domain::finding::{Finding, FindingKind as Kind};

/// The tag of everything that walkaway creates at the provider.
pub const OWN_TAG: &str = "walkaway:run";
/// Names of walkaway's resources: this, and 20 lower-case hexadecimal digits.
pub const OWN_PREFIX: &str = "walkaway-";
/// How many.
pub const OWN_DIGITS: usize = 20;

/// Whether an identifier has walkaway's form. Tags are copied and resources renamed: only both together decide.
pub fn is_own_name(id: &str) -> bool {
    let digits = id.strip_prefix(OWN_PREFIX).unwrap_or_default();
    digits.len() == OWN_DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

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
    /// Its cause.
    pub by: By,
}

/// The cause of a change.
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

/// Both inventories and what differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// When the first look was taken.
    pub before: String,
    /// When the second look was taken.
    pub after: String,
    /// Resources that are in both.
    pub compared: u64,
    /// Settings that were in both.
    pub settings: u64,
    /// The names of those settings, by kind of thing.
    #[serde(default)]
    pub compared_settings: BTreeMap<String, BTreeSet<String>>,
    /// What this comparison does not cover.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// What differs.
    pub changes: Vec<Change>,
    /// What could not be compared, and why.
    pub not_compared: Vec<NotCompared>,
}

/// What could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotCompared {
    /// The resource and its setting, or the call.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// What two inventories of the settings cannot show.
const LEFT_OUT: [&str; 5] = [
    "what the objects of buckets and the rows of databases hold, but for the assets of the run",
    "access lists of single objects",
    "passwords of databases and of users, which the provider does not show",
    "what databases say of themselves without anybody's doing: times up to which they can be restored, capacity, progress, \
     passing states such as backing-up (that one is stopped, is being deleted or has failed is compared)",
    "what parameter groups, option groups and security groups hold; which of them are in use is compared",
];

type Key<'a> = (ItemKind, Option<&'a str>, &'a str);

fn key(item: &Item) -> Key<'_> {
    (item.kind, item.region.as_deref(), &item.name)
}

fn by_key(look: &Inventory) -> BTreeMap<Key<'_>, &Item> {
    look.items.iter().map(|item| (key(item), item)).collect()
}

/// Compares the inventory before with the inventory after.
pub fn compare(before: &Inventory, after: &Inventory) -> Comparison {
    let old = by_key(before);
    let new = by_key(after);
    let mut comparison = Comparison {
        before: before.taken.clone(),
        after: after.taken.clone(),
        compared: 0,
        settings: 0,
        compared_settings: BTreeMap::new(),
        left_out: LEFT_OUT.map(str::to_owned).to_vec(),
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
    comparison.users(before, after);
    comparison.changes.sort();
    comparison.not_compared.sort();
    comparison.not_compared.dedup();
    comparison
}

/// Lists that one of the two inventories could not read: anything in them may have changed.
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
    if is_own(item) {
        return By::Walkaway;
    }
    let automated = item.known(fact::SNAPSHOT_TYPE).is_some_and(|kind| kind == "automated" || kind == "awsbackup");
    if automated { By::Schedule } else { By::Somebody }
}

/// Whether it is of a kind that walkaway creates, has such a name, and has the tag, which anyone can set.
/// Exports have no tags.
fn is_own(item: &Item) -> bool {
    is_own_name(&item.name)
        && match item.kind {
            ItemKind::Instance | ItemKind::Cluster | ItemKind::Snapshot | ItemKind::ClusterSnapshot => {
                item.tags.as_ref().is_some_and(|tags| tags.contains_key(OWN_TAG))
            }
            ItemKind::Export => true,
            ItemKind::Bucket => false,
        }
}

impl Comparison {
    fn presence(&mut self, item: &Item, (before, after): (&str, &str)) {
        // The provider drops exports after a while; none starts by itself.
        let is_forgotten = item.kind == ItemKind::Export && after == "no";
        self.changes.push(Change {
            thing: item.title(),
            what: "is there".to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
            by: if is_forgotten { By::Schedule } else { by(item) },
        });
    }

    fn settings_of(&mut self, before: &Item, after: &Item) {
        self.compared += 1;
        // An export's status changes by itself.
        if before.kind == ItemKind::Export {
            return;
        }
        let names: BTreeSet<&String> = before.facts.keys().chain(after.facts.keys()).collect();
        for name in names {
            let old = before.facts.get(name);
            let new = after.facts.get(name);
            let unreadable = [old, new].into_iter().flatten().find_map(|fact| fact.unreadable.clone());
            if let Some(reason) = unreadable {
                self.not_compared.push(NotCompared { what: format!("{}: {name}", before.title()), reason });
                continue;
            }
            let value =
                |fact: Option<&Fact>| fact.and_then(|fact| fact.value.clone()).unwrap_or_else(|| "not said".to_owned());
            self.counts(before.kind.word(), name);
            self.differ(&before.title(), name, value(old), value(new), by(after));
        }
        self.tags_of(before, after);
        self.objects_of(before, after);
    }

    fn tags_of(&mut self, before: &Item, after: &Item) {
        let pairs = |tags: &BTreeMap<String, String>| {
            let pairs: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
            if pairs.is_empty() { NONE.to_owned() } else { pairs.join(" ") }
        };
        match (&before.tags, &after.tags) {
            (Some(old), Some(new)) => {
                self.counts(before.kind.word(), "tags");
                self.differ(&before.title(), "tags", pairs(old), pairs(new), by(after));
            }
            (None, None) => {}
            _ => self.not_compared.push(NotCompared {
                what: format!("{}: tags", before.title()),
                reason: "they could be read once only".to_owned(),
            }),
        }
    }

    /// Objects that were counted one by one. More of them are normal; fewer of them are not.
    fn objects_of(&mut self, before: &Item, after: &Item) {
        let listed = |item: &Item| item.objects.filter(|_| item.bytes_from.as_deref() == Some("listing"));
        let Some((old, new)) = listed(before).zip(listed(after)) else { return };
        self.counts(before.kind.word(), "objects are not fewer");
        if new < old {
            self.differ(&before.title(), "objects", old.to_string(), new.to_string(), by(after));
        }
    }

    fn counts(&mut self, kind: &str, setting: &str) {
        self.settings += 1;
        self.compared_settings.entry(kind.to_owned()).or_default().insert(setting.to_owned());
    }

    fn differ(&mut self, thing: &str, what: &str, before: String, after: String, by: By) {
        if before != after {
            self.changes.push(Change { thing: thing.to_owned(), what: what.to_owned(), before, after, by });
        }
    }

    fn account(&mut self, before: &Inventory, after: &Inventory) {
        for name in before.account.keys().chain(after.account.keys()).collect::<BTreeSet<_>>() {
            let old = before.account.get(name);
            let new = after.account.get(name);
            let value = |fact: Option<&Fact>| fact.and_then(|fact| fact.value.clone());
            match (value(old), value(new)) {
                (Some(old), Some(new)) => {
                    self.counts("account", name);
                    self.differ("the account", name, old, new, By::Somebody);
                }
                _ => {
                    let reason = [old, new].into_iter().flatten().find_map(|fact| fact.unreadable.clone());
                    let reason = reason.unwrap_or_else(|| "it was looked at once only".to_owned());
                    self.not_compared.push(NotCompared { what: format!("the account: {name}"), reason });
                }
            }
        }
    }

    /// Users of two reports. IAM makes a new one when the last is four hours old (IAM User Guide, "Getting credential
    /// reports"); one that is read twice does not show what happened in between. When a key was last used changes by
    /// using it, so it does not count.
    fn users(&mut self, before: &Inventory, after: &Inventory) {
        let open = |reason: String| NotCompared { what: "users and keys".to_owned(), reason };
        let (old, new) = match (&before.users, &after.users) {
            (Some(old), Some(new)) => (old, new),
            (None, None) => {
                let is_told = [before, after].into_iter().any(|look| look.unlisted("users").next().is_some());
                let words = "users and keys (posture `credentials` is not asked for, so that they were not looked at)";
                return self.left_out.extend((!is_told).then(|| words.to_owned()));
            }
            _ => return self.not_compared.push(open("they could be read once only".to_owned())),
        };
        match (reported(before), reported(after)) {
            (Some(first), Some(second)) if second > first => {}
            // Not a failure of the run: what it can't compare is reported.
            (Some(first), Some(second)) if second == first => {
                return self.left_out.push(format!(
                    "users and keys (both looks read the credential report that IAM made at {first}, and it makes one in \
                     four hours)"
                ));
            }
            (Some(_), Some(_)) => return self.not_compared.push(open("the second report is the older one".to_owned())),
            _ => return self.not_compared.push(open("when IAM made the credential reports is not known".to_owned())),
        }
        let credentials = |users: &[User]| -> BTreeMap<String, String> {
            let keys = |user: &User| -> Vec<String> {
                user.keys
                    .iter()
                    .map(|key| format!("key {} of {}", key.number, key.since.as_deref().unwrap_or("?")))
                    .collect()
            };
            let yes = |yes: bool| if yes { "yes" } else { "no" };
            let in_words = |user: &User| {
                let keys = keys(user).iter().map(|key| format!(", {key}")).collect::<String>();
                format!("console {}, second factor {}{keys}", yes(user.console), yes(user.mfa))
            };
            users.iter().map(|user| (format!("user {}", user.name), in_words(user))).collect()
        };
        let old = credentials(old);
        let new = credentials(new);
        for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            self.counts("user", "credentials");
            let value =
                |users: &BTreeMap<String, String>| users.get(name).cloned().unwrap_or_else(|| "none".to_owned());
            self.differ(name, "credentials", value(&old), value(&new), By::Somebody);
        }
    }

    /// What was compared, and what was not, in one sentence.
    pub fn in_words(&self) -> String {
        let kinds = self.compared_settings.iter();
        let settings: Vec<_> = kinds.map(|(kind, names)| format!("{} of each {kind}", names.len())).collect();
        let settings = if settings.is_empty() { "none".to_owned() } else { settings.join(", ") };
        format!(
            "source_unchanged: {} settings of {} things were compared before and after the run ({settings}; each is named in \
             checks/source_unchanged.json); not compared: {}",
            self.settings,
            self.compared,
            self.left_out.join("; ")
        )
    }

    /// Its findings.
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

/// When IAM generated the credential report of an inventory.
fn reported(look: &Inventory) -> Option<jiff::Timestamp> {
    look.users_reported.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::reply::Failure;

    fn look(items: Vec<Item>) -> Inventory {
        Inventory { items, ..Inventory::new("2026-11-24T00:00:00Z".into(), vec![]) }
    }

    fn bucket(name: &str, encryption: Fact) -> Item {
        let mut item = Item::named(ItemKind::Bucket, name, None);
        item.facts.insert(fact::ENCRYPTION.into(), encryption);
        item
    }

    fn refused() -> Fact {
        Fact::unreadable("Get", &Failure::answered(403, "AccessDenied", None))
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
        let hidden = bucket("a", refused());
        assert_eq!(kinds(vec![hidden], vec![bucket("a", Fact::listed("AES256"))]), [Kind::SourceNotCompared]);
    }

    #[test]
    fn a_look_that_failed_once_is_not_passed_over() {
        let whole = Inventory {
            account: [("block".to_owned(), Fact::listed("all"))].into(),
            ..look(vec![Item { tags: Some(BTreeMap::new()), ..bucket("a", Fact::listed("AES256")) }])
        };
        assert!(compare(&whole, &whole).findings().is_empty());
        let no_users = Inventory { users: Some(vec![]), ..whole.clone() };
        let no_block = Inventory { account: BTreeMap::new(), ..whole.clone() };
        let block_refused = Inventory { account: [("block".to_owned(), refused())].into(), ..whole.clone() };
        let no_tags = Inventory { items: vec![bucket("a", Fact::listed("AES256"))], ..whole.clone() };
        for other in [no_users, no_block, block_refused, no_tags] {
            for (before, after) in [(&whole, &other), (&other, &whole)] {
                let kinds: Vec<_> = compare(before, after).findings().iter().map(|finding| finding.kind).collect();
                assert_eq!(kinds, [Kind::SourceNotCompared]);
            }
        }
    }

    #[test]
    fn fewer_objects_are_a_change_and_more_are_not() {
        let holding = |objects| Item {
            objects: Some(objects),
            bytes_from: Some("listing".into()),
            ..bucket("a", Fact::listed("AES256"))
        };
        assert_eq!(kinds(vec![holding(3)], vec![holding(2)]), [Kind::SourceChanged]);
        assert!(kinds(vec![holding(3)], vec![holding(4)]).is_empty());
    }

    #[test]
    fn a_comparison_names_the_settings_that_it_compared() {
        let comparison =
            compare(&look(vec![bucket("a", Fact::listed("x"))]), &look(vec![bucket("a", Fact::listed("x"))]));
        assert_eq!(comparison.compared_settings["bucket"].iter().collect::<Vec<_>>(), [fact::ENCRYPTION]);
        assert!(!comparison.left_out.is_empty());
    }

    #[test]
    fn own_things_and_automated_snapshots_are_set_apart() {
        let own = tagged(ItemKind::Instance, "walkaway-0123456789abcdef0123");
        let mut automated = Item::named(ItemKind::Snapshot, "rds:db-1", None);
        automated.facts.insert(fact::SNAPSHOT_TYPE.into(), Fact::listed("automated"));
        let comparison = compare(&look(vec![]), &look(vec![own, automated]));
        let by: Vec<_> = comparison.changes.iter().map(|change| change.by).collect();
        assert_eq!((by, comparison.findings()), (vec![By::Walkaway, By::Schedule], vec![]));
    }

    fn tagged(kind: ItemKind, name: &str) -> Item {
        Item { tags: Some([(OWN_TAG.to_owned(), "run".to_owned())].into()), ..Item::named(kind, name, None) }
    }

    #[test]
    fn a_tag_or_a_name_alone_makes_nothing_walkaways_own() {
        const OWN: &str = "walkaway-0123456789abcdef0123";
        use ItemKind::{Bucket, Cluster, ClusterSnapshot, Export, Instance, Snapshot};
        for kind in [Instance, Cluster, Snapshot, ClusterSnapshot] {
            assert_eq!(by(&tagged(kind, OWN)), By::Walkaway, "{kind:?}");
            assert_eq!(by(&Item::named(kind, OWN, None)), By::Somebody, "{kind:?} without a tag");
        }
        for (kind, name) in [
            (Bucket, OWN),
            (Bucket, "acme-invoices"),
            (Instance, "walkaway-1"),
            (Instance, "ledger"),
            (Snapshot, "walkaway-0123456789ABCDEF0123"),
            (Snapshot, "walkaway-0123456789abcdef01234"),
            (Snapshot, "walkaway-0123456789abcdefg123"),
            (Cluster, "my-walkaway-0123456789abcdef0123"),
        ] {
            assert_eq!(by(&tagged(kind, name)), By::Somebody, "{kind:?} {name}");
        }
        // A tag does not hide what was changed.
        let with = |name: &str, encryption: &str| {
            let mut item = tagged(Bucket, name);
            item.facts.insert(fact::ENCRYPTION.into(), Fact::listed(encryption));
            item
        };
        assert_eq!(kinds(vec![with("a", "AES256")], vec![with("a", NONE)]), [Kind::SourceChanged]);
        // Exports have only a name; others' exports are theirs, and the provider drops old ones.
        assert!(kinds(vec![], vec![Item::named(Export, OWN, None)]).is_empty());
        let other = Item::named(Export, "nightly", None);
        assert_eq!(kinds(vec![], vec![other.clone()]), [Kind::SourceChanged]);
        assert!(kinds(vec![other], vec![]).is_empty());
    }

    #[test]
    fn users_are_compared_by_two_reports_and_not_by_one_that_was_read_twice() {
        let bob = |console| User { name: "bob".into(), console, mfa: false, keys: vec![] };
        let reported = |made: Option<&str>, users: Vec<User>| Inventory {
            users: Some(users),
            users_reported: made.map(str::to_owned),
            ..look(vec![])
        };
        let first = reported(Some("2026-11-24T01:00:00Z"), vec![bob(false)]);
        for (made, console, expected) in [
            (Some("2026-11-24T05:00:00Z"), false, None),
            (Some("2026-11-24T05:00:00+00:00"), false, None),
            (Some("2026-11-24T05:00:00Z"), true, Some(Kind::SourceChanged)),
            (Some("2026-11-24T01:00:00Z"), false, None),
            (Some("2026-11-24T01:00:00+00:00"), true, None),
            (Some("2026-11-23T23:00:00Z"), true, Some(Kind::SourceNotCompared)),
            (Some("lately"), false, Some(Kind::SourceNotCompared)),
            (None, false, Some(Kind::SourceNotCompared)),
        ] {
            let comparison = compare(&first, &reported(made, vec![bob(console)]));
            let found = comparison.findings();
            // What a report that was read twice can't show is reported.
            let twice = made.is_some_and(|made| made.starts_with("2026-11-24T01"));
            assert_eq!(comparison.in_words().contains("users and keys (both looks read"), twice, "{made:?}");
            let kinds: Vec<_> = found.iter().map(|finding| finding.kind).collect();
            assert_eq!(kinds, expected.into_iter().collect::<Vec<_>>(), "{made:?}");
        }
    }
}
