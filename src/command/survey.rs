//! What `walkaway plan` shows: every asset with its size and units, measured at the provider. Writes nothing, neither
//! there nor here.

use std::path::PathBuf;

use tokio::task::spawn_blocking;

use crate::{
    account::{
        coverage::{Carried, CarriedFrom, Coverage, RegionTotals, Status, Totals},
        drive::{self, Facts},
        inventory::Unreadable,
        look::{self, Wanted},
        rights::policy,
    },
    asset::{clients, kinds, measured::Measured, seam::Asset},
    clock,
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind},
    },
    playbook::Playbook,
    record::error::{EngineError, Obstacle},
    run::{plan::Plan, seal},
};

/// A plan with its measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// The assets in the playbook's order.
    pub assets: Vec<Measured>,
    /// The account around them; none where the playbook names no provider.
    pub account: Option<SurveyedAccount>,
    /// Obstacles to a run.
    pub obstacles: Vec<Obstacle>,
    /// The directory below which each run restores.
    pub restored_to: PathBuf,
    /// The directory below which each run leaves its bundle.
    pub evidence: PathBuf,
}

/// The account as a run would judge it now.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SurveyedAccount {
    /// What a run of these assets would cover.
    pub coverage: Totals,
    /// The same by region.
    pub regions: Vec<RegionTotals>,
    /// Resources that a run would not test, each with the reason.
    pub not_tested: Vec<String>,
    /// Findings about the account, this machine, and the documents.
    pub findings: Vec<Finding>,
    /// Calls that were denied or failed.
    pub unreadable: Vec<String>,
    /// Rights that were missing.
    pub missing_rights: Vec<String>,
}

/// The least IAM policy for a playbook. Queries, for a few seconds at most, the keys by which the playbook's buckets and
/// databases are encrypted; what is unknown leaves the policy as wide as it has to be, with a warning.
pub async fn iam_policy(playbook: &Playbook) -> serde_json::Value {
    let mut needs = drive::needs(playbook, &kinds::all(playbook));
    let Some(spec) = playbook.provider() else { return policy(&needs) };
    let wanted = Wanted {
        regions: needs.regions.clone(),
        encryption: true,
        only_buckets: needs.restored.is_empty() && needs.iam_logins.is_empty(),
        ..Wanted::default()
    };
    let aws = clients::aws(spec).await;
    let inventory = look::look(&aws, needs.account.as_deref(), wanted, clock::now().to_string()).await;
    for unseen in needs.narrow(&inventory) {
        tracing::warn!("{unseen}");
    }
    policy(&needs)
}

/// Measures every asset of a plan, and judges the account around them.
///
/// # Errors
/// Every asset that could not be measured, as obstacles.
pub async fn survey(mut plan: Plan) -> Result<Survey, EngineError> {
    let measured = plan.measure().await?;
    plan.check_free_space(&measured);
    let playbook = &plan.playbook;
    let restored_to = playbook.target().path.clone();
    let evidence = playbook.evidence_path().to_owned();
    let account = survey_account(&plan, &measured).await?;
    Ok(Survey { assets: measured, account, obstacles: plan.before.obstacles, restored_to, evidence })
}

/// Judges as the end of a run would, as if every asset had been compared.
async fn survey_account(plan: &Plan, measured: &[Measured]) -> Result<Option<SurveyedAccount>, EngineError> {
    let Plan { playbook, assets, before, .. } = plan;
    if playbook.provider().is_none() {
        return Ok(None);
    }
    let inventory = match before.inventory.clone() {
        Some(inventory) => inventory,
        None => drive::look(playbook, false).await,
    };
    let spec = playbook.account().clone();
    let today = clock::today();
    let local = spawn_blocking(move || {
        let machine = spec.non_cloud.is_some().then(|| drive::machine_here(spec.ask_metadata_service));
        (machine, drive::attested(&spec, today))
    });
    let (machine, documents) = local.await.map_err(|error| EngineError::Internal(error.to_string()))?;
    let carried = assets.iter().zip(measured).map(|(asset, measured)| Carried {
        id: measured.id.clone(),
        from: from(asset.as_ref(), measured),
        bytes: measured.bytes,
        listed_bytes: None,
        compared: true,
    });
    let carried: Vec<_> = carried.collect();
    let facts = Facts {
        inventory: Some((inventory, Sha256Digest::of(""))),
        after: None,
        identity: before.identity.clone(),
        selected: before.selected.clone(),
        machine,
        documents: Some(documents),
    };
    let outcome = drive::Outcome {
        carried: &carried,
        exclusions: &seal::exclusions(playbook, today),
        today,
        worked_ms: 0,
        exit: None,
        host: "this machine",
    };
    let judged = drive::judge(playbook, &facts, outcome)?;
    let Some((_, coverage)) = judged.coverage else { return Ok(None) };
    let thresholds = drive::thresholds(playbook, Some(&coverage));
    let mut findings = seal::run_findings(&thresholds, outcome.exclusions);
    // There was no second inventory yet.
    let judged = judged.findings.into_iter().filter(|finding| finding.kind != FindingKind::SourceNotCompared);
    findings.extend(judged);
    findings.sort();
    findings.dedup();
    let unreadable = facts.inventory.iter().flat_map(|(inventory, _)| &inventory.unreadable);
    let mut missing_rights: Vec<_> =
        unreadable.clone().filter(|missing| missing.denied).filter_map(|missing| missing.right.clone()).collect();
    missing_rights.sort();
    missing_rights.dedup();
    Ok(Some(SurveyedAccount {
        not_tested: not_tested(&coverage),
        unreadable: unreadable.map(told).collect(),
        coverage: coverage.totals,
        regions: coverage.regions,
        findings,
        missing_rights,
    }))
}

fn from(asset: &dyn Asset, measured: &Measured) -> CarriedFrom {
    let told = || CarriedFrom::of_source(measured.kind, &measured.source);
    asset.describe().from.unwrap_or_else(told)
}

fn not_tested(coverage: &Coverage) -> Vec<String> {
    let open = coverage.rows.iter().filter(|row| row.status != Status::Tested);
    open.map(|row| format!("{} {} {}: {}", row.status.word(), row.kind, row.name, row.why)).collect()
}

fn told(missing: &Unreadable) -> String {
    let place = missing.region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
    let subject = missing.subject.as_ref().map(|subject| format!(" of {subject}")).unwrap_or_default();
    format!("{}{place}{subject}: {}", missing.call, missing.reason)
}
