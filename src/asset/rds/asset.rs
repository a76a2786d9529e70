//! A database on RDS or Aurora as an asset of a run.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};

use super::{
    carry::{self, RdsWork},
    export::ExportWork,
    measure, preflight,
};
use crate::{
    account::{
        coverage::CarriedFrom,
        rights::{self, IamLogin},
    },
    asset::{
        database::{
            asset::{database_work, look, recheck_restored, target_endpoint, without_evidence},
            measure as database,
            preflight::Found,
            reconnect::stall,
            target::Target,
        },
        endpoints::{Endpoints, Preflight},
        look::{RecheckCounts, RecheckDepth},
        measured::{Measured, SpaceNeeded},
        seam::{Asset, Carried, Description, Makes, Measuring, Needs, obstacle},
        stop::Stop,
        work::Work,
    },
    domain::event::AssetKind,
    evidence::result::AssetResult,
    playbook::{DatabaseSpec, ExportFrom, ExportSpec, ExportedSnapshot, Playbook, RdsMethodSpec, RdsSpec, TargetSpec},
    record::error::{Obstacle, Unopened},
    transfer::executor::UnitWorker,
};

/// A database of a playbook whose address comes from the provider.
pub(crate) struct RdsAsset {
    id: String,
    spec: DatabaseSpec,
    rds: RdsSpec,
}

impl RdsAsset {
    pub(crate) fn new(id: &str, spec: &DatabaseSpec, rds: &RdsSpec) -> Self {
        RdsAsset { id: id.to_owned(), spec: spec.clone(), rds: rds.clone() }
    }

    async fn target(&self, work: &Work, endpoints: &Endpoints) -> Result<Arc<Target>, Stop> {
        let postgres = target_endpoint(endpoints)?;
        let origin = match &postgres.seen().named {
            Some(_) => String::new(),
            None => format!("rds:{}", self.rds.place.id()),
        };
        postgres.of_origin(&work.layout, &origin, &work.asset).await
    }

    async fn carry_away(&self, work: Work, endpoints: &Endpoints) -> Result<Box<dyn Carried>, Stop> {
        let target = self.target(&work, endpoints).await?;
        let aws = endpoints.aws()?;
        let playbook = endpoints.playbook.id().to_string();
        let guards = &endpoints.guards;
        if let RdsMethodSpec::Export(export) = &self.rds.method {
            let spec = self.spec.clone();
            let rds = &self.rds;
            let target = Arc::new(target.watched(stall(&spec), &work.interrupt));
            return ExportWork { work, spec, rds, export, aws, playbook, guards, target }.carry().await;
        }
        let rds = RdsWork::new(work, &self.rds, aws, playbook, guards);
        rds.carry(|work, address| database_work(work, &self.spec, address, target)).await
    }

    /// Whether a snapshot is restored to a temporary instance, or exported.
    fn restores(&self) -> bool {
        match self.rds.new_export() {
            Some(new) => new.take == ExportedSnapshot::New,
            None => self.rds.makes_resources(),
        }
    }

    /// The user that logs in by tokens of IAM. One that restores a snapshot does so at the temporary instance.
    fn iam_login(&self) -> Option<IamLogin> {
        let login = self.rds.login.as_ref().filter(|login| login.password.is_none())?;
        let at = match &self.rds.method {
            RdsMethodSpec::Live { replica } => {
                Some(replica.as_ref().map_or_else(|| self.rds.place.id().to_string(), ToString::to_string))
            }
            _ => None,
        };
        Some(IamLogin { user: login.user.to_string(), at, resource: None })
    }

    /// Where the files of an export are, as far as the playbook states it.
    fn exported_to(&self) -> Option<(String, Option<String>)> {
        match &self.rds.method {
            RdsMethodSpec::Export(ExportSpec { from: ExportFrom::New(new), .. }) => {
                Some((new.bucket.to_string(), Some(new.prefix.clone())))
            }
            RdsMethodSpec::Export(ExportSpec { from: ExportFrom::Files { bucket, folder }, .. }) => {
                Some((bucket.to_string(), Some(folder.clone())))
            }
            _ => None,
        }
    }
}

