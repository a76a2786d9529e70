//! How long the real exit would take, projected from what the drill measured.
//!
//! Everything follows from the journal and the totals of the result, so that `verify` can compute it again.
//! `docs` of [`model`] name the method and its sources; [`cost`] is about money.

pub mod cost;
pub mod model;
mod samples;

pub use model::{ClassInput, Scope, Term, project};
pub use samples::pace;

use super::{chain::Entry, facts::ExitTime, result::AssetResult};
use crate::domain::{digest::Sha256Digest, event::AssetKind};

/// The projection for a run. The exit copies each asset whole, also where the drill copied a sample of it.
pub fn of_run(entries: &[Entry], run: &str, assets: &[AssetResult], in_words: &str, terms: &[Term]) -> ExitTime {
    let mut classes = Vec::new();
    for kind in [AssetKind::S3, AssetKind::Postgres] {
        let of_kind: Vec<_> = assets.iter().filter(|asset| asset.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let sum = |number: fn(&AssetResult) -> u64| of_kind.iter().fold(0, |sum: u64, a| sum.saturating_add(number(a)));
        let measured = Scope { items: sum(|asset| asset.items), bytes: sum(|asset| asset.bytes) };
        let found = samples::of_journal(entries, kind);
        classes.push(ClassInput {
            kind,
            samples: found.units,
            setup_ms: found.setup_ms,
            rebuild_ms: sum(|asset| asset.timings.rebuild_ms),
            verify_ms: sum(|asset| asset.timings.verify_ms),
            measured,
            scope: whole(&of_kind),
        });
    }
    let seed = Sha256Digest::of(run).short() as u64;
    project(&classes, in_words, terms, seed)
}

/// The full totals of these assets.
fn whole(assets: &[&AssetResult]) -> Scope {
    let of = |asset: &&AssetResult| {
        let sample = asset.objects.as_ref().and_then(|objects| objects.sample.as_ref());
        sample.map_or((asset.items, asset.bytes), |sample| sample.totals()[0])
    };
    let add = |sum: Scope, (items, bytes): (u64, u64)| Scope {
        items: sum.items.saturating_add(items),
        bytes: sum.bytes.saturating_add(bytes),
    };
    assets.iter().map(of).fold(Scope::default(), add)
}
