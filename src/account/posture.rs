//! In what state the account lies: live settings against rules, one check at a time. What could not be read is a finding
//! too, because a check that did not see everything proves nothing.

use jiff::civil::Date;
use serde::Serialize;

use super::inventory::{Fact, Inventory, Item, ItemKind, User, fact};
use crate::finding::{Finding, FindingKind as Kind};

/// Days after which a key should have been replaced, and after which one that is not used should be gone.
pub const KEY_DAYS_MAX: i32 = 90;
const ROOT: &str = "<root_account>";

/// What the rules need beside the inventory.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Regions in which things may lie.
    pub regions: Vec<String>,
    /// The day of the run.
    pub today: Date,
}

/// One check with everything it looked at; a file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name in the playbook.
    pub check: String,
    /// What the check holds true.
    pub rule: String,
    /// When the settings were read.
    pub taken: String,
    /// Every thing with the settings that were judged.
    pub subjects: Vec<Subject>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// One thing of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// `bucket acme-invoices`.
    pub thing: String,
    /// Where it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The settings, each with the digest of the raw answer it was read from.
    pub facts: Vec<NamedFact>,
}

/// A setting by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedFact {
    /// Its name.
    pub name: String,
    /// Value, call and digest.
    #[serde(flatten)]
    pub fact: Fact,
}

/// The checks, by the word of the playbook.
pub const CHECKS: [(&str, &str); 6] = [
    ("residency", "everything lies in the allowed regions"),
    ("encryption", "everything is encrypted at rest"),
    ("public_access", "nothing is open to everybody"),
    ("orphan_snapshots", "no snapshot outlives what it was taken of"),
    ("credentials", "users have a second factor; keys are younger than 90 days and used; the root user has none"),
    ("protection", "versioning, object lock and retention are recorded, not judged"),
];

/// Judges one check.
pub fn judge(check: &str, inventory: &Inventory, rules: &Rules) -> Check {
    let rule = CHECKS.iter().find(|(name, _)| *name == check).map_or("", |(_, rule)| *rule);
    let judge = Judge { inventory, rules };
    let (facts, findings): (&[&str], _) = match check {
        "residency" => (&[], judge.residency()),
        "encryption" => (&[fact::ENCRYPTION], judge.encryption()),
        "public_access" => {
            let facts = &[fact::PUBLIC_ACCESS_BLOCK, fact::POLICY, fact::ACL, fact::PUBLIC, fact::SHARED_WITH];
            (facts, judge.public_access())
        }
        "orphan_snapshots" => (&[fact::SNAPSHOT_TYPE, fact::SOURCE, fact::ENCRYPTION], judge.orphans()),
        "credentials" => (&[], judge.credentials()),
        _ => {
            let facts = &[fact::VERSIONING, fact::OBJECT_LOCK, fact::BACKUP_DAYS, fact::DELETION_PROTECTION];
            (facts, judge.unlisted(&["s3", "rds"]))
        }
    };
    let mut subjects = Vec::new();
    if check == "credentials" {
        subjects.extend(inventory.users.iter().flatten().map(user_subject));
    } else {
        subjects.extend(account_subject(check, inventory));
        let wanted = |item: &&Item| item.kind != ItemKind::Export && (check != "orphan_snapshots" || is_snapshot(item));
        subjects.extend(inventory.items.iter().filter(wanted).map(|item| subject(item, facts)));
    }
    Check { check: check.to_owned(), rule: rule.to_owned(), taken: inventory.taken.clone(), subjects, findings }
}

fn is_snapshot(item: &Item) -> bool {
    matches!(item.kind, ItemKind::Snapshot | ItemKind::ClusterSnapshot)
}

fn subject(item: &Item, facts: &[&str]) -> Subject {
    let named = |name: &&str| {
        let fact = item.facts.get(*name)?.clone();
        Some(NamedFact { name: (*name).to_owned(), fact })
    };
    Subject { thing: item.title(), region: item.region.clone(), facts: facts.iter().filter_map(named).collect() }
}

fn account_subject(check: &str, inventory: &Inventory) -> Option<Subject> {
    let fact = inventory.account.get(fact::PUBLIC_ACCESS_BLOCK).filter(|_| check == "public_access")?.clone();
    let facts = vec![NamedFact { name: fact::PUBLIC_ACCESS_BLOCK.to_owned(), fact }];
    Some(Subject { thing: "the account".to_owned(), region: None, facts })
}

