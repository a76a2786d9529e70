//! How much of the account a run covered: every thing in it is tested, tested in part, excluded, untested or unreadable.
//!
//! Made from three things that all lie in the bundle: the inventory, what the assets came to, and the exclusions. The
//! run makes it to write it down, `verify` makes it again to compare. What could not be listed counts as one unreadable
//! thing of unknown size, so that a list with a hole is never taken for a whole one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inventory::{Inventory, Item, ItemKind, fact};
use crate::glob;

/// What the run did with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All of it was carried and compared, whatever the comparison found.
    Tested,
    /// A part of it was carried and compared: a prefix of a bucket, one database of an instance.
    PartlyTested,
    /// The playbook leaves it out, with a reason and for a time that is not over.
    Excluded,
    /// Nobody looked at its content, and nobody says why.
    Untested,
    /// It could not be looked at.
    Unreadable,
}

impl Status {
    /// All of them, in the order in which reports have them.
    pub const ALL: [Status; 5] =
        [Status::Tested, Status::PartlyTested, Status::Excluded, Status::Untested, Status::Unreadable];

    /// As reports write it.
    pub fn word(self) -> &'static str {
        match self {
            Status::Tested => "TESTED",
            Status::PartlyTested => "TESTED IN PART",
            Status::Excluded => "EXCLUDED",
            Status::Untested => "UNTESTED",
            Status::Unreadable => "UNREADABLE",
        }
    }
}

/// An asset of the run, as far as coverage cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The asset's id.
    pub id: String,
    /// What it was taken from.
    pub from: CarriedFrom,
    /// Bytes that were carried.
    pub bytes: u64,
    /// Bytes of what it was taken from, where the run listed all of that and carried a sample.
    pub listed_bytes: Option<u64>,
    /// Whether everything of it was compared; equal or not.
    pub compared: bool,
}

/// Where an asset was taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CarriedFrom {
    /// A bucket; `whole` if no prefix was given.
    Bucket { name: String, whole: bool },
    /// A database on a server, `host:port`.
    Server { endpoint: String },
    /// A database of an RDS instance or cluster, by its identifier.
    Instance { name: String },
}

impl CarriedFrom {
    /// Reads the source of an asset as the result has it: `s3://bucket/prefix`, `host:port/database`.
    pub fn of_source(is_bucket: bool, source: &str) -> Self {
        if is_bucket {
            let path = source.strip_prefix("s3://").unwrap_or(source);
            let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
            return CarriedFrom::Bucket { name: name.to_owned(), whole: prefix.is_empty() };
        }
        if let Some(rds) = source.strip_prefix("rds:") {
            let name = rds.trim_start_matches('/').split('/').next().unwrap_or_default();
            return CarriedFrom::Instance { name: name.to_owned() };
        }
        let endpoint = source.split('/').next().unwrap_or_default();
        CarriedFrom::Server { endpoint: endpoint.to_owned() }
    }

    /// Whether this is where the item's data was taken from.
    fn is(&self, item: &Item) -> bool {
        match self {
            CarriedFrom::Bucket { name, .. } => item.kind == ItemKind::Bucket && item.name == *name,
            CarriedFrom::Instance { name } => item.kind.selector() == "rds" && item.name == *name,
            CarriedFrom::Server { endpoint } => {
                item.kind.selector() == "rds" && item.known(fact::ENDPOINT) == Some(endpoint.as_str())
            }
        }
    }

    fn whole(&self) -> bool {
        matches!(self, CarriedFrom::Bucket { whole: true, .. })
    }
}

/// An exclusion of the playbook on the day of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluding {
    /// `kind:glob`.
    pub pattern: String,
    /// Tags that the thing must have besides.
    pub tags: BTreeMap<String, String>,
    /// Why, who says so, and until when, in one line.
    pub because: String,
    /// Whether its last day was past.
    pub expired: bool,
}

impl Excluding {
    fn names(&self, kind: &str, name: &str, tags: Option<&BTreeMap<String, String>>) -> bool {
        glob::selects(&self.pattern, kind, name) && has_tags(tags, &self.tags)
    }
}

/// Whether a thing has all the tags that are wanted; one whose tags are not known has none.
pub fn has_tags(tags: Option<&BTreeMap<String, String>>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| tags.and_then(|tags| tags.get(key)) == Some(value))
}

/// One thing in the account and what the run did with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `bucket`, `instance`, …, or the kind of a list that could not be read.
    pub kind: String,
    /// Its name, `*` for a list that could not be read.
    pub name: String,
    /// Where it lies.
    pub region: Option<String>,
    /// Bytes that it holds, if known.
    pub bytes: Option<u64>,
    /// What the run did with it.
    pub status: Status,
    /// Bytes of it that were tested.
    pub tested_bytes: u64,
    /// The assets that it was carried as.
    pub assets: Vec<String>,
    /// Why it is not tested, in words.
    pub why: String,
}

