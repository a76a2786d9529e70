//! From the playbook and a finished run to the parts of the result beside the comparison: the plan, the time to exit
//! and its thresholds, the cost.

use std::time::Duration;

use jiff::{Span, Timestamp, tz::TimeZone};

use crate::{
    domain::{event::AssetKind, finding::Verdict},
    evidence::{
        Entry,
        exit_time::{self, Term},
        facts::{AlternativeFact, Cost, ExitTime, FollowUpFact, PlanFacts, ServiceFact},
        result::{AssetResult, ThresholdResult},
    },
    playbook::{EVERY_DEFAULT, ExitLimit, Line, Period, Playbook},
};

/// What the exit copies, as long as the account around the playbook's assets was not inspected.
const SCOPE: &str =
    "the assets of the playbook, whole also where a sample was carried; the account around them was not measured";

/// The plan as the result shows it.
pub(crate) fn plan(playbook: &Playbook, started: Timestamp, verdict: Verdict) -> PlanFacts {
    let plan = playbook.plan();
    let roles = [
        ("accountable", &plan.roles.accountable),
        ("operator", &plan.roles.operator),
        ("reviewer", &plan.roles.reviewer),
    ];
    let role = |(name, person): &(&str, &Option<Line>)| Some(((*name).to_owned(), person.as_ref()?.to_string()));
    let text = |lines: &[Line]| lines.iter().map(ToString::to_string).collect();
    PlanFacts {
        scenario: plan.scenario.map(|scenario| format!("{scenario:?}").to_lowercase()),
        roles: roles.iter().filter_map(role).collect(),
        controls: text(&plan.controls),
        services: plan
            .services
            .iter()
            .map(|service| ServiceFact {
                name: service.name.to_string(),
                criticality: service.criticality.to_string(),
                data: service.data.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        triggers: text(&plan.triggers),
        alternatives: plan
            .alternatives
            .iter()
            .map(|alternative| AlternativeFact {
                name: alternative.name.to_string(),
                country: alternative.country.to_string(),
                maps: alternative.maps.iter().map(|(from, to)| (from.clone(), to.to_string())).collect(),
                gap: alternative.gap.to_string(),
                assessed: alternative.assessed.to_string(),
            })
            .collect(),
        follow_up: plan
            .follow_up
            .iter()
            .map(|entry| FollowUpFact {
                finding: entry.finding.to_string(),
                owner: entry.owner.to_string(),
                due: entry.due.to_string(),
            })
            .collect(),
        notice: playbook.account().contract.as_ref().map(|contract| contract.notice.to_string()),
        rpo: plan.objectives.rpo.map(|period| period.to_string()),
        next_review: plan.next_review.map(|date| date.to_string()),
        retest: (verdict == Verdict::Pass).then(|| retest(started, every(playbook))).flatten(),
    }
}

/// How long a verified run is valid.
pub(crate) fn every(playbook: &Playbook) -> Duration {
    let default = || EVERY_DEFAULT.parse::<Period>().map(Period::duration).unwrap_or(Duration::from_secs(31_449_600));
    playbook.plan().every.map_or_else(default, Period::duration)
}

fn retest(started: Timestamp, every: Duration) -> Option<String> {
    let seconds = i64::try_from(every.as_secs()).ok()?;
    let at = started.checked_add(Span::new().try_seconds(seconds).ok()?).ok()?;
    Some(TimeZone::UTC.to_datetime(at).date().to_string())
}

/// The terms that the exit is compared with.
pub(crate) fn terms(playbook: &Playbook) -> Vec<Term> {
    let rto = playbook.plan().objectives.rto.map(|period| ("objectives.rto", period));
    let contract = playbook.account().contract.iter().flat_map(|contract| {
        [("contract.transition", contract.transition), ("contract.retrieval", contract.retrieval)]
    });
    rto.into_iter()
        .chain(contract)
        .map(|(name, period)| Term { name: name.to_owned(), limit_ms: milliseconds(period.duration()) })
        .collect()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The projection.
pub(crate) fn exit_time(playbook: &Playbook, entries: &[Entry], run: &str, assets: &[AssetResult]) -> ExitTime {
    exit_time::of_run(entries, run, assets, SCOPE, &terms(playbook))
}

/// The cost, where a provider is named.
pub(crate) fn cost(playbook: &Playbook, assets: &[AssetResult], exit: &ExitTime) -> Option<Cost> {
    let provider = playbook.provider()?;
    let add = |(objects, bytes): (u64, u64), (items, more): (u64, u64)| {
        (objects.saturating_add(items), bytes.saturating_add(more))
    };
    let objects = |kind: AssetKind, items: u64| if kind == AssetKind::S3 { items } else { 0 };
    let drill = assets.iter().map(|asset| (objects(asset.kind, asset.items), asset.bytes)).fold((0, 0), add);
    let whole = exit.classes.iter().map(|class| (objects(class.kind, class.scope_items), class.scope_bytes));
    let region = provider.regions.first().map(ToString::to_string);
    Some(exit_time::cost::of(region.as_deref(), drill, whole.fold((0, 0), add)))
}

/// The thresholds on the projection. One that is refused is not met.
pub(crate) fn thresholds(playbook: &Playbook, exit: &ExitTime) -> Vec<ThresholdResult> {
    let limits = playbook.thresholds();
    let wanted = [
        ("time_to_exit_p50", &limits.time_to_exit_p50, exit.p50_ms),
        ("time_to_exit_p90", &limits.time_to_exit_p90, exit.p90_ms),
    ];
    let judge = |(name, limit, projected): (&str, &Option<ExitLimit>, Option<u64>)| {
        let limit = limit.as_ref()?;
        let met = |ms: u64| match limit {
            ExitLimit::Within(ceiling) => ceiling.allows(Duration::from_millis(ms)),
            ExitLimit::Term(name) => terms(playbook).iter().any(|term| term.name == *name && ms <= term.limit_ms),
        };
        let measured = match projected {
            Some(ms) => format!("{:.1}s", Duration::from_millis(ms).as_secs_f64()),
            None => format!("refused: {}", exit.refused.join("; ")),
        };
        Some(ThresholdResult {
            name: name.to_owned(),
            limit: limit.to_string(),
            measured,
            met: projected.is_some_and(met),
            unknown: projected.is_none(),
        })
    };
    wanted.into_iter().filter_map(judge).collect()
}