fn user_subject(user: &User) -> Subject {
    let named = |name: &str, value: String| NamedFact { name: name.to_owned(), fact: Fact::listed(value) };
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut facts = vec![named("console", yes(user.console)), named("mfa", yes(user.mfa))];
    for key in &user.keys {
        let (since, used) = (key.since.as_deref().unwrap_or("?"), key.last_used.as_deref().unwrap_or("never"));
        facts.push(named(&format!("key {}", key.number), format!("since {since}, last used {used}")));
    }
    Subject { thing: format!("user {}", user.name), region: None, facts }
}

struct Judge<'a> {
    inventory: &'a Inventory,
    rules: &'a Rules,
}

impl Judge<'_> {
    fn residency(&self) -> Vec<Finding> {
        let mut findings = self.unlisted(&["s3", "rds", "snapshot"]);
        if self.rules.regions.is_empty() {
            let detail = "the playbook names no regions in provider.aws.regions";
            findings.push(Finding::of_run(Kind::AccountUnreadable, "residency", detail));
            return findings;
        }
        for item in self.inventory.items.iter().filter(|item| item.kind != ItemKind::Export) {
            match &item.region {
                None => findings.push(unreadable(item, "its region", item.facts.get("region"))),
                Some(region) if !self.rules.regions.contains(region) => {
                    let detail = format!("in {region}, allowed: {}", self.rules.regions.join(", "));
                    findings.push(Finding::of_run(Kind::RegionNotAllowed, item.title(), detail));
                }
                Some(_) => {}
            }
        }
        findings
    }

    fn encryption(&self) -> Vec<Finding> {
        let mut findings = self.unlisted(&["s3", "rds", "snapshot"]);
        for item in self.inventory.items.iter().filter(|item| item.kind != ItemKind::Export) {
            match item.known(fact::ENCRYPTION) {
                None => findings.push(unreadable(item, "its encryption", item.facts.get(fact::ENCRYPTION))),
                Some("none") => findings.push(Finding::of_run(Kind::NotEncrypted, item.title(), place(item))),
                Some(_) => {}
            }
        }
        findings
    }

    fn public_access(&self) -> Vec<Finding> {
        let mut findings = self.unlisted(&["s3", "rds", "snapshot"]);
        for item in &self.inventory.items {
            match item.kind {
                ItemKind::Bucket => findings.extend(self.public_bucket(item)),
                ItemKind::Instance => findings.extend(public_instance(item)),
                ItemKind::Snapshot | ItemKind::ClusterSnapshot => findings.extend(public_snapshot(item)),
                ItemKind::Cluster | ItemKind::Export => {}
            }
        }
        findings
    }

    /// A public policy or access list counts unless a block, of the bucket or of the account, takes its force away.
    fn public_bucket(&self, item: &Item) -> Vec<Finding> {
        let account = self.inventory.account.get(fact::PUBLIC_ACCESS_BLOCK).and_then(|fact| fact.value.as_deref());
        let blocks = [item.known(fact::PUBLIC_ACCESS_BLOCK), account];
        let blocked =
            |setting: &str| blocks.iter().flatten().any(|on| *on == "all" || on.split(' ').any(|one| one == setting));
        let mut findings = Vec::new();
        for (name, what, setting) in
            [(fact::POLICY, "its policy", "RestrictPublicBuckets"), (fact::ACL, "its access list", "IgnorePublicAcls")]
        {
            if blocked(setting) {
                continue;
            }
            match item.known(name) {
                None => findings.push(unreadable(item, what, item.facts.get(name))),
                Some("none" | "not public" | "private") => {}
                Some(open) => {
                    let detail = format!("by {what}: {open}, and no block of public access is on");
                    findings.push(Finding::of_run(Kind::PubliclyReachable, item.title(), detail));
                }
            }
        }
        findings
    }

    fn orphans(&self) -> Vec<Finding> {
        let mut findings = self.unlisted(&["rds", "snapshot"]);
        for item in self.inventory.items.iter().filter(|item| item.is_orphan(self.inventory)) {
            let source = item.known(fact::SOURCE).unwrap_or("?");
            let encryption = match item.known(fact::ENCRYPTION) {
                Some("none") => "not encrypted",
                Some(_) => "encrypted",
                None => "encryption unknown",
            };
            let detail = format!("of {source}, {encryption}, {}", place(item));
            findings.push(Finding::of_run(Kind::SnapshotOrphaned, item.title(), detail));
        }
        findings
    }

    fn credentials(&self) -> Vec<Finding> {
        let Some(users) = &self.inventory.users else {
            let iam = self.inventory.unreadable.iter().find(|missing| missing.call.starts_with("iam"));
            let detail = iam.map_or("the credential report was not read".to_owned(), |missing| {
                format!("{}: {}", missing.call, missing.reason)
            });
            return vec![Finding::of_run(Kind::AccountUnreadable, "users and keys", detail)];
        };
        users.iter().flat_map(|user| self.user(user)).collect()
    }

    fn user(&self, user: &User) -> Vec<Finding> {
        let title = format!("user {}", user.name);
        let is_root = user.name == ROOT;
        let mut findings = Vec::new();
        if (user.console || is_root) && !user.mfa {
            findings.push(Finding::of_run(Kind::UserWithoutMfa, &title, "no second factor is active"));
        }
        for key in &user.keys {
            let subject = format!("{title} key {}", key.number);
            if is_root {
                findings.push(Finding::of_run(Kind::RootKey, &subject, ""));
            }
            let Some(age) = key.since.as_deref().and_then(|day| self.days_since(day)) else {
                findings.push(Finding::of_run(Kind::AccountUnreadable, &subject, "its age is not known"));
                continue;
            };
            if age > KEY_DAYS_MAX {
                let detail = format!("{age} days, at most {KEY_DAYS_MAX}");
                findings.push(Finding::of_run(Kind::KeyTooOld, &subject, detail));
            }
            let idle = key.last_used.as_deref().and_then(|day| self.days_since(day)).unwrap_or(age);
            if idle > KEY_DAYS_MAX {
                let detail = match &key.last_used {
                    Some(day) => format!("last used {day}"),
                    None => "never used".to_owned(),
                };
                findings.push(Finding::of_run(Kind::KeyUnused, &subject, detail));
            }
        }
        findings
    }

    fn days_since(&self, day: &str) -> Option<i32> {
        let day: Date = day.parse().ok()?;
        Some((self.rules.today - day).get_days())
    }

    /// Lists with a hole: what is not in them was not looked at.
    fn unlisted(&self, kinds: &[&str]) -> Vec<Finding> {
        let missing = kinds.iter().flat_map(|kind| self.inventory.unlisted(kind));
        let finding = |missing: &super::inventory::Unreadable| {
            let place = missing.region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
            Finding::of_run(Kind::AccountUnreadable, format!("{}{place}", missing.call), missing.reason.clone())
        };
        let mut findings: Vec<_> = missing.map(finding).collect();
        findings.sort();
        findings.dedup();
        findings
    }
}

