//! `walkaway init`: inspects the account and writes a playbook that covers all of it.

use crate::{
    account::{
        look::{Wanted, look},
        starter::{Setting, playbook},
    },
    clock,
    provider::aws::{Aws, AwsSettings},
    record::error::{EngineError, Obstacle},
};

/// What to inspect, and the target of the data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitOptions {
    /// A profile of the AWS configuration files.
    pub profile: Option<String>,
    /// The allowed regions; the client's own if there is none.
    pub regions: Vec<String>,
    /// The folder that receives the data.
    pub target: String,
}

/// The playbook, and what could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// The playbook's text.
    pub playbook: String,
    /// The number of resources found.
    pub things: usize,
    /// Calls that failed, as text.
    pub unreadable: Vec<String>,
}

/// Inspects the account, and writes the text of a playbook.
///
/// # Errors
/// When nothing at all could be read.
pub async fn init(options: InitOptions) -> Result<Init, EngineError> {
    let region = options.regions.first().cloned();
    let aws = Aws::load(AwsSettings { profile: options.profile.clone(), region, ..AwsSettings::default() }).await;
    let caller = aws.caller().await.ok();
    let regions = if options.regions.is_empty() { vec![aws.region()] } else { options.regions };
    let wanted = Wanted { regions: regions.clone(), sizes: true, patient: true, ..Wanted::default() };
    let account = caller.map(|caller| caller.account);
    let inventory = look(&aws, account.as_deref(), wanted, clock::now().to_string()).await;
    let told = inventory.unreadable.iter().map(|missing| format!("{}: {}", missing.call, missing.reason));
    let unreadable: Vec<_> = told.collect();
    if inventory.items.is_empty() && !unreadable.is_empty() {
        let hint = "check the credentials (profile, environment), the region, and AWS_ENDPOINT_URL_*";
        let obstacles = unreadable.into_iter().map(|what| Obstacle { what, hint: Some(hint.to_owned()) });
        return Err(EngineError::NotReady(obstacles.collect()));
    }
    let setting = Setting { account, profile: options.profile, regions, target: options.target };
    Ok(Init { playbook: playbook(&inventory, &setting), things: inventory.items.len(), unreadable })
}