/// Numbers of things and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// Buckets, databases, orphaned snapshots.
    pub assets: u64,
    /// Their bytes, as far as they are known.
    pub bytes: u64,
}

/// What was covered, in the account or in one region. A thing that was tested in part counts its tested bytes as tested
/// and the others as untested.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Carried and compared.
    pub tested: Amount,
    /// Carried and compared in part; bytes are the tested ones.
    pub partly_tested: Amount,
    /// Left out with a reason.
    pub excluded: Amount,
    /// Not looked at; the rest of what was tested in part is among the bytes.
    pub untested: Amount,
    /// Could not be looked at, or not be listed.
    pub unreadable: Amount,
    /// Things that are not excluded and whose size is not known: they are missing from the bytes.
    pub of_unknown_size: u64,
}

/// The coverage of one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionTotals {
    /// The region; `?` where it could not be told.
    pub region: String,
    /// What was covered there.
    pub totals: Totals,
}

/// The coverage of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// One row for each thing, in the inventory's order; unreadable lists last.
    pub rows: Vec<Row>,
    /// The sums.
    pub totals: Totals,
    /// The same by region.
    pub regions: Vec<RegionTotals>,
}

impl Coverage {
    /// Sorts everything of an inventory.
    pub fn of(inventory: &Inventory, carried: &[Carried], exclusions: &[Excluding]) -> Self {
        let items = inventory.items.iter().filter(|item| item.holds_data(inventory));
        let mut rows: Vec<_> = items.map(|item| row(item, carried, exclusions)).collect();
        rows.extend(unreadable_lists(inventory, exclusions));
        let mut totals = Totals::default();
        let mut regions: BTreeMap<String, Totals> = BTreeMap::new();
        for row in &rows {
            totals.add(row);
            regions.entry(row.region.clone().unwrap_or_else(|| "?".to_owned())).or_default().add(row);
        }
        let regions = regions.into_iter().map(|(region, totals)| RegionTotals { region, totals }).collect();
        Coverage { rows, totals, regions }
    }
}

/// The columns of `coverage.csv`.
pub const COLUMNS: [&str; 9] = ["status", "kind", "name", "region", "bytes", "tested_bytes", "assets", "why", "size"];

impl Row {
    /// The fields of `coverage.csv`.
    pub fn fields(&self) -> [String; 9] {
        [
            self.status.word().to_owned(),
            self.kind.clone(),
            self.name.clone(),
            self.region.clone().unwrap_or_default(),
            self.bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
            self.tested_bytes.to_string(),
            self.assets.join(" "),
            self.why.clone(),
            if self.bytes.is_some() { "known" } else { "unknown" }.to_owned(),
        ]
    }
}

fn row(item: &Item, carried: &[Carried], exclusions: &[Excluding]) -> Row {
    let of_item: Vec<_> = carried.iter().filter(|asset| asset.from.is(item)).collect();
    let compared: Vec<_> = of_item.iter().filter(|asset| asset.compared).collect();
    let whole = compared.iter().any(|asset| asset.from.whole());
    let carried_bytes = compared.iter().fold(0_u64, |sum, asset| sum.saturating_add(asset.bytes));
    let mut row = Row {
        kind: item.kind.word().to_owned(),
        name: item.name.clone(),
        region: item.region.clone(),
        bytes: item.bytes,
        status: Status::Untested,
        tested_bytes: 0,
        assets: of_item.iter().map(|asset| asset.id.clone()).collect(),
        why: String::new(),
    };
    let exclusion = exclusions.iter().filter(|e| e.names(item.kind.selector(), &item.name, item.tags.as_ref()));
    let (expired, holding): (Vec<_>, Vec<_>) = exclusion.partition(|exclusion| exclusion.expired);
    if whole {
        // What was carried whole is as large as what was carried: the provider's own number may be a day old.
        let bytes = compared.iter().filter(|asset| asset.from.whole()).map(|asset| asset.bytes).max();
        (row.status, row.bytes, row.tested_bytes) = (Status::Tested, bytes, bytes.unwrap_or_default());
    } else if !compared.is_empty() {
        row.status = Status::PartlyTested;
        row.bytes = row.bytes.or(compared.iter().filter_map(|asset| asset.listed_bytes).max());
        row.tested_bytes = carried_bytes.min(row.bytes.unwrap_or(carried_bytes));
        row.why = "only a part of it is in the playbook".to_owned();
    } else if let Some(exclusion) = holding.first() {
        (row.status, row.why) = (Status::Excluded, exclusion.because.clone());
    } else if !of_item.is_empty() {
        row.why = "could not be compared".to_owned();
    } else if let Some(exclusion) = expired.first() {
        row.why = format!("the exclusion is past its date: {}", exclusion.because);
    } else if let Some(reason) = refused(item) {
        (row.status, row.why) = (Status::Unreadable, reason.to_owned());
    } else {
        row.why = "not in the playbook".to_owned();
    }
    row
}

