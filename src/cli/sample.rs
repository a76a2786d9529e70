//! A result and a progress for the tests of this folder.

use crate::{
    domain::{
        digest::{RowKey, Sha256Digest},
        event::{AssetKind, Phase, Progress},
        finding::Verdict,
        proof::{Check, Tier},
    },
    evidence::result::{
        AssetResult, DatabaseResult, JournalHead, ObjectsResult, PlaybookRef, RESULT_VERSION, RunResult, Timings, Tool,
        WaiverResult,
    },
    run::{RunEnd, RunOutcome},
};

const RUN: &str = "demo-20261123T223000Z";
const DIGEST: Sha256Digest = Sha256Digest([7; 32]);

/// A rebuild, of which the total is unknown.
pub(super) fn rebuild() -> Progress {
    let asset = "shop".to_owned();
    Progress { asset, phase: Phase::Rebuild, items: 0, items_total: 0, bytes: 0, bytes_total: 0 }
}

pub(super) fn sealed(result: RunResult) -> RunOutcome {
    let end = RunEnd::Sealed { result: Box::new(result), bundle_digest: DIGEST, signed: None };
    RunOutcome { bundle: format!("evidence/{RUN}").into(), end, left_behind: vec![] }
}

/// A waiver of findings that begin like this.
pub(super) fn waiver(finding: &str) -> WaiverResult {
    WaiverResult {
        finding: finding.to_owned(),
        reason: "accepted".to_owned(),
        owner: "dba@acme.example".to_owned(),
        until: "2099-01-31".to_owned(),
        expired: false,
        waives: 1,
    }
}

pub(super) fn check(name: &str, [expected, compared, equal]: [u64; 3]) -> Check {
    Check { name: name.to_owned(), expected, compared, equal }
}

pub(super) fn result() -> RunResult {
    RunResult {
        result_version: RESULT_VERSION,
        run: RUN.into(),
        playbook: PlaybookRef { id: "demo".into(), title: None, sha256: DIGEST },
        tool: Tool { name: "walkaway".into(), version: "0.1.0".into(), binary_sha256: DIGEST },
        host: "vault".into(),
        started: "2026-11-23T22:30:00Z".into(),
        ended: "2026-11-23T22:30:41Z".into(),
        duration_ms: 41_000,
        resumed: 0,
        caller: None,
        session: None,
        change: None,
        target: None,
        coverage: None,
        restored_to: "/srv/exit".into(),
        verdict: Verdict::Pass,
        tier: Tier::Full,
        assets: vec![files(), shop()],
        exclusions: vec![],
        waivers: vec![],
        findings: vec![],
        thresholds: vec![],
        not_proven: vec!["tags of objects".into()],
        journal: JournalHead { lines: 153, head: DIGEST },
        chain: Default::default(),
        plan: Default::default(),
        exit_time: None,
        cost: None,
        pace: Vec::new(),
    }
}

fn files() -> AssetResult {
    let numbers = [3012, 3000, 12];
    let [listed, provider_confirmed, provider_unconfirmed] = numbers;
    let objects = ObjectsResult { listed, provider_confirmed, provider_unconfirmed, ..ObjectsResult::default() };
    AssetResult {
        id: "files".into(),
        items: 3012,
        bytes: 430 << 20,
        checks: vec![check("objects", [3012; 3])],
        objects: Some(objects),
        ..bare(AssetKind::S3)
    }
}

fn shop() -> AssetResult {
    let database = DatabaseResult {
        source_version: "16.4".into(),
        target_version: "16.4".into(),
        target_database: "shop".into(),
        encoding: None,
        restored_sha256: None,
        snapshot: "00000003-1".into(),
        row_key: RowKey(DIGEST),
        tables: 11,
        excluded_tables: vec![],
        not_portable: vec![],
        rds: None,
        source_load: None,
    };
    AssetResult {
        id: "shop".into(),
        items: 1_000_000,
        bytes: 96 << 20,
        checks: vec![check("rows", [11; 3]), check("digest", [11; 3]), check("catalog", [87; 3])],
        database: Some(database),
        ..bare(AssetKind::Postgres)
    }
}

fn bare(kind: AssetKind) -> AssetResult {
    AssetResult {
        id: String::new(),
        kind,
        source: "acme".into(),
        verdict: Verdict::Pass,
        tier: Tier::Full,
        directory: "acme".into(),
        items: 0,
        bytes: 0,
        content_sha256: DIGEST,
        checks: vec![],
        controls: vec![],
        timings: Timings { transfer_ms: 2_000, ..Timings::default() },
        findings: vec![],
        database: None,
        objects: None,
        filed: None,
    }
}