fn public_instance(item: &Item) -> Option<Finding> {
    match item.known(fact::PUBLIC) {
        Some("yes") => Some(Finding::of_run(Kind::PubliclyReachable, item.title(), "publicly accessible")),
        Some(_) => None,
        None => Some(unreadable(item, "whether it is publicly accessible", None)),
    }
}

fn public_snapshot(item: &Item) -> Option<Finding> {
    if item.known(fact::SNAPSHOT_TYPE) == Some("automated") {
        return None;
    }
    match item.known(fact::SHARED_WITH) {
        Some("none") => None,
        Some(with) if with.split(' ').any(|account| account == "all") => {
            Some(Finding::of_run(Kind::PubliclyReachable, item.title(), "every account may restore it"))
        }
        Some(with) => Some(Finding::of_run(Kind::SnapshotShared, item.title(), format!("with {with}"))),
        None => Some(unreadable(item, "whom it is shared with", item.facts.get(fact::SHARED_WITH))),
    }
}

fn unreadable(item: &Item, what: &str, fact: Option<&Fact>) -> Finding {
    let reason = fact.and_then(|fact| fact.unreadable.clone()).unwrap_or_else(|| "the provider does not say".into());
    Finding::of_run(Kind::AccountUnreadable, item.title(), format!("{what}: {reason}"))
}

