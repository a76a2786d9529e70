//! `clean`: removes what a run left at the provider, by the run's tag.

use std::path::Path;

use super::{error::EngineError, preflight, run::recorded_run};
use crate::source::rds::{
    Rds,
    temporary::{self, Owner, Temporary},
};

/// What became of what a run had left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What was removed.
    pub removed: Vec<String>,
    /// What could not be removed, and why.
    pub left: Vec<(String, String)>,
}

/// Removes everything that carries the tag of the run in this directory. The directory itself is not changed.
///
/// # Errors
/// The directory is no run, or the provider can't be asked.
pub async fn clean(run_dir: &Path) -> Result<Cleaned, EngineError> {
    let (playbook, run) = recorded_run(run_dir)?;
    let mut cleaned = Cleaned::default();
    let Some(spec) = playbook.provider() else { return Ok(cleaned) };
    let rds = Rds::new(&preflight::aws(spec).await);
    let unreachable = |error: crate::transfer::error::SourceError| {
        let hint = Some("check credentials (profile, environment), region and endpoints.rds".to_owned());
        EngineError::NotReady(vec![super::Obstacle { what: error.to_string(), hint }])
    };
    for found in temporary::tagged(&rds).await.map_err(unreachable)? {
        if found.run != run {
            continue;
        }
        let owner = Owner { run: run.clone(), playbook: found.playbook, asset: String::new() };
        let resource = found.resource.to_string();
        match Temporary::new(&rds, owner).remove(&found.resource, &run).await {
            Ok(()) => cleaned.removed.push(resource),
            Err(error) => cleaned.left.push((resource, error.to_string())),
        }
    }
    Ok(cleaned)
}
