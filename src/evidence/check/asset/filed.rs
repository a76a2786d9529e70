//! Whether an asset's file of findings matches the result.

use std::{collections::BTreeMap, io::BufReader};

use super::{AssetCheck, unreadable};
use crate::{
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind},
    },
    evidence::{
        contents::{JOURNAL, RESULT, inconsistent},
        files::digest_file,
        findings::{FINDINGS_NDJSON, each_filed},
        result::{FiledFindings, FiledKind},
    },
};

/// The totals of a file of findings.
#[derive(Default)]
struct Counted {
    kinds: BTreeMap<FindingKind, u64>,
    /// One that belongs elsewhere, or whose severity is not its kind's.
    stray: Option<Finding>,
}

impl AssetCheck<'_> {
    /// The file exists where the result says so and nowhere else; its kinds, their numbers, and the findings that the
    /// result shows of them are the result's.
    pub(super) fn filed(&self) -> Vec<Finding> {
        let name = self.file(FINDINGS_NDJSON);
        let Some(filed) = &self.asset.filed else {
            let is_there = self.bag.files.contains_key(&name);
            return is_there.then(|| inconsistent(&name, format!("{RESULT} does not know it"))).into_iter().collect();
        };
        let mut findings = self.filed_in_result(filed);
        findings.extend(self.filed_in_journal(filed.sha256));
        match self.count_filed(&name) {
            Ok((counted, digest, unseen)) => {
                if digest != filed.sha256 {
                    findings.push(inconsistent(&name, format!("SHA-256 is {digest}, {RESULT} has {}", filed.sha256)));
                }
                let told: BTreeMap<_, _> = filed.kinds.iter().map(|filed| (filed.kind, filed.total)).collect();
                if counted.kinds != told {
                    findings.push(inconsistent(&name, format!("differs from {RESULT} in kinds or their number")));
                }
                let stray = counted.stray.map(|stray| format!("a finding of something else stands there: {stray}"));
                findings.extend(stray.map(|detail| inconsistent(&name, detail)));
                let unseen = unseen.map(|unseen| format!("lacks a finding of the result: {unseen}"));
                findings.extend(unseen.map(|detail| inconsistent(&name, detail)));
            }
            Err(finding) => findings.push(finding),
        }
        findings
    }

    fn filed_in_result(&self, filed: &FiledFindings) -> Vec<Finding> {
        let shown = |kind| self.asset.findings.iter().filter(|finding| finding.kind == kind).count() as u64;
        let fits = |filed: &FiledKind| {
            filed.severity == filed.kind.severity()
                && filed.shown == shown(filed.kind)
                && (1..filed.total).contains(&filed.shown)
        };
        let mut findings = Vec::new();
        if filed.file != FINDINGS_NDJSON || filed.kinds.is_empty() {
            findings.push(inconsistent(RESULT, "names no file that findings are filed in"));
        }
        for kind in filed.kinds.iter().filter(|filed| !fits(filed)) {
            let title = kind.kind.title();
            let shown = kind.shown;
            let total = kind.total;
            findings.push(inconsistent(RESULT, format!("{title}: does not show {shown} findings of {total}")));
        }
        findings
    }

    fn filed_in_journal(&self, sha256: Sha256Digest) -> Option<Finding> {
        let told = self.replay.assets.get(self.asset.id.as_str()).and_then(|replay| replay.filed);
        (told != Some(sha256)).then(|| inconsistent(JOURNAL, "knows another file of findings than the result"))
    }

    /// The totals of the file, its digest, and a finding of the result that it lacks.
    fn count_filed(&self, name: &str) -> Result<(Counted, Sha256Digest, Option<Finding>), Finding> {
        let failed = |error: std::io::Error| unreadable(name, &error);
        let mut wanted: BTreeMap<&Finding, u64> = BTreeMap::new();
        let is_filed = |finding: &&Finding| self.asset.filed.iter().any(|filed| filed.of_kind(finding.kind).is_some());
        for finding in self.asset.findings.iter().filter(is_filed) {
            *wanted.entry(finding).or_default() += 1;
        }
        let mut counted = Counted::default();
        let file = self.bag.open(name).map_err(failed)?;
        each_filed(&mut BufReader::new(file), |finding| {
            if let Some(left) = wanted.get_mut(&finding) {
                *left = left.saturating_sub(1);
            }
            *counted.kinds.entry(finding.kind).or_default() += 1;
            let own = finding.asset.as_deref() == Some(&self.asset.id) && finding.severity == finding.kind.severity();
            if !own {
                counted.stray = Some(finding);
            }
        })
        .map_err(failed)?;
        let (digest, _) = digest_file(&self.bag.open(name).map_err(failed)?).map_err(failed)?;
        let unseen = wanted.into_iter().find(|(_, left)| *left > 0).map(|(finding, _)| finding.clone());
        Ok((counted, digest, unseen))
    }
}
