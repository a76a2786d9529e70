//! The context of the work on one export.

use std::sync::Arc;

use crate::{
    asset::{database::target::Target, rds::guard::Guards, stop::Stop, work::Work},
    evidence::result::AssetResult,
    playbook::{DatabaseSpec, ExportSpec, RdsSpec},
    provider::aws::Aws,
};

/// Copies one database out of an export.
pub(crate) struct ExportWork<'a> {
    pub work: Work,
    pub spec: DatabaseSpec,
    pub rds: &'a RdsSpec,
    pub export: &'a ExportSpec,
    pub aws: &'a Aws,
    pub playbook: String,
    pub guards: &'a Guards,
    pub target: Arc<Target>,
}

impl ExportWork<'_> {
    /// The files finished by an earlier part of the run, if any.
    pub(super) fn finished_files(&self) -> Result<Option<AssetResult>, Stop> {
        Ok(self.work.ledger.outcome(&files_of(&self.work.asset))?)
    }
}

/// The name of the files as an asset within the asset. No asset of a playbook has a slash in its name.
pub(crate) fn files_of(asset: &str) -> String {
    format!("{asset}{}", crate::domain::event::FILES_SUFFIX)
}