impl Asset for RdsAsset {
    fn id(&self) -> &str {
        &self.id
    }

    fn describe(&self) -> Description {
        let method = self.rds.method_word();
        let what = self.rds.makes_what();
        Description {
            kind: AssetKind::Postgres,
            source: self.rds.to_string(),
            from: Some(CarriedFrom::Instance {
                name: self.rds.place.id().to_string(),
                arn: None,
                database: self.rds.database.to_string(),
            }),
            needs: Needs {
                postgres: true,
                // An export contains rows and no code.
                brings_code: !matches!(self.rds.method, RdsMethodSpec::Export(_)),
                ..Needs::default()
            },
            makes: self.rds.makes_resources().then(|| Makes {
                words: format!("`method: {method}` makes {what}"),
                export: self.rds.new_export().is_some(),
            }),
        }
    }

    fn rights(&self, needs: &mut rights::Needs) {
        needs.buckets.extend(self.exported_to());
        needs.iam_logins.extend(self.iam_login());
        if self.restores() {
            needs.restores = true;
            needs.restored.push(self.rds.place.id().to_string());
        }
        needs.reads_exports |= matches!(
            &self.rds.method,
            RdsMethodSpec::Export(ExportSpec { from: ExportFrom::Files { .. } | ExportFrom::Task(_), .. })
        );
        needs.exports.extend(self.rds.new_export().map(|new| (new.role.to_string(), new.key.to_string())));
    }

    fn preflight<'a>(&'a self, at: &'a Preflight<'a>) -> BoxFuture<'a, Result<Vec<Obstacle>, Unopened>> {
        async move {
            let mut obstacles = Vec::new();
            let found = preflight::find(&self.id, &self.rds, at).await.unwrap_or_else(|obstacle| {
                obstacles.push(obstacle);
                Found { by_provider: true, ..Found::default() }
            });
            obstacles.extend(look(&self.id, &self.spec, found, at).await?);
            Ok(obstacles)
        }
        .boxed()
    }

    fn measure<'a>(&'a self, at: &'a Measuring<'a>) -> BoxFuture<'a, Result<Measured, Obstacle>> {
        async move {
            let aws = at.aws.ok_or_else(|| obstacle(&self.id, "the playbook names no provider", None))?;
            measure::of(&self.id, &self.spec, &self.rds, aws).await
        }
        .boxed()
    }

    fn space_needed(&self, measured: &Measured, target: &TargetSpec) -> SpaceNeeded {
        database::space_needed(measured.bytes, target.postgres.as_ref())
    }

    fn carry<'a>(&'a self, work: Work, endpoints: &'a Endpoints) -> BoxFuture<'a, Result<Box<dyn Carried>, Stop>> {
        self.carry_away(work, endpoints).boxed()
    }

    fn worker<'a>(&'a self, work: Work, endpoints: &'a Endpoints) -> BoxFuture<'a, Result<Arc<dyn UnitWorker>, Stop>> {
        async move {
            let target = self.target(&work, endpoints).await?;
            let address = carry::live_address(&self.rds, endpoints.aws()?).await?;
            Ok(Arc::new(database_work(work, &self.spec, address, target)) as Arc<dyn UnitWorker>)
        }
        .boxed()
    }

    fn recheck<'a>(
        &'a self,
        work: Work,
        endpoints: &'a Endpoints,
        depth: RecheckDepth,
        result: &'a AssetResult,
    ) -> BoxFuture<'a, Result<RecheckCounts, Stop>> {
        recheck_restored(work, endpoints, depth, result).boxed()
    }

    fn as_it_stands(&self, work: &Work, _: &Playbook, _: &mut AssetResult) -> Result<(), Stop> {
        without_evidence(work)
    }
}
