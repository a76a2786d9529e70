//! The caller at the provider, and where: what does not exist in one account or region may exist in another.

use std::path::Path;

use crate::{
    asset::clients,
    provider::{aws::Aws, rds::Rds},
    record::directory::recorded_run,
};

/// An account and a region, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub account: Option<String>,
    pub region: Option<String>,
}

impl Place {
    /// Whether the absence of something proves anything.
    pub(crate) fn is_known(&self) -> bool {
        self.account.is_some() && self.region.is_some()
    }
}

/// RDS as one caller sees it, with account and region.
#[derive(Clone)]
pub(crate) struct Asker {
    pub rds: Rds,
    /// The caller's account, or why it is not known.
    pub account: Result<String, String>,
    pub region: String,
}

impl Asker {
    /// Determines the caller.
    pub(crate) async fn new(aws: &Aws) -> Self {
        let account = aws.caller().await.map(|caller| caller.account).map_err(|error| error.to_string());
        Asker { rds: Rds::new(aws), account, region: aws.region() }
    }

    /// RDS as the run in a directory used it, by its own playbook.
    pub(crate) async fn of_run(run_dir: &Path) -> Result<Self, String> {
        let (playbook, _) = recorded_run(run_dir).map_err(|error| error.to_string())?;
        let spec = playbook.provider().ok_or("the playbook of its run names no provider")?;
        Ok(Asker::new(&clients::aws(spec).await).await)
    }

    /// Why an answer from here proves nothing about a place, and what to do.
    pub(crate) fn is_not_at(&self, place: &Place) -> Option<String> {
        match (&place.account, &self.account) {
            (Some(theirs), Ok(own)) if theirs != own => {
                return Some(format!(
                    "not asked: it is in account {theirs}, and the caller belongs to {own}; use credentials of {theirs}"
                ));
            }
            (Some(theirs), Err(reason)) => {
                return Some(format!(
                    "not asked: whether the caller belongs to account {theirs} is not known: {reason}"
                ));
            }
            _ => {}
        }
        let theirs = place.region.as_ref().filter(|theirs| **theirs != self.region)?;
        let own = &self.region;
        Some(format!("not asked: it is in region {theirs}, and {own} would be asked; set AWS_REGION={theirs}"))
    }
}
