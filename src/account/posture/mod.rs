//! The state of the account: live settings against rules, one check at a time. What could not be read is a finding
//! too, because a check that did not see everything proves nothing.

use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::Serialize;

use super::{
    credentials::ROOT,
    inventory::{Fact, Inventory, Item, ItemKind, NONE, Source, User, fact},
    policy,
};
use crate::domain::finding::{Finding, FindingKind as Kind};

/// Days after which a key should have been replaced, and after which one that is not used should be gone.
pub(crate) const KEY_DAYS_MAX: i32 = 90;
/// The age limit of IAM's credential report (IAM User Guide, "Getting credential reports"), and how far the
/// clocks may be apart.
const REPORT_AGE_MAX: SignedDuration = SignedDuration::from_hours(4);
const CLOCKS_APART_MAX: SignedDuration = SignedDuration::from_mins(10);
/// Prefix of grants to other accounts in the fact about a bucket's access list.
pub(crate) const OTHER_ACCOUNT: &str = "account:";

/// What the rules need besides the inventory.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Regions in which things may lie.
    pub regions: Vec<String>,
    /// The day of the run.
    pub today: Date,
}

/// One check with everything it examined; a file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
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
pub(crate) struct Subject {
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
pub(crate) struct NamedFact {
    /// Its name.
    pub name: String,
    /// Value, call and digest.
    #[serde(flatten)]
    pub fact: Fact,
}

/// The checks, by their names in the playbook.
pub(crate) const CHECKS: [(&str, &str); 6] = [
    ("residency", "everything lies in the allowed regions"),
    ("encryption", "everything is encrypted at rest"),
    (
        "public_access",
        "nothing is open to everybody; access lists of single objects and policies of access points are not read",
    ),
    ("orphan_snapshots", "no snapshot outlives what it was taken of"),
    ("credentials", "users have a second factor; keys are younger than 90 days and used; the root user has none"),
    ("protection", "versioning, object lock and retention are recorded, not judged"),
];

/// Judges one check.
pub(crate) fn judge(check: &str, inventory: &Inventory, rules: &Rules) -> Check {
    let rule = CHECKS.iter().find(|(name, _)| *name == check).map_or("", |(_, rule)| *rule);
    let judge = Judge { inventory, rules };
    let (facts, findings): (&[&str], _) = match check {
        "residency" => (&[], judge.residency()),
        "encryption" => (&[fact::ENCRYPTION], judge.encryption()),
        "public_access" => {
            let facts = &[
                fact::PUBLIC_ACCESS_BLOCK,
                fact::POLICY,
                fact::POLICY_TEXT,
                fact::ACL,
                fact::PUBLIC,
                fact::SHARED_WITH,
            ];
            (facts, judge.public_access())
        }
        "orphan_snapshots" => (&[fact::SNAPSHOT_TYPE, fact::SOURCE, fact::ENCRYPTION], judge.orphans()),
        "credentials" => (&[], judge.credentials()),
        _ => {
            let facts = &[fact::VERSIONING, fact::OBJECT_LOCK, fact::BACKUP_DAYS, fact::DELETION_PROTECTION];
            (facts, judge.protection())
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
        let since = key.since.as_deref().unwrap_or("?");
        let used = key.last_used.as_deref().unwrap_or("never");
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
        if let Some(failure) = self.inventory.account.get(fact::PUBLIC_ACCESS_BLOCK).and_then(Fact::failure) {
            let detail = format!("its block of public access: {}", failure.reason);
            findings.push(Finding::of_run(Kind::AccountUnreadable, "the account", detail));
        }
        for item in &self.inventory.items {
            match item.kind {
                ItemKind::Bucket => findings.extend(Bucket { item, inventory: self.inventory }.findings()),
                ItemKind::Instance => findings.extend(public_instance(item)),
                ItemKind::Snapshot | ItemKind::ClusterSnapshot => findings.extend(public_snapshot(item)),
                // For Aurora the provider reports it for the instances only.
                ItemKind::Cluster => {
                    findings.extend(public_instance(item).filter(|_| item.known(fact::PUBLIC).is_some()))
                }
                ItemKind::Export => {}
            }
        }
        findings
    }

    /// What is recorded is not judged; what could not be read is not recorded.
    fn protection(&self) -> Vec<Finding> {
        let mut findings = self.unlisted(&["s3", "rds"]);
        for item in &self.inventory.items {
            let facts = match item.kind {
                ItemKind::Bucket => [fact::VERSIONING, fact::OBJECT_LOCK],
                ItemKind::Instance | ItemKind::Cluster => [fact::BACKUP_DAYS, fact::DELETION_PROTECTION],
                ItemKind::Snapshot | ItemKind::ClusterSnapshot | ItemKind::Export => continue,
            };
            let missing = facts.iter().filter(|name| item.known(name).is_none());
            findings.extend(missing.map(|name| unreadable(item, &name.replace('_', " "), item.facts.get(*name))));
        }
        findings
    }

    fn orphans(&self) -> Vec<Finding> {
        let mut findings = self.unlisted(&["rds", "snapshot"]);
        for item in &self.inventory.items {
            let source = item.known(fact::SOURCE);
            match item.source(self.inventory) {
                Some(Source::Gone) => {
                    let encryption = match item.known(fact::ENCRYPTION) {
                        Some(NONE) => "not encrypted",
                        Some(_) => "encrypted",
                        None => "encryption unknown",
                    };
                    let detail = format!("of {}, {encryption}, {}", source.unwrap_or("?"), place(item));
                    findings.push(Finding::of_run(Kind::SnapshotOrphaned, item.title(), detail));
                }
                Some(Source::Unknown(reason)) => {
                    let detail = format!("whether {} is still there: {reason}", source.unwrap_or("its source"));
                    findings.push(Finding::of_run(Kind::AccountUnreadable, item.title(), detail));
                }
                None if is_snapshot(item) => findings.push(unreadable(item, "what it was taken of", None)),
                Some(Source::Lives) | None => {}
            }
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
        self.report_age().into_iter().chain(users.iter().flat_map(|user| self.user(user))).collect()
    }

    /// IAM makes a new report when the last one is older than four hours; an older one is not what was asked for, and none is
    /// made after it was read.
    fn report_age(&self) -> Option<Finding> {
        let made = self.inventory.users_reported.as_deref()?;
        let read = self.inventory.users_read.as_deref().unwrap_or(&self.inventory.taken);
        let age = made
            .parse::<Timestamp>()
            .ok()
            .zip(read.parse::<Timestamp>().ok())
            .map(|(made, read)| read.duration_since(made));
        if age.is_some_and(|age| age >= -CLOCKS_APART_MAX && age <= REPORT_AGE_MAX + CLOCKS_APART_MAX) {
            return None;
        }
        let detail = format!(
            "the credential report was made at {made}, and is no picture of the users at {read}, when it was read: \
             IAM makes a new one when the last is four hours old; look again later"
        );
        Some(Finding::of_run(Kind::AccountUnreadable, "users and keys", detail))
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

    /// Incomplete lists: what is not in them was not examined.
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

/// A bucket and what may override public access: its own block of public access, and the account's.
struct Bucket<'a> {
    item: &'a Item,
    inventory: &'a Inventory,
}

impl Bucket<'_> {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let own = self.item.facts.get(fact::PUBLIC_ACCESS_BLOCK);
        if own.is_none_or(|fact| fact.value.is_none()) {
            findings.push(unreadable(self.item, "its block of public access", own));
        }
        findings.extend(self.policy());
        findings.extend(self.access_list());
        findings
    }

    fn blocks(&self) -> impl Iterator<Item = &Fact> {
        let account = self.inventory.account.get(fact::PUBLIC_ACCESS_BLOCK);
        self.item.facts.get(fact::PUBLIC_ACCESS_BLOCK).into_iter().chain(account)
    }

    fn is_blocked(&self, setting: &str) -> bool {
        self.blocks()
            .filter_map(|fact| fact.value.as_deref())
            .any(|on| on == "all" || on.split(' ').any(|one| one == setting))
    }

    /// Public access counts unless a block overrides it. Whether one does has to be known.
    fn open(&self, how: &str) -> Finding {
        if self.blocks().any(|fact| fact.value.is_none()) {
            let detail = format!("{how}, and whether a block of public access is on could not be read");
            return Finding::of_run(Kind::AccountUnreadable, self.item.title(), detail);
        }
        let detail = format!("{how}, and no block of public access is on");
        Finding::of_run(Kind::PubliclyReachable, self.item.title(), detail)
    }

    /// The provider's statement on the policy, and our own reading; either may detect public access.
    fn policy(&self) -> Vec<Finding> {
        let item = self.item;
        let status = item.known(fact::POLICY);
        let text = item.known(fact::POLICY_TEXT);
        let mut findings = Vec::new();
        for (known, name, what) in
            [(status, fact::POLICY, "whether its policy is public"), (text, fact::POLICY_TEXT, "its policy")]
        {
            if known.is_none() {
                findings.push(unreadable(item, what, item.facts.get(name)));
            }
        }
        let read =
            text.filter(|text| *text != NONE).map(|text| policy::read(text, self.inventory.account_id.as_deref()));
        let reading = match read.transpose() {
            Ok(reading) => reading.unwrap_or_default(),
            Err(reason) => {
                findings.push(Finding::of_run(Kind::AccountUnreadable, item.title(), format!("its policy: {reason}")));
                return findings;
            }
        };
        // A Deny may override an Allow; only the provider evaluates both.
        let is_closed = status == Some("not public") && reading.denies;
        let reasons = if is_closed { String::new() } else { reading.public.join("; ") };
        if (status == Some("public") || !reasons.is_empty()) && !self.is_blocked("RestrictPublicBuckets") {
            let how = if reasons.is_empty() { "the provider calls it public" } else { &reasons };
            findings.push(self.open(&format!("by its policy: {how}")));
        }
        if reading.leaves_to_access_points && !self.is_blocked("RestrictPublicBuckets") {
            let detail = "its policy lets in whom its access points let in, and their policies are not read";
            findings.push(Finding::of_run(Kind::AccountUnreadable, item.title(), detail));
        }
        if !reading.others.is_empty() {
            let others: Vec<_> = reading.others.iter().map(String::as_str).collect();
            findings.push(Finding::of_run(
                Kind::SnapshotShared,
                item.title(),
                format!("by its policy: {}", others.join(", ")),
            ));
        }
        findings
    }

    fn access_list(&self) -> Vec<Finding> {
        let item = self.item;
        let Some(list) = item.known(fact::ACL) else {
            return vec![unreadable(item, "its access list", item.facts.get(fact::ACL))];
        };
        let grants = list.split(' ').filter(|grant| !["private", NONE].contains(grant));
        let (others, everybody): (Vec<_>, Vec<_>) = grants.partition(|grant| grant.starts_with(OTHER_ACCOUNT));
        let mut findings = Vec::new();
        if !everybody.is_empty() && !self.is_blocked("IgnorePublicAcls") {
            findings.push(self.open(&format!("by its access list: {}", everybody.join(" "))));
        }
        if !others.is_empty() {
            let detail = format!("by its access list: {}", others.join(" "));
            findings.push(Finding::of_run(Kind::SnapshotShared, item.title(), detail));
        }
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
mod prowler_tests;
#[cfg(test)]
mod tests;
