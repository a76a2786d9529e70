//! Assets and their defaults.
//!
//! Leaves out whether buckets, databases and tables exist: that is found when they are listed.

use std::str::FromStr;

use super::Validator;
use crate::playbook::{
    checked::{Checked, Written},
    document::{
        Asset as AssetEntry, DatabaseCheck, DatabaseDefaults, Document, ExcludedTable as ExcludedTableEntry, Layout,
        Limits as LimitsEntry, Postgres, S3, S3Defaults, Sample, Versions,
    },
    model::{
        Asset, AssetKind, BucketLike, BucketSpec, DatabaseSpec, ExcludedTable, Limits, SampleSpec, Selection, Server,
    },
    names::Line,
    problem::{Located, Place, Problem, Wrong},
    selector::{Selector, SelectorKind},
};

/// The default number of connections that copy a database.
const PARALLEL_DEFAULT: u64 = 2;
const PARALLEL_MAX: u64 = 16;
/// The fewest connections that a database can be copied with, and the most that are useful.
const CONNECTIONS: std::ops::RangeInclusive<u64> = 3..=64;

const ALL_CHECKS: [DatabaseCheck; 4] =
    [DatabaseCheck::Catalog, DatabaseCheck::Rows, DatabaseCheck::Digest, DatabaseCheck::Sequences];

/// The defaults, with what they leave out filled in.
struct Defaults {
    layout: Layout,
    versions: Versions,
    verify: Vec<DatabaseCheck>,
    parallel: usize,
    limits: Limits,
    bucket_limits: Limits,
}

