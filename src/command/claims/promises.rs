//! The result's statements on the playbook's content: each asset as requested, and every commitment with its owner,
//! its reason and its date.

use super::{
    Claims,
    resolved::{Read, placed},
};
use crate::{
    account::{
        drive::{self, today_of},
        inventory::Inventory,
    },
    asset::bucket::preflight::bucket_name,
    domain::{
        event::AssetKind as Kind,
        finding::{FindingKind, Verdict},
    },
    evidence::{
        PLAYBOOK, RESULT,
        result::{AssetResult, ObjectLayout, WaiverResult},
    },
    playbook::{Asset, AssetKind, BucketSpec, DatabaseCheck, DatabaseSpec, Layout, Playbook, Versions},
    run::{projection, seal},
};

/// From this version on the plan has the contract's period of notice.
const WITH_NOTICE: u32 = 4;

impl Claims<'_> {
    pub(super) fn promises(&mut self, read: &Read) {
        let playbook = &read.playbook;
        let result = self.result;
        self.same("the playbook's id", &result.playbook.id.as_str(), &playbook.id().as_str());
        self.same("the title", &result.playbook.title.as_deref(), &playbook.title());
        self.same("the change", &result.change, &playbook.account().change.as_ref().map(ToString::to_string));
        let restored = placed(&playbook.target().path.join(&result.run), read.folder.as_deref());
        self.same("the place of the restored data", &Some(result.restored_to.clone()), &restored);
        let Ok(started) = result.started.parse() else { return };
        let today = today_of(started);
        self.same("the list of exclusions", &result.exclusions, &seal::exclusions(playbook, today));
        let expected = drive::waivers(playbook, today);
        let told = result.waivers.iter().map(|waiver| WaiverResult { waives: 0, ..waiver.clone() }).collect();
        self.same("the list of waivers", &told, &expected);
        let mut plan = projection::plan(playbook, started, result.verdict);
        if result.result_version < WITH_NOTICE {
            plan.notice = None;
        }
        // The first versions had no plan.
        if self.result.result_version > 1 {
            self.same("the plan", &result.plan, &plan);
        }
        self.terms(playbook);
        self.limits(playbook);
        self.assets(playbook);
        self.looked(read);
        self.stamp(playbook);
    }

    /// The terms that the exit is compared with.
    fn terms(&mut self, playbook: &Playbook) {
        let Some(exit_time) = &self.result.exit_time else {
            if self.is_binding() {
                self.contradicts(RESULT, "there is no word on the time to exit");
            }
            return;
        };
        let told: Vec<_> = exit_time.windows.iter().map(|window| (window.name.clone(), window.limit_ms)).collect();
        let terms = projection::terms(playbook).into_iter().map(|term| (term.name, term.limit_ms)).collect();
        self.same("the list of terms", &told, &terms);
    }

    /// Each threshold with the limit as written.
    fn limits(&mut self, playbook: &Playbook) {
        let limits = playbook.thresholds();
        let text = |name: &str, limit: Option<String>| Some((name.to_owned(), limit?));
        let expected: Vec<_> = [
            text("run_time", limits.run_time.as_ref().map(ToString::to_string)),
            text("time_to_exit_p50", limits.time_to_exit_p50.as_ref().map(ToString::to_string)),
            text("time_to_exit_p90", limits.time_to_exit_p90.as_ref().map(ToString::to_string)),
            text("coverage_assets", limits.coverage_assets.as_ref().map(ToString::to_string)),
            text("coverage_bytes", limits.coverage_bytes.as_ref().map(ToString::to_string)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let told = self.result.thresholds.iter().map(|limit| (limit.name.clone(), limit.limit.clone())).collect();
        self.same("the list of thresholds", &told, &expected);
    }

    fn assets(&mut self, playbook: &Playbook) {
        let told = &self.result.assets;
        let expected = playbook.assets();
        let ids: Vec<_> = told.iter().map(|asset| asset.id.clone()).collect();
        self.same("the list of assets", &ids, &expected.iter().map(|asset| asset.id.to_string()).collect());
        for (asset, told) in expected.iter().zip(told).filter(|(asset, told)| asset.id.as_str() == told.id) {
            self.asset(playbook, asset, told);
        }
    }

    fn asset(&mut self, playbook: &Playbook, asset: &Asset, told: &AssetResult) {
        self.same(&format!("{}: its directory", told.id), &told.directory, &told.id);
        match &asset.kind {
            AssetKind::Objects(bucket) => self.bucket(playbook, bucket, told),
            AssetKind::Database(database) => self.database(database, told),
        }
    }

    fn bucket(&mut self, playbook: &Playbook, bucket: &BucketSpec, told: &AssetResult) {
        let of = |what: &str| format!("{}: {what}", told.id);
        self.same(&of("its kind"), &told.kind, &Kind::S3);
        self.same(&of("its source"), &told.source, &bucket_name(bucket));
        let Some(objects) = &told.objects else { return };
        let stopped = stopped(told);
        let sample = bucket.sample.map(|sample| (sample.share.to_string(), sample.seed));
        let taken = objects.sample.as_ref().map(|sample| (sample.share.clone(), sample.seed));
        if !stopped {
            self.same(&of("its sample"), &taken, &sample);
        }
        let layout = match bucket.layout {
            Layout::Tree => ObjectLayout::Tree,
            Layout::Tar => ObjectLayout::Tar,
            Layout::S3 => ObjectLayout::S3,
        };
        self.same(&of("its layout"), &objects.layout, &layout);
        self.same(&of("its versions"), &objects.versions, &(bucket.versions == Versions::All));
        self.same(&of("its pseudonyms"), &objects.pseudonyms.is_some(), &playbook.pseudonyms().is_some());
    }

    fn database(&mut self, spec: &DatabaseSpec, told: &AssetResult) {
        let of = |what: &str| format!("{}: {what}", told.id);
        self.same(&of("its kind"), &told.kind, &Kind::Postgres);
        let Some(database) = &told.database else { return };
        let method = database.rds.as_ref().map(|rds| rds.method.as_str());
        self.same(&of("the way it was read"), &method, &spec.server.rds().map(|rds| rds.method_word()));
        if stopped(told) {
            return;
        }
        // Partitions of an excluded table are excluded for its reason.
        let asked: Vec<_> =
            spec.exclude_tables.iter().map(|table| (table.name.to_string(), table.reason.to_string())).collect();
        let stranger =
            database.excluded_tables.iter().any(|one| !asked.iter().any(|(_, reason)| *reason == one.reason));
        let is_named = |table: &str, reason: &str| {
            let is_out = database.excluded_tables.iter().any(|one| one.table == table && one.reason == reason);
            is_out || told.findings.iter().any(|finding| finding.subject == table)
        };
        let lacking = asked.iter().any(|(table, reason)| !is_named(table, reason));
        self.same(&of("the list of excluded tables"), &(stranger || lacking), &false);
        if told.verdict != Verdict::Pass {
            return;
        }
        let has = |name: &str| told.checks.iter().any(|check| check.name == name);
        let wanted = [(DatabaseCheck::Sequences, "sequences"), (DatabaseCheck::Catalog, "catalog")];
        for (check, name) in wanted {
            let lacks = spec.verify.contains(&check) && !has(name);
            self.same(&of(&format!("the check {name}, which did not run,")), &lacks, &false);
        }
        let questions: u64 =
            told.checks.iter().filter(|check| check.name == QUESTIONS).map(|check| check.expected).sum();
        self.same(&of("the number of questions asked"), &questions, &(spec.checks.len() as u64));
    }

    /// Where a provider is named its account is inspected, and selected buckets are listed.
    fn looked(&mut self, read: &Read) {
        let Read { playbook, facts, .. } = read;
        if self.is_binding() && playbook.provider().is_some() && self.result.coverage.is_none() {
            self.contradicts(RESULT, format!("{PLAYBOOK} names a provider, and nothing is said of the account"));
        }
        let ids: Vec<_> = facts.selected.iter().map(|selected| selected.id.as_str()).collect();
        let asked: Vec<_> = playbook.selections().iter().map(|selection| selection.id.as_str()).collect();
        if ids != asked {
            self.contradicts("data/selected.json", format!("does not answer the patterns of {PLAYBOOK}"));
        }
        if let Some((inventory, _)) = &facts.inventory {
            self.chosen(read, inventory);
        }
    }

    /// Buckets are selected on the day that the run starts; one that starts at midnight may select a day earlier.
    fn chosen(&mut self, read: &Read, inventory: &Inventory) {
        let Ok(started) = self.result.started.parse() else { return };
        let today = today_of(started);
        let days = [Some(today), today.yesterday().ok()];
        let fits =
            days.into_iter().flatten().any(|day| drive::chosen(&read.playbook, inventory, day) == read.facts.selected);
        if !fits {
            self.contradicts("data/selected.json", "is not what the patterns choose from the inventory");
        }
    }

    /// A time-stamp that was requested, without any trace.
    fn stamp(&mut self, playbook: &Playbook) {
        if playbook.timestamp_authority().is_none() || self.is_there("sig/operator.sig.tsr") {
            return;
        }
        let explained = self.is_there("sig/operator.sig.time.txt");
        let kind = if explained { FindingKind::TimestampAbsent } else { FindingKind::TimestampMissing };
        let detail = format!("{PLAYBOOK} asks for one: the signature's time is the signing machine's own");
        self.findings.push(crate::domain::finding::Finding::of_run(kind, "sig/operator.sig", detail));
    }
}

/// The check that counts the queries to a restored database.
const QUESTIONS: &str = "checks";

/// An asset that stopped early has only its results so far.
fn stopped(told: &AssetResult) -> bool {
    told.findings.iter().any(|finding| finding.kind == FindingKind::AssetStopped)
}
