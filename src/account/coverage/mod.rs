//! How much of the account a run covered: each resource is tested, tested in part, excluded, untested or unreadable.
//!
//! Computed from three inputs that are all in the bundle: the inventory, the assets' outcomes, and the exclusions. The
//! run computes it to record it, `verify` recomputes it to compare. What could not be listed counts as one unreadable
//! resource of unknown size, so that an incomplete list is never treated as complete.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inventory::{Inventory, Item, ItemKind, NONE, fact};
use crate::{domain::event::AssetKind, glob};

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
    /// It could not be read.
    Unreadable,
}

impl Status {
    /// All of them, in the order of reports.
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

/// An asset of the run, reduced to what coverage needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The asset's id.
    pub id: String,
    /// Its source.
    pub from: CarriedFrom,
    /// Bytes that were carried.
    pub bytes: u64,
    /// Bytes of what it was taken from, where the run listed all of that and carried a sample.
    pub listed_bytes: Option<u64>,
    /// Whether everything of it was compared; equal or not.
    pub compared: bool,
}

/// The source of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CarriedFrom {
    /// Objects of a bucket below a prefix; of all of them where it is empty.
    Bucket {
        /// The bucket.
        name: String,
        /// The prefix of the keys.
        prefix: String,
        /// A sample was drawn of them.
        sample: bool,
        /// Their earlier versions were copied, too.
        versions: bool,
    },
    /// A database on a server, `host:port`.
    Server {
        /// Host and port.
        endpoint: String,
        /// The database.
        database: String,
    },
    /// A database of an RDS instance or cluster.
    Instance {
        /// Its identifier, which is unique within a region and a kind only.
        name: String,
        /// Its ARN, where it is known.
        arn: Option<String>,
        /// The database.
        database: String,
    },
}

impl CarriedFrom {
    /// Parses the source of an asset as in the result: `s3://bucket/prefix`, `host:port/database`.
    pub fn of_source(kind: AssetKind, source: &str) -> Self {
        if kind == AssetKind::S3 {
            let path = source.strip_prefix("s3://").unwrap_or(source);
            let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
            let name = name.to_owned();
            let prefix = prefix.to_owned();
            return CarriedFrom::Bucket { name, prefix, sample: false, versions: false };
        }
        let database = source.rsplit_once('/').map_or("", |(_, database)| database).to_owned();
        if let Some(rds) = source.strip_prefix("rds:") {
            let name = rds.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
            return CarriedFrom::Instance { name, arn: None, database };
        }
        let endpoint = source.split('/').next().unwrap_or_default().to_owned();
        CarriedFrom::Server { endpoint, database }
    }

    /// Whether this is the source of the item's data.
    fn is(&self, item: &Item, inventory: &Inventory, rules: Rules) -> bool {
        match self {
            CarriedFrom::Bucket { name, .. } => item.kind == ItemKind::Bucket && item.name == *name,
            CarriedFrom::Instance { name, arn, .. } => match arn.as_ref().filter(|_| rules != Rules::First) {
                Some(arn) => is_named(item, arn) || is_member_of(item, arn, inventory),
                None => item.kind.selector() == "rds" && item.name == *name,
            },
            CarriedFrom::Server { endpoint, .. } => {
                item.kind.selector() == "rds" && item.known(fact::ENDPOINT) == Some(endpoint.as_str())
            }
        }
    }

    /// Whether all objects of a bucket were copied.
    fn whole(&self) -> bool {
        matches!(self, CarriedFrom::Bucket { prefix, sample: false, .. } if prefix.is_empty())
    }

    /// The part of the item that was copied: keys with this prefix, or the database of this name.
    fn part(&self) -> (&str, bool) {
        match self {
            CarriedFrom::Bucket { prefix, sample, .. } => (prefix, *sample),
            CarriedFrom::Server { database, .. } | CarriedFrom::Instance { database, .. } => (database, false),
        }
    }
}