fn place(item: &Item) -> String {
    item.region.as_ref().map_or("in no known region".to_owned(), |region| format!("in {region}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::inventory::AccessKey;

    fn inventory(items: Vec<Item>) -> Inventory {
        Inventory { items, ..Inventory::new("2026-11-24T00:00:00Z".into(), vec!["eu-central-1".into()]) }
    }

    fn rules() -> Rules {
        Rules { regions: vec!["eu-central-1".into()], today: jiff::civil::date(2026, 11, 24) }
    }

    fn item(kind: ItemKind, name: &str, facts: &[(&str, &str)]) -> Item {
        let mut item = Item::named(kind, name, Some("eu-central-1".into()));
        item.facts.extend(facts.iter().map(|(name, value)| ((*name).to_owned(), Fact::listed(*value))));
        item
    }

    fn kinds(check: &str, inventory: &Inventory) -> Vec<Kind> {
        judge(check, inventory, &rules()).findings.iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn a_block_takes_the_force_of_what_is_public() {
        let open = [(fact::POLICY, "public"), (fact::ACL, "AllUsers:READ")];
        let bucket = item(ItemKind::Bucket, "a", &open);
        assert_eq!(kinds("public_access", &inventory(vec![bucket.clone()])), [Kind::PubliclyReachable; 2]);
        let mut half = bucket.clone();
        half.facts.insert(fact::PUBLIC_ACCESS_BLOCK.into(), Fact::listed("IgnorePublicAcls"));
        assert_eq!(kinds("public_access", &inventory(vec![half])), [Kind::PubliclyReachable]);
        let mut blocked = inventory(vec![bucket]);
        blocked.account.insert(fact::PUBLIC_ACCESS_BLOCK.into(), Fact::listed("all"));
        assert!(kinds("public_access", &blocked).is_empty());
    }

    #[test]
    fn a_setting_that_could_not_be_read_is_neither_good_nor_bad() {
        let mut bucket = item(ItemKind::Bucket, "a", &[]);
        bucket.facts.insert(fact::ENCRYPTION.into(), Fact::unreadable("GetBucketEncryption", "AccessDenied"));
        assert_eq!(kinds("encryption", &inventory(vec![bucket])), [Kind::AccountUnreadable]);
        let plain = item(ItemKind::Bucket, "a", &[(fact::ENCRYPTION, "none")]);
        assert_eq!(kinds("encryption", &inventory(vec![plain])), [Kind::NotEncrypted]);
        let good = item(ItemKind::Bucket, "a", &[(fact::ENCRYPTION, "AES256")]);
        assert!(kinds("encryption", &inventory(vec![good])).is_empty());
    }

    #[test]
    fn a_snapshot_is_an_orphan_when_its_source_is_gone() {
        let snapshot = item(ItemKind::Snapshot, "s", &[(fact::SOURCE, "db"), (fact::ENCRYPTION, "none")]);
        assert_eq!(kinds("orphan_snapshots", &inventory(vec![snapshot.clone()])), [Kind::SnapshotOrphaned]);
        let source = item(ItemKind::Instance, "db", &[]);
        assert!(kinds("orphan_snapshots", &inventory(vec![source, snapshot])).is_empty());
    }

    #[test]
    fn snapshots_for_everybody_are_public_and_others_are_noted() {
        let shared = |with| inventory(vec![item(ItemKind::Snapshot, "s", &[(fact::SHARED_WITH, with)])]);
        assert_eq!(kinds("public_access", &shared("all")), [Kind::PubliclyReachable]);
        assert_eq!(kinds("public_access", &shared("123456789012")), [Kind::SnapshotShared]);
        assert!(kinds("public_access", &shared("none")).is_empty());
    }

    #[test]
    fn users_and_keys_are_judged_by_the_day() {
        let key = |since: &str, used: Option<&str>| AccessKey {
            number: 1,
            since: Some(since.into()),
            last_used: used.map(str::to_owned),
        };
        let user = |console, mfa, keys| User { name: "bob".into(), console, mfa, keys };
        let of = |user| {
            let inventory = Inventory { users: Some(vec![user]), ..inventory(vec![]) };
            kinds("credentials", &inventory)
        };
        assert_eq!(of(user(true, false, vec![])), [Kind::UserWithoutMfa]);
        assert!(of(user(true, true, vec![key("2026-09-01", Some("2026-11-01"))])).is_empty());
        assert_eq!(of(user(false, false, vec![key("2026-01-01", Some("2026-11-01"))])), [Kind::KeyTooOld]);
        assert_eq!(of(user(false, false, vec![key("2026-01-01", None)])), [Kind::KeyTooOld, Kind::KeyUnused]);
        assert_eq!(kinds("credentials", &inventory(vec![])), [Kind::AccountUnreadable]);
    }

    #[test]
    fn regions_are_held_against_the_allowed_ones() {
        let mut far = item(ItemKind::Bucket, "a", &[]);
        far.region = Some("us-east-1".into());
        assert_eq!(kinds("residency", &inventory(vec![far.clone()])), [Kind::RegionNotAllowed]);
        far.region = None;
        assert_eq!(kinds("residency", &inventory(vec![far])), [Kind::AccountUnreadable]);
    }
}