/// Why the content of an item is closed to the caller, if its size was asked of the item itself and refused.
fn refused(item: &Item) -> Option<&str> {
    item.facts.get(SIZE).and_then(|fact| fact.unreadable.as_deref())
}

/// The fact that says why a bucket could not be listed.
pub const SIZE: &str = "size";

fn unreadable_lists<'a>(inventory: &'a Inventory, exclusions: &'a [Excluding]) -> impl Iterator<Item = Row> + 'a {
    let lists: BTreeMap<(&str, Option<&String>), &str> = inventory
        .unreadable
        .iter()
        .flat_map(|missing| missing.lists.iter().map(move |kind| (kind.as_str(), missing)))
        .filter(|(kind, _)| *kind != "export")
        .map(|(kind, missing)| ((kind, missing.region.as_ref()), missing.reason.as_str()))
        .collect();
    lists.into_iter().map(|((kind, region), reason)| {
        let exclusion = exclusions.iter().find(|exclusion| !exclusion.expired && exclusion.names(kind, "*", None));
        let (status, why) = match exclusion {
            Some(exclusion) => (Status::Excluded, exclusion.because.clone()),
            None => (Status::Unreadable, format!("could not be listed: {reason}")),
        };
        let (kind, name, region) = (format!("{kind} list"), "*".to_owned(), region.cloned());
        Row { kind, name, region, bytes: None, status, tested_bytes: 0, assets: Vec::new(), why }
    })
}

impl Totals {
    fn add(&mut self, row: &Row) {
        let bytes = row.bytes.unwrap_or(row.tested_bytes);
        let (amount, bytes) = match row.status {
            Status::Tested => (&mut self.tested, bytes),
            Status::PartlyTested => (&mut self.partly_tested, row.tested_bytes),
            Status::Excluded => (&mut self.excluded, bytes),
            Status::Untested => (&mut self.untested, bytes),
            Status::Unreadable => (&mut self.unreadable, bytes),
        };
        amount.assets += 1;
        amount.bytes = amount.bytes.saturating_add(bytes);
        if row.status == Status::PartlyTested {
            let rest = row.bytes.unwrap_or_default().saturating_sub(row.tested_bytes);
            self.untested.bytes = self.untested.bytes.saturating_add(rest);
        }
        self.of_unknown_size += u64::from(row.bytes.is_none() && row.status != Status::Excluded);
    }

    /// One amount by its status.
    pub fn amount(&self, status: Status) -> Amount {
        match status {
            Status::Tested => self.tested,
            Status::PartlyTested => self.partly_tested,
            Status::Excluded => self.excluded,
            Status::Untested => self.untested,
            Status::Unreadable => self.unreadable,
        }
    }

    /// Things that are not excluded.
    pub fn assets_in_scope(&self) -> u64 {
        [self.tested, self.partly_tested, self.untested, self.unreadable].iter().map(|amount| amount.assets).sum()
    }

    /// Known bytes of things that are not excluded.
    pub fn bytes_in_scope(&self) -> u64 {
        let amounts = [self.tested, self.partly_tested, self.untested, self.unreadable];
        amounts.iter().fold(0, |sum, amount| sum.saturating_add(amount.bytes))
    }