/// Whether an ARN names the item: by the one that the provider gave it, or else by its kind, region and name.
fn is_named(item: &Item, arn: &str) -> bool {
    if let Some(own) = &item.arn {
        return own == arn;
    }
    let parts: Vec<_> = arn.splitn(7, ':').collect();
    let [_, _, _, region, _, kind, name] = parts[..] else { return false };
    let kind_fits = matches!((item.kind, kind), (ItemKind::Instance, "db") | (ItemKind::Cluster, "cluster"));
    kind_fits && item.name == name && item.region.as_deref() == Some(region)
}

/// Whether an ARN names an instance that belongs to this cluster, whose data it serves.
fn is_member_of(cluster: &Item, arn: &str, inventory: &Inventory) -> bool {
    let is_member = |instance: &Item| {
        is_named(instance, arn)
            && instance.region == cluster.region
            && instance.known(fact::CLUSTER) == Some(cluster.name.as_str())
    };
    cluster.kind == ItemKind::Cluster && inventory.of(ItemKind::Instance).any(is_member)
}

/// How resources are matched and bytes are counted. A bundle is checked by the rules that it was created by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// By name, the sources of snapshots too; bytes of several assets of one bucket are added up; earlier versions of
    /// objects are ignored.
    First,
    /// By ARN; bytes of one bucket are a union; earlier versions that were not copied are untested.
    Second,
    /// The same, and a bucket that may keep versions is whole only if a list of them shows that none are earlier.
    Third,
}

impl Rules {
    /// Their number in a result.
    pub const NEWEST: u32 = 3;

    /// Reads the number.
    pub fn of_number(number: u32) -> Option<Self> {
        [Rules::First, Rules::Second, Rules::Third].get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
    }
}

/// An exclusion of the playbook on the day of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluding {
    /// `kind:glob`.
    pub pattern: String,
    /// Tags that the resource must also have.
    pub tags: BTreeMap<String, String>,
    /// Why, who says so, and until when, in one line.
    pub because: String,
    /// Whether its last day was past.
    pub expired: bool,
}

impl Excluding {
    /// The kind of resource that the pattern is about.
    pub fn kind(&self) -> &str {
        self.pattern.split_once(':').map_or("", |(kind, _)| kind)
    }

    /// Whether it excludes a resource with this kind, name and tags.
    pub fn names(&self, kind: &str, name: &str, tags: Option<&BTreeMap<String, String>>) -> bool {
        glob::selects(&self.pattern, kind, name) && has_tags(tags, &self.tags)
    }
}

