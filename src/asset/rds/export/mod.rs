//! A database on RDS from the Parquet files that RDS exports a snapshot to: rows only.
//!
//! | file | what it does |
//! |---|---|
//! | `mod` | the order of the steps |
//! | `work` | the context of all of the following |
//! | `task` | finds the export, or requests it and waits |
//! | `scope` | which of the export's objects are the asset's |
//! | `lists`, `info` | RDS's statements about the export's tables, and about the export |
//! | `columns` | whether list and files agree about columns |
//! | `folders` | the files of each table, and whether they are complete |
//! | `layout` | the tables of the objects, and which are missing |
//! | `load` | the tables created and filled on the target |
//! | `proof` | the comparison of what is restored with the files, and with the live tables; the result |
//!
//! The files are an asset within the asset, `<asset>/files`, copied and verified like objects of a bucket; a resumed run
//! fetches only what is missing of them. What was decoded from them is compared with what is restored. That RDS wrote
//! everything in the snapshot into the files cannot be checked here: the verdict is never PASS.

mod columns;
mod folders;
mod info;
mod layout;
mod lists;
mod load;
mod proof;
mod scope;
mod task;
mod work;

use std::sync::Arc;

use tokio::task::spawn_blocking;

use self::{info::Known, proof::Proof, scope::Scope, task::Found};
use super::carry;
use crate::{
    asset::{
        bucket::objects::{self, ObjectsFrom},
        look::{RecheckCounts, RecheckDepth},
        seam::Carried,
        stop::Stop,
        work::Work,
    },
    domain::event::{AssetKind, Event},
    evidence::{merge, result::AssetResult},
    pg::Address,
    provider::{
        rds::{Rds, RdsFacts},
        s3::S3Source,
    },
    transfer::{error::TransferError, retry::STALL},
};

pub(crate) use self::{
    task::affordable_gib,
    work::{ExportWork, files_of},
};

impl ExportWork<'_> {
    /// Everything from the export to the last row.
    pub(super) async fn carry(self) -> Result<Box<dyn Carried>, Stop> {
        self.work.started(AssetKind::Postgres)?;
        let client = Rds::new(self.aws);
        let facts = self.work.unless_stopped(client.describe(&carry::place(self.rds))).await??;
        let found = self.find(&client, &facts).await?;
        let asset = self.work.asset.clone();
        let snapshot = found.snapshot();
        let server_version = facts.engine_version.clone();
        self.work.recorder.fact(&Event::SnapshotTaken { asset, snapshot, server_version })?;
        let scope = Arc::new(Scope::new(self.source(&found), &found.folder, self.rds.database.as_str()));
        let files = self.files(&found, &scope).await?;
        self.work.check_interrupt()?;
        let live = self.live(&client, &facts).await;
        let source_name = self.rds.to_string();
        let record = carry::record(self.rds, &facts);
        let known = self.known(&facts, &found);
        let ExportWork { work, spec, target, .. } = self;
        let restoring = spawn_blocking(move || {
            let objects = work.layout.asset_evidence(&files.id).join(crate::evidence::OBJECTS_NDJSON);
            let receipts = merge(vec![objects.clone()]).collect::<Result<Vec<_>, _>>();
            let receipts = receipts
                .map_err(|error| Stop::Asset { reason: format!("{}: {error}", objects.display()), hint: None })?;
            let root = work.layout.asset_root(&files.id);
            let exported = layout::read(&work, &spec, &scope, &receipts, &root, &known);
            let skipped = scope.skipped();
            let database = known.database;
            Proof { work, spec, target, source_name, record, found, files, exported, database, live, skipped }
                .load_all()
        });
        Ok(Box::new(restoring.await.map_err(TransferError::from)??))
    }

    /// What the export's own statements are compared with.
    fn known(&self, facts: &RdsFacts, found: &Found) -> Known {
        Known {
            database: self.rds.database.as_str().to_owned(),
            instance_arn: facts.arn.clone(),
            snapshot_arns: facts.snapshots.iter().map(|snapshot| snapshot.arn.clone()).collect(),
            bucket: found.bucket.clone(),
            task: found.task.clone(),
        }
    }

    fn source(&self, found: &Found) -> Arc<S3Source> {
        Arc::new(S3Source::new(self.aws, &found.bucket, Some(&found.folder)))
    }

    /// The files as an asset of their own, unless an earlier part of the run finished them and they still exist.
    async fn files(&self, found: &Found, scope: &Arc<Scope>) -> Result<AssetResult, Stop> {
        let work = Work { asset: files_of(&self.work.asset), ..self.work.clone() };
        if let Some(finished) = self.finished_files()? {
            let RecheckCounts { items, differ } =
                objects::recheck_restored(work.clone(), RecheckDepth::Presence).await?;
            work.recorder.fact(&Event::AssetLookedAt { asset: work.asset.clone(), items, differ })?;
            if differ == 0 {
                return Ok(finished);
            }
        }
        // Their keys name tables, which are in the evidence of every database: they get no pseudonyms.
        let from = ObjectsFrom {
            name: format!("s3://{}/{}", found.bucket, found.folder),
            source: scope.clone(),
            configuration: scope.bucket(),
            stall: self.spec.limits.stall.map_or(STALL, |stall| stall.duration()),
        };
        let result = from.carry(work.clone()).await?.prove().await?;
        work.done(&result)?;
        Ok(result)
    }

    /// Where the live tables are counted, if the playbook has a login; or why they can't be.
    async fn live(&self, client: &Rds, facts: &RdsFacts) -> Option<Result<Address, String>> {
        self.rds.login.as_ref()?;
        let told = |stop: Stop| match stop {
            Stop::Asset { reason, .. } | Stop::Away { reason, .. } => reason,
            _ => "interrupted".to_owned(),
        };
        let address = async {
            let endpoint = carry::live_endpoint(client, facts, None).await?;
            Ok::<_, Stop>(client.address(&endpoint, &carry::login(self.rds)?)?)
        };
        Some(address.await.map_err(told))
    }
}