    /// Bytes that were tested.
    pub fn bytes_tested(&self) -> u64 {
        self.tested.bytes.saturating_add(self.partly_tested.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::inventory::{Fact, Unreadable};

    fn bucket(name: &str, bytes: Option<u64>) -> Item {
        Item { bytes, ..Item::named(ItemKind::Bucket, name, Some("eu-central-1".into())) }
    }

    fn inventory(items: Vec<Item>) -> Inventory {
        Inventory { items, ..Inventory::new("2026-11-24T00:00:00Z".into(), vec!["eu-central-1".into()]) }
    }

    fn carried(name: &str, whole: bool, bytes: u64) -> Carried {
        let from = CarriedFrom::Bucket { name: name.into(), whole };
        Carried { id: format!("asset-{name}"), from, bytes, listed_bytes: None, compared: true }
    }

    fn excluding(pattern: &str, expired: bool) -> Excluding {
        Excluding { pattern: pattern.into(), tags: BTreeMap::new(), because: "reproducible".into(), expired }
    }

    #[test]
    fn everything_has_exactly_one_status_and_bytes_add_up() {
        let items = ["a", "b", "c", "d"].map(|name| bucket(name, Some(100))).to_vec();
        let assets = [carried("a", true, 90), carried("b", false, 30)];
        let coverage = Coverage::of(&inventory(items), &assets, &[excluding("s3:c*", false)]);
        let status: Vec<_> = coverage.rows.iter().map(|row| row.status).collect();
        assert_eq!(status, [Status::Tested, Status::PartlyTested, Status::Excluded, Status::Untested]);
        let totals = &coverage.totals;
        assert_eq!((totals.bytes_tested(), totals.untested.bytes, totals.excluded.bytes), (120, 170, 100));
        assert_eq!((totals.assets_in_scope(), totals.bytes_in_scope(), totals.of_unknown_size), (3, 290, 0));
        assert_eq!(coverage.regions.len(), 1);
    }

    #[test]
    fn an_expired_exclusion_does_not_exclude() {
        let coverage = Coverage::of(&inventory(vec![bucket("c", None)]), &[], &[excluding("s3:c", true)]);
        assert_eq!(coverage.rows[0].status, Status::Untested);
        assert!(coverage.rows[0].why.contains("past its date"));
        assert_eq!(coverage.totals.of_unknown_size, 1);
    }

    #[test]
    fn what_was_not_compared_is_untested() {
        let asset = Carried { compared: false, ..carried("a", true, 90) };
        let coverage = Coverage::of(&inventory(vec![bucket("a", Some(90))]), &[asset], &[]);
        assert_eq!((coverage.rows[0].status, coverage.totals.bytes_tested()), (Status::Untested, 0));
    }

    #[test]
    fn a_sample_is_a_part_of_what_the_run_listed() {
        let asset = Carried { listed_bytes: Some(500), ..carried("a", false, 20) };
        let coverage = Coverage::of(&inventory(vec![bucket("a", None)]), &[asset], &[]);
        let row = &coverage.rows[0];
        assert_eq!((row.status, row.bytes, row.tested_bytes), (Status::PartlyTested, Some(500), 20));
        assert_eq!((coverage.totals.of_unknown_size, coverage.totals.untested.bytes), (0, 480));
    }

    #[test]
    fn a_list_that_was_refused_is_one_unreadable_thing_until_it_is_excluded() {
        let mut inventory = inventory(vec![]);
        inventory.unreadable.push(Unreadable {
            call: "rds DescribeDBInstances".into(),
            region: Some("eu-central-1".into()),
            subject: None,
            reason: "AccessDenied".into(),
            denied: true,
            right: None,
            lists: vec!["rds".into()],
        });
        let coverage = Coverage::of(&inventory, &[], &[]);
        assert_eq!((coverage.totals.unreadable.assets, coverage.totals.of_unknown_size), (1, 1));
        let coverage = Coverage::of(&inventory, &[], &[excluding("rds:*", false)]);
        assert_eq!((coverage.totals.unreadable.assets, coverage.totals.of_unknown_size), (0, 0));
    }

    #[test]
    fn tags_that_are_not_known_do_not_match() {
        let mut exclusion = excluding("s3:*", false);
        exclusion.tags.insert("class".into(), "scratch".into());
        let tagged = Item { tags: Some(exclusion.tags.clone()), ..bucket("a", Some(1)) };
        let coverage = Coverage::of(&inventory(vec![tagged, bucket("b", Some(1))]), &[], &[exclusion]);
        assert_eq!([coverage.rows[0].status, coverage.rows[1].status], [Status::Excluded, Status::Untested]);
    }

    #[test]
    fn a_database_is_a_part_of_its_instance_and_a_cluster_member_is_no_asset() {
        let mut instance = Item::named(ItemKind::Instance, "ledger", Some("eu-central-1".into()));
        instance.facts.insert(fact::ENDPOINT.into(), Fact::listed("ledger.rds.test:5432"));
        let mut member = Item::named(ItemKind::Instance, "node", Some("eu-central-1".into()));
        member.facts.insert(fact::CLUSTER.into(), Fact::listed("aurora"));
        let from = CarriedFrom::of_source(false, "ledger.rds.test:5432/ledger");
        let asset = Carried { id: "ledger".into(), from, bytes: 7, listed_bytes: None, compared: true };
        let coverage = Coverage::of(&inventory(vec![instance, member]), &[asset], &[]);
        assert_eq!(coverage.rows.len(), 1);
        assert_eq!((coverage.rows[0].status, coverage.rows[0].tested_bytes), (Status::PartlyTested, 7));
    }

    #[test]
    fn sources_are_understood_as_the_result_writes_them() {
        let whole = |source| match CarriedFrom::of_source(true, source) {
            CarriedFrom::Bucket { name, whole } => (name, whole),
            other => panic!("{other:?}"),
        };
        assert_eq!(whole("s3://a/"), ("a".to_owned(), true));
        assert_eq!(whole("s3://a/2026/"), ("a".to_owned(), false));
    }
}