/// Whether a resource has all required tags; one whose tags are not known has none.
pub(crate) fn has_tags(tags: Option<&BTreeMap<String, String>>, wanted: &BTreeMap<String, String>) -> bool {
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
    pub fn of(inventory: &Inventory, carried: &[Carried], exclusions: &[Excluding], rules: Rules) -> Self {
        let holds_data = match rules {
            Rules::First => Item::holds_data_by_names,
            Rules::Second | Rules::Third => Item::holds_data,
        };
        let items = inventory.items.iter().filter(|item| holds_data(item, inventory));
        let of_item = |item: &Item| carried.iter().filter(|asset| asset.from.is(item, inventory, rules)).collect();
        let mut rows: Vec<_> = items.map(|item| row(item, of_item(item), exclusions, rules)).collect();
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
pub(crate) const COLUMNS: [&str; 9] =
    ["status", "kind", "name", "region", "bytes", "tested_bytes", "assets", "why", "size"];

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

impl Row {
    /// A record of `coverage.csv` read back; none if it is not one.
    pub fn from_fields(fields: &[String]) -> Option<Self> {
        let [status, kind, name, region, bytes, tested_bytes, assets, why, ..] = fields else { return None };
        Some(Row {
            kind: kind.clone(),
            name: name.clone(),
            region: (!region.is_empty()).then(|| region.clone()),
            bytes: if bytes.is_empty() { None } else { Some(bytes.parse().ok()?) },
            status: Status::ALL.into_iter().find(|known| known.word() == status)?,
            tested_bytes: tested_bytes.parse().ok()?,
            assets: assets.split_whitespace().map(str::to_owned).collect(),
            why: why.clone(),
        })
    }
}

fn row(item: &Item, of_item: Vec<&Carried>, exclusions: &[Excluding], rules: Rules) -> Row {
    let compared: Vec<_> = of_item.iter().copied().filter(|asset| asset.compared).collect();
    let whole: Vec<_> = compared.iter().copied().filter(|asset| asset.from.whole()).collect();
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
    if !whole.is_empty() {
        // What was copied whole is as large as what was copied: the provider's own number may be a day old.
        let bytes = whole.iter().map(|asset| asset.bytes).max().unwrap_or_default();
        (row.status, row.bytes, row.tested_bytes) = (Status::Tested, Some(bytes), bytes);
        row.add_earlier_versions(match rules {
            Rules::First => None,
            Rules::Second => earlier_versions_by_second_rules(item, &whole, bytes),
            Rules::Third => earlier_versions(item, &whole, bytes),
        });
    } else if !compared.is_empty() {
        row.status = Status::PartlyTested;
        row.bytes = row.bytes.or(compared.iter().filter_map(|asset| asset.listed_bytes).max());
        row.why = "only a part of it is in the playbook".to_owned();
        match rules {
            Rules::First => {
                let carried = compared.iter().fold(0_u64, |sum, asset| sum.saturating_add(asset.bytes));
                row.tested_bytes = carried.min(row.bytes.unwrap_or(carried));
            }
            Rules::Second | Rules::Third => row.take_parts(item, &compared),
        }
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

impl Row {
    fn take_parts(&mut self, item: &Item, compared: &[&Carried]) {
        let parts: Vec<_> = compared.iter().map(|asset| (asset.from.part(), asset.bytes)).collect();
        let carried = union(parts);
        // A part as large as yesterday's whole means that today's whole is not known.
        let outgrown = item.kind == ItemKind::Bucket && self.bytes.is_some_and(|bytes| carried > bytes);
        if outgrown {
            self.bytes = None;
        }
        self.tested_bytes = carried.min(self.bytes.unwrap_or(carried));
    }

    fn add_earlier_versions(&mut self, earlier: Option<Earlier>) {
        let Some(earlier) = earlier else { return };
        self.status = Status::PartlyTested;
        self.why = match earlier {
            Earlier::Unasked => UNASKED_VERSIONS,
            Earlier::Unreported => "whether it keeps earlier versions of its objects is not known",
            Earlier::Bytes(_) | Earlier::Unknown => {
                "earlier versions of its objects were not asked for (versions: all)"
            }
        }
        .to_owned();
        self.bytes = match earlier {
            Earlier::Bytes(bytes) => self.bytes.map(|carried| carried.saturating_add(bytes)),
            Earlier::Unknown | Earlier::Unasked | Earlier::Unreported => None,
        };
    }
}

const UNASKED_VERSIONS: &str = "it is larger than what was carried, and whether it keeps earlier versions was not asked; \
                                thresholds.coverage_bytes and sizes: listing ask";

/// What a bucket holds besides its listed objects.
enum Earlier {
    Bytes(u64),
    Unknown,
    /// More than was copied, and whether the bucket keeps versions was not queried.
    Unasked,
    /// Whether the bucket keeps versions was not queried or not answered.
    Unreported,
}

/// Earlier versions that none of the assets copied; none where there are none. The provider's own sum is a day old and older:
/// that it is no more than what was copied proves nothing about what was replaced since.
fn earlier_versions(item: &Item, whole: &[&Carried], carried: u64) -> Option<Earlier> {
    let carries = |asset: &&Carried| matches!(asset.from, CarriedFrom::Bucket { versions: true, .. });
    if whole.iter().any(carries) {
        return None;
    }
    if let Some(bytes) = item.earlier_bytes {
        return Some(Earlier::Bytes(bytes)).filter(|_| bytes > 0);
    }
    match (item.known(fact::VERSIONING), item.bytes) {
        (Some(NONE), _) => None,
        (None, _) => Some(Earlier::Unreported),
        (Some(_), Some(bytes)) if bytes > carried => Some(Earlier::Bytes(bytes - carried)),
        (Some(_), _) => Some(Earlier::Unknown),
    }
}

fn earlier_versions_by_second_rules(item: &Item, whole: &[&Carried], carried: u64) -> Option<Earlier> {
    let carries = |asset: &&Carried| matches!(asset.from, CarriedFrom::Bucket { versions: true, .. });
    if whole.iter().any(carries) {
        return None;
    }
    if let Some(bytes) = item.earlier_bytes {
        return Some(Earlier::Bytes(bytes)).filter(|_| bytes > 0);
    }
    let Some(versioning) = item.facts.get(fact::VERSIONING) else {
        return item.bytes.filter(|bytes| *bytes > carried).map(|_| Earlier::Unasked);
    };
    if versioning.value.as_deref() == Some(NONE) {
        return None;
    }
    match item.bytes {
        Some(bytes) if bytes > carried => Some(Earlier::Bytes(bytes - carried)),
        Some(bytes) if bytes == carried => None,
        _ => Some(Earlier::Unknown),
    }
}

/// The part of an item, whether it is a sample of that, and the bytes that were copied of it.
type Part<'a> = ((&'a str, bool), u64);

/// The bytes of parts that may be nested: a part counts with everything below it, once. For a sample it is not
/// known what else of the same it has.
fn union(mut parts: Vec<Part<'_>>) -> u64 {
    parts.sort_unstable();
    let mut bytes = 0_u64;
    while let Some(((outer, _), _)) = parts.first().copied() {
        let (inside, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|((part, _), _)| part.starts_with(outer));
        let (same, below): (Vec<_>, Vec<_>) = inside.into_iter().partition(|((part, _), _)| *part == outer);
        let most = |sample: bool| same.iter().filter(|((_, drawn), _)| *drawn == sample).map(|(_, bytes)| *bytes).max();
        let covered = most(false).unwrap_or_else(|| most(true).unwrap_or_default().max(union(below)));
        bytes = bytes.saturating_add(covered);
        parts = others;
    }
    bytes
}

/// Why the caller can't read the content of an item, if its size was queried from the item itself and denied.
fn refused(item: &Item) -> Option<&str> {
    item.facts.get(SIZE).and_then(|fact| fact.unreadable.as_deref())
}

/// The fact with the reason why a bucket could not be listed.
pub(crate) const SIZE: &str = "size";

fn unreadable_lists<'a>(inventory: &'a Inventory, exclusions: &'a [Excluding]) -> impl Iterator<Item = Row> + 'a {
    let lists: BTreeMap<(&str, Option<&String>), &str> = inventory
        .unreadable
        .iter()
        .flat_map(|missing| missing.lists.iter().map(move |kind| (kind.as_str(), missing)))
        .filter(|(kind, _)| !["export", "users"].contains(kind))
        .map(|(kind, missing)| ((kind, missing.region.as_ref()), missing.reason.as_str()))
        .collect();
    lists.into_iter().map(|((kind, region), reason)| {
        let exclusion = exclusions.iter().find(|exclusion| !exclusion.expired && exclusion.names(kind, "*", None));
        let (status, why) = match exclusion {
            Some(exclusion) => (Status::Excluded, exclusion.because.clone()),
            None => (Status::Unreadable, format!("could not be listed: {reason}")),
        };
        let kind = format!("{kind} list");
        let name = "*".to_owned();
        let region = region.cloned();
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

    /// The bytes of one amount; none where nothing of them is known and some sizes are unknown: zero would mislead.
    pub fn known_bytes(&self, status: Status) -> Option<u64> {
        let Amount { assets, bytes } = self.amount(status);
        let is_open = bytes == 0 && assets > 0 && (self.of_unknown_size > 0 || status == Status::Excluded);
        (!is_open).then_some(bytes)
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
mod tests;