impl Validator<'_> {
    /// The good assets, and the good patterns that become assets when the run starts.
    pub(super) fn assets(&self, file: &Document, place: &Place) -> (Vec<Asset>, Vec<Selection>) {
        let defaults = self.defaults(file);
        if let Some(list) = file.assets.required("assets", place, self.problems)
            && list.value.is_empty()
        {
            let problem = Problem::at(&list.place, "there is no asset, so nothing would be tested");
            self.problems.add(problem.hint("name at least one bucket or database"));
        }
        let ids = self.items(&file.assets).filter_map(|asset| asset.value.id.optional());
        self.unique(ids, "the id");
        let (selecting, named): (Vec<_>, Vec<_>) =
            self.items(&file.assets).partition(|asset| !asset.value.selector.is_missing());
        let named = named.into_iter().filter_map(|asset| self.asset(asset, &defaults)).collect();
        (named, selecting.into_iter().filter_map(|asset| self.selection(asset, &defaults)).collect())
    }

    /// Buckets that are found by a pattern, all copied in the same way.
    fn selection(&self, entry: &Located<AssetEntry>, defaults: &Defaults) -> Option<Selection> {
        let Located { value: asset, place } = entry;
        let id = self.required_text(&asset.id, "id", place);
        let selector = self.optional_text::<Selector>(&asset.selector);
        let tags = self.tags(&asset.tags);
        let others = [
            ("postgres", asset.postgres.is_missing()),
            ("rds", asset.rds.is_missing()),
            ("exclude_tables", asset.exclude_tables.is_missing()),
            ("checks", asset.checks.is_missing()),
        ];
        for (name, other) in others {
            if !other {
                let problem = Problem::at(place, format!("`{name}` does not go with `match`"));
                self.problems.add(problem.hint("`match` chooses buckets; give a database an entry of its own"));
            }
        }
        let s3 = asset.s3.optional();
        if let Some(bucket) = s3.and_then(|s3| s3.value.bucket.optional()) {
            let problem = Problem::at(&bucket.place, "`bucket` does not go with `match`, which chooses the buckets");
            self.problems.add(problem.hint("remove one of the two"));
        }
        if let (Some(selector), Some(text)) = (&selector, asset.selector.optional())
            && selector.kind() != SelectorKind::S3
        {
            let problem = Problem::at(&text.place, "chooses databases, which need a connection string each");
            self.problems.add(problem.hint("write s3:NAME; give each database an entry of its own"));
        }
        // The name is replaced by that of each bucket.
        let bucket = "selected-below".parse().ok()?;
        let like = BucketSpec {
            bucket,
            prefix: s3.and_then(|s3| s3.value.prefix.optional()).and_then(|prefix| self.prefix(prefix)),
            layout: s3.and_then(|s3| s3.value.layout.optional()).map_or(defaults.layout, |layout| layout.value),
            versions: s3.and_then(|s3| s3.value.versions.optional()).map_or(defaults.versions, |v| v.value),
            acls: s3.and_then(|s3| s3.value.acls.optional()).is_some_and(|acls| acls.value),
            sample: asset.sample.optional().and_then(|sample| self.sample(sample)),
            may_be_empty: may_be_empty(asset),
            limits: self.bucket_limits(&asset.limits, defaults.bucket_limits),
        };
        Some(Selection { id: id?, selector: selector?, tags, like: BucketLike(like) })
    }

    fn asset(&self, entry: &Located<AssetEntry>, defaults: &Defaults) -> Option<Asset> {
        let id = self.required_text(&entry.value.id, "id", &entry.place);
        let kind = self.asset_kind(entry, defaults);
        Some(Asset { id: id?, kind: kind? })
    }

    /// Checks everything the asset has, even if it has too much.
    fn asset_kind(&self, entry: &Located<AssetEntry>, defaults: &Defaults) -> Option<AssetKind> {
        let Located { value: asset, place } = entry;
        if let Some(tags) = asset.tags.optional() {
            let problem = Problem::at(&tags.place, "`tags` goes with `match`");
            self.problems.add(problem.hint("write match: \"s3:*\" beside it, or remove the key"));
        }
        let tables = self.excluded_tables(asset);
        let sample = asset.sample.optional().and_then(|sample| self.sample(sample));
        let is_bucket = !asset.s3.is_missing();
        let limits = if is_bucket {
            self.bucket_limits(&asset.limits, defaults.bucket_limits)
        } else {
            self.limits(&asset.limits, defaults.limits)
        };
        let bucket = asset.s3.optional().and_then(|s3| self.bucket(s3, sample, limits, defaults));
        let bucket = bucket.map(|bucket| BucketSpec { may_be_empty: may_be_empty(asset), ..bucket });
        let roles = self.roles(entry);
        let checks = self.checks(asset);
        let url = asset.postgres.optional().and_then(|postgres| self.postgres(postgres));
        let rds = asset.rds.optional().and_then(|rds| self.rds(rds)).map(|rds| Server::Rds(Box::new(rds)));
        let server = url.or(rds);
        match (asset.s3.is_missing(), asset.postgres.is_missing(), asset.rds.is_missing()) {
            (true, true, true) => self.not_one(place, "is neither a bucket nor a database"),
            (true, false, false) => self.not_one(place, "is two databases at once"),
            (false, true, true) => self.no_tables(asset),
            (false, ..) => self.not_one(place, "is a bucket and a database at once"),
            (true, ..) => self.no_sample(asset),
        }
        let database = server.map(|server| DatabaseSpec {
            server,
            exclude_tables: tables,
            verify: defaults.verify.clone(),
            parallel: defaults.parallel,
            roles,
            checks,
            may_be_empty: may_be_empty(asset),
            limits,
        });
        bucket.map(AssetKind::Objects).or(database.map(AssetKind::Database))
    }

    fn not_one(&self, place: &Place, message: &str) {
        self.problems.add(Problem::at(place, message).hint("write exactly one of `s3`, `postgres` and `rds`"));
    }

    fn no_tables(&self, asset: &AssetEntry) {
        let only = |place: Option<&Place>, message: &str, key: &str| {
            if let Some(place) = place {
                let hint = format!("remove the key; `{key}` goes with `postgres` and `rds`");
                self.problems.add(Problem::at(place, message).hint(hint));
            }
        };
        let tables = asset.exclude_tables.optional().map(|list| &list.place);
        only(tables, "a bucket has no tables to leave out", "exclude_tables");
        only(asset.roles.optional().map(|roles| &roles.place), "a bucket has no roles", "roles");
        only(asset.checks.optional().map(|list| &list.place), "a bucket can't be asked questions", "checks");
    }

    fn no_sample(&self, asset: &AssetEntry) {
        if let Some(sample) = asset.sample.optional() {
            let problem = Problem::at(&sample.place, "a database is copied whole");
            self.problems.add(problem.hint("remove the key; `sample` goes with `s3`"));
        }
    }

    fn sample(&self, entry: &Located<Sample>) -> Option<SampleSpec> {
        let Located { value: sample, place } = entry;
        let share = sample.share.required("share", place, self.problems);
        let share = share.and_then(|written| self.accept(&written.place, written.value.0.parse()));
        let seed = sample.seed.required("seed", place, self.problems);
        Some(SampleSpec { share: share?, seed: seed?.value })
    }

    fn bucket(
        &self,
        entry: &Located<S3>,
        sample: Option<SampleSpec>,
        limits: Limits,
        defaults: &Defaults,
    ) -> Option<BucketSpec> {
        let Located { value: s3, place } = entry;
        let bucket = self.required_text(&s3.bucket, "bucket", place);
        let prefix = s3.prefix.optional().and_then(|prefix| self.prefix(prefix));
        Some(BucketSpec {
            bucket: bucket?,
            prefix,
            layout: s3.layout.optional().map_or(defaults.layout, |layout| layout.value),
            versions: s3.versions.optional().map_or(defaults.versions, |versions| versions.value),
            acls: s3.acls.optional().is_some_and(|acls| acls.value),
            sample,
            may_be_empty: false,
            limits,
        })
    }

    fn prefix(&self, prefix: &Located<String>) -> Option<String> {
        if prefix.value.is_empty() {
            let problem = Problem::at(&prefix.place, "is empty");
            self.problems.add(problem.hint("remove the key to copy the whole bucket"));
            return None;
        }
        Some(prefix.value.clone())
    }

    fn postgres(&self, entry: &Located<Postgres>) -> Option<Server> {
        let url = entry.value.url.required("url", &entry.place, self.problems)?;
        Some(Server::Url { url: self.reference(url)? })
    }

    fn excluded_tables(&self, asset: &AssetEntry) -> Vec<ExcludedTable> {
        let names = self.items(&asset.exclude_tables).filter_map(|table| table.value.name.optional());
        self.unique(names, "the table");
        self.items(&asset.exclude_tables).filter_map(|table| self.excluded_table(table)).collect()
    }

    fn excluded_table(&self, entry: &Located<ExcludedTableEntry>) -> Option<ExcludedTable> {
        let Located { value: table, place } = entry;
        let name = self.required_text(&table.name, "name", place);
        let reason: Option<Line> = self.required_text(&table.reason, "reason", place);
        Some(ExcludedTable { name: name?, reason: reason? })
    }

    fn defaults(&self, file: &Document) -> Defaults {
        let defaults = file.defaults.optional().map(|defaults| &defaults.value);
        let s3 = defaults.and_then(|defaults| defaults.s3.optional());
        let database = defaults.and_then(|defaults| defaults.database.optional());
        let (layout, versions) = bucket_defaults(s3);
        Defaults {
            layout,
            versions,
            verify: database.map_or(ALL_CHECKS.to_vec(), |database| self.verify(&database.value)),
            parallel: self.parallel(database.map(|database| &database.value)),
            bucket_limits: s3
                .map_or_else(Limits::default, |s3| self.bucket_limits(&s3.value.limits, Limits::default())),
            limits: database
                .map_or_else(Limits::default, |database| self.limits(&database.value.limits, Limits::default())),
        }
    }

    /// The given limits, and for the others the defaults.
    fn limits(&self, entry: &Checked<LimitsEntry>, otherwise: Limits) -> Limits {
        let Some(Located { value: limits, .. }) = entry.optional() else { return otherwise };
        Limits {
            connections: self.connections(limits).or(otherwise.connections),
            bytes_per_s: self.quantity(&limits.bytes_per_s).or(otherwise.bytes_per_s),
            lock_timeout: self.quantity(&limits.lock_timeout).or(otherwise.lock_timeout),
            stall: self.quantity(&limits.stall).or(otherwise.stall),
        }
    }

    /// For a bucket only the time-out of an unreachable end.
    fn bucket_limits(&self, entry: &Checked<LimitsEntry>, otherwise: Limits) -> Limits {
        let Some(Located { value: limits, .. }) = entry.optional() else { return otherwise };
        let others = [
            ("connections", limits.connections.optional().map(|given| &given.place)),
            ("bytes_per_s", limits.bytes_per_s.optional().map(|given| &given.place)),
            ("lock_timeout", limits.lock_timeout.optional().map(|given| &given.place)),
        ];
        for (name, place) in others.into_iter().filter_map(|(name, place)| Some((name, place?))) {
            let hint = format!("remove the key; `{name}` goes with `postgres` and `rds`, a bucket knows `stall`");
            self.problems.add(Problem::at(place, "a bucket has no such limit").hint(hint));
        }
        Limits { stall: self.quantity(&limits.stall).or(otherwise.stall), ..Limits::default() }
    }

    fn connections(&self, limits: &LimitsEntry) -> Option<u64> {
        let given = limits.connections.optional()?;
        if !CONNECTIONS.contains(&given.value) {
            let least = CONNECTIONS.start();
            let most = CONNECTIONS.end();
            let problem = Problem::at(&given.place, format!("{} connections are not possible", given.value));
            self.problems.add(problem.hint(format!("write a number from {least} to {most}")));
        }
        Some(given.value)
    }

    fn quantity<T: FromStr<Err = Wrong>>(&self, entry: &Checked<Written>) -> Option<T> {
        let Located { value: Written(text), place } = entry.optional()?;
        self.accept(place, text.parse())
    }

    fn verify(&self, database: &DatabaseDefaults) -> Vec<DatabaseCheck> {
        let Some(list) = database.verify.optional() else {
            return ALL_CHECKS.to_vec();
        };
        let mut checks = Vec::new();
        for check in self.items(&database.verify) {
            if checks.contains(&check.value) {
                self.problems.add(Problem::at(&check.place, "is given twice").hint("keep one of the two"));
            }
            checks.push(check.value);
        }
        let proven = checks.contains(&DatabaseCheck::Rows) && checks.contains(&DatabaseCheck::Digest);
        // A word that could not be read may have been one of the two: it is reported already.
        if !proven && checks.len() == list.value.len() {
            let problem = Problem::at(&list.place, "leaves out `rows` or `digest`, without which nothing is proven");
            self.problems.add(problem.hint("name both, or remove the key to verify everything"));
        }
        checks
    }

    fn parallel(&self, database: Option<&DatabaseDefaults>) -> usize {
        let given = database.and_then(|database| database.parallel.optional());
        let count = given.map_or(PARALLEL_DEFAULT, |parallel| parallel.value);
        if let Some(parallel) = given.filter(|_| !(1..=PARALLEL_MAX).contains(&count)) {
            let problem = Problem::at(&parallel.place, format!("{count} connections are not possible"));
            self.problems.add(problem.hint(format!("write a number from 1 to {PARALLEL_MAX}")));
        }
        count.clamp(1, PARALLEL_MAX) as usize
    }
}

fn bucket_defaults(s3: Option<&Located<S3Defaults>>) -> (Layout, Versions) {
    let layout = s3.and_then(|s3| s3.value.layout.optional());
    let versions = s3.and_then(|s3| s3.value.versions.optional());
    (
        layout.map_or_else(Layout::default, |layout| layout.value),
        versions.map_or_else(Versions::default, |versions| versions.value),
    )
}

fn may_be_empty(asset: &AssetEntry) -> bool {
    asset.may_be_empty.optional().is_some_and(|may| may.value)
}
