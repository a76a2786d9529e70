//! The projection itself: pure, on numbers, repeatable to the millisecond.
//!
//! # Method
//!
//! For each class of assets (objects, databases) the drill leaves a series of units with elapsed time t, items n and
//! bytes b. Rate and time per item are ratio estimates over the series, r = Σb ÷ Σt and c = Σt ÷ Σn; c already holds
//! latency ÷ parallelism as it was. The exit of a class with B bytes and N items takes
//!
//! ```text
//! T = setup + max(B ÷ r, N × c) + (rebuild + verify) × B ÷ b(drill)
//! ```
//!
//! and the classes follow one another, as in a run. Of the two bounds the larger counts, so where the exit's
//! mix of sizes differs from the drill's, the projection errs on the long side.
//!
//! The spread comes from a moving-block bootstrap: blocks of l = ⌈n^(1/3)⌉ neighbouring units are drawn with replacement
//! until the series is as long as before, because throughput of one minute resembles the next. Percentiles of
//! [`REPLICATES`] repetitions are read off by nearest rank. The generator is seeded by the run's id, so everyone
//! computes the same.
//!
//! What is refused, rather than guessed, is in [`refusals`].
//!
//! Sources: Künsch, "The jackknife and the bootstrap for general stationary observations", Annals of Statistics 17
//! (1989); Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 8 and 13; the generator is
//! SplitMix64 (Steele, Lea, Flood 2014).

use crate::{
    domain::event::AssetKind,
    evidence::facts::{ClassTime, ExitTime, Window},
    words::count,
};

/// Repetitions of the bootstrap.
pub const REPLICATES: u32 = 2_000;
/// The least number of units that shows a spread.
pub const UNITS_MIN: usize = 8;
/// The largest ratio of the exit to what was measured.
pub const FACTOR_MAX: u64 = 50;
/// The shortest measured time that may be extrapolated.
pub const MEASURED_MS_MIN: u64 = 60_000;
/// The largest ratio of the 90th percentile to the median.
pub const SPREAD_MAX: u64 = 3;

/// One unit of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// From the end of the previous unit to the end of this one.
    pub elapsed_ms: u64,
    /// Objects, or rows.
    pub items: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The totals of one class of assets in the exit, beside what the drill copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Objects, or rows.
    pub items: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What is known of one class of assets.
#[derive(Clone, Debug)]
pub struct ClassInput {
    /// The class.
    pub kind: AssetKind,
    /// The units that the drill copied.
    pub samples: Vec<Sample>,
    /// Time that does not grow with the size.
    pub setup_ms: u64,
    /// Indexes and constraints.
    pub rebuild_ms: u64,
    /// Reading back and comparing.
    pub verify_ms: u64,
    /// What the drill copied.
    pub measured: Scope,
    /// What the exit has to carry.
    pub scope: Scope,
}

/// A limit that the exit is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The key in the playbook, such as `contract.transition`.
    pub name: String,
    /// Milliseconds.
    pub limit_ms: u64,
}

/// The projection over all classes.
pub fn project(classes: &[ClassInput], scope: &str, terms: &[Term], seed: u64) -> ExitTime {
    let mut refused: Vec<String> = classes.iter().flat_map(refusals).collect();
    if classes.is_empty() {
        refused.push("nothing was carried".to_owned());
    }
    let mut random = SplitMix(seed);
    let mut totals = vec![0; REPLICATES as usize];
    let mut told = Vec::new();
    for class in classes {
        let (mut times, mut rates) = repeat(class, &mut random);
        totals.iter_mut().zip(&times).for_each(|(total, time): (&mut u64, _)| *total = total.saturating_add(*time));
        times.sort_unstable();
        rates.sort_unstable();
        told.push(class_time(class, &times, &rates));
    }
    totals.sort_unstable();
    let p50 = percentile(&totals, 50);
    let p90 = percentile(&totals, 90);
    if refused.is_empty() && p90 > p50.saturating_mul(SPREAD_MAX) {
        refused.push(format!("the rates scatter: the 90th percentile is over {SPREAD_MAX} times the median"));
    }
    let carried = refused.is_empty();
    let bytes = classes.iter().fold(0, |sum: u64, class| sum.saturating_add(class.scope.bytes));
    ExitTime {
        scope: scope.to_owned(),
        replicates: REPLICATES,
        classes: told,
        p50_ms: carried.then_some(p50),
        p90_ms: carried.then_some(p90),
        windows: terms.iter().map(|term| window(term, carried.then_some((p50, p90)), bytes)).collect(),
        refused,
    }
}

/// Why a class can't be projected from this sample.
pub fn refusals(class: &ClassInput) -> Vec<String> {
    let name = class.kind.facts().class;
    let units = class.samples.len();
    let measured_ms = total(&class.samples).elapsed_ms;
    let mut reasons = Vec::new();
    if class.scope.bytes == 0 && class.scope.items == 0 {
        return reasons;
    }
    if units < UNITS_MIN {
        let measured = count(units as u64, "unit was", "units were");
        reasons.push(format!("{name}: {measured} measured, at least {UNITS_MIN} are needed"));
    }
    if measured_ms == 0 || class.measured.bytes == 0 {
        reasons.push(format!("{name}: no time or no bytes were measured"));
        return reasons;
    }
    let larger = |whole: u64, part: u64| whole > part.saturating_mul(FACTOR_MAX);
    if larger(class.scope.bytes, class.measured.bytes) || larger(class.scope.items, class.measured.items) {
        reasons.push(format!("{name}: the exit is more than {FACTOR_MAX} times what was carried"));
    }
    let grows = class.scope.bytes > class.measured.bytes.saturating_add(class.measured.bytes / 20);
    if grows && measured_ms < MEASURED_MS_MIN {
        let measured = measured_ms / 1000;
        let needed = MEASURED_MS_MIN / 1000;
        reasons.push(format!("{name}: {measured} s were measured; to project to more, {needed} s are needed"));
    }
    reasons
}

/// Times and rates (bytes a second) of all repetitions.
fn repeat(class: &ClassInput, random: &mut SplitMix) -> (Vec<u64>, Vec<u64>) {
    let draw = |_| {
        let drawn = draw(&class.samples, random);
        let rate = u128::from(drawn.bytes) * 1000 / u128::from(drawn.elapsed_ms.max(1));
        (time(class, drawn), narrow(rate))
    };
    (0..REPLICATES).map(draw).unzip()
}

/// A resampled series of the same length, of blocks of the measured one.
fn draw(samples: &[Sample], random: &mut SplitMix) -> Sample {
    let n = samples.len();
    let block = block_length(n);
    let mut drawn = Sample::default();
    let mut left = n;
    while left > 0 {
        let start = random.below(n - block + 1);
        let length = block.min(left);
        drawn = add(drawn, total(&samples[start..start + length]));
        left -= length;
    }
    drawn
}

/// ⌈n^(1/3)⌉
fn block_length(n: usize) -> usize {
    (1..=n).find(|l| l.saturating_mul(*l).saturating_mul(*l) >= n).unwrap_or(1)
}

fn time(class: &ClassInput, drawn: Sample) -> u64 {
    let t = u128::from(drawn.elapsed_ms);
    let by_bytes = u128::from(class.scope.bytes) * t / u128::from(drawn.bytes.max(1));
    let by_items = u128::from(class.scope.items) * t / u128::from(drawn.items.max(1));
    let after = u128::from(class.rebuild_ms.saturating_add(class.verify_ms)) * u128::from(class.scope.bytes)
        / u128::from(class.measured.bytes.max(1));
    narrow(by_bytes.max(by_items).saturating_add(u128::from(class.setup_ms)).saturating_add(after))
}

fn class_time(class: &ClassInput, times: &[u64], rates: &[u64]) -> ClassTime {
    let enough = refusals(class).is_empty();
    let rate = |percent| enough.then(|| percentile(rates, percent));
    ClassTime {
        kind: class.kind,
        units: class.samples.len() as u64,
        measured_ms: total(&class.samples).elapsed_ms,
        measured_items: class.measured.items,
        measured_bytes: class.measured.bytes,
        scope_items: class.scope.items,
        scope_bytes: class.scope.bytes,
        rate_p10: rate(10),
        rate_p50: rate(50),
        rate_p90: rate(90),
        p50_ms: enough.then(|| percentile(times, 50)),
        p90_ms: enough.then(|| percentile(times, 90)),
    }
}

fn window(term: &Term, projected: Option<(u64, u64)>, bytes: u64) -> Window {
    Window {
        name: term.name.clone(),
        limit_ms: term.limit_ms,
        p50_fits: projected.map(|(p50, _)| p50 <= term.limit_ms),
        p90_fits: projected.map(|(_, p90)| p90 <= term.limit_ms),
        // The 10th percentile of the overall rate is the scope over the 90th percentile of the time.
        bytes_max: projected
            .map(|(_, p90)| narrow(u128::from(bytes) * u128::from(term.limit_ms) / u128::from(p90.max(1)))),
    }
}

fn total(samples: &[Sample]) -> Sample {
    samples.iter().fold(Sample::default(), |sum, sample| add(sum, *sample))
}

fn add(one: Sample, other: Sample) -> Sample {
    Sample {
        elapsed_ms: one.elapsed_ms.saturating_add(other.elapsed_ms),
        items: one.items.saturating_add(other.items),
        bytes: one.bytes.saturating_add(other.bytes),
    }
}

/// Nearest rank, of sorted values.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or_default()
}

fn narrow(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; the bias of the multiplication is below 2^-32 for any series that fits in memory.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from((u128::from(self.next()) * bound as u128) >> 64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// `n` units of 100 MiB and 1,000 objects, a second and `jitter(i)` milliseconds each.
    fn class(n: usize, jitter: impl Fn(usize) -> u64) -> ClassInput {
        let unit = |at| Sample { elapsed_ms: 1_000 + jitter(at), items: 1_000, bytes: 100 * MIB };
        let measured = Scope { items: 1_000 * n as u64, bytes: 100 * MIB * n as u64 };
        let samples = (0..n).map(unit).collect();
        let none = 0;
        ClassInput {
            kind: AssetKind::S3,
            samples,
            setup_ms: none,
            rebuild_ms: none,
            verify_ms: none,
            measured,
            scope: measured,
        }
    }

    fn scaled(mut class: ClassInput, items: u64, bytes: u64) -> ClassInput {
        class.scope = Scope { items: class.measured.items * items, bytes: class.measured.bytes * bytes };
        class
    }

    fn term(limit_ms: u64) -> Term {
        Term { name: "objectives.rto".into(), limit_ms }
    }

    #[test]
    fn a_steady_rate_projects_exactly() {
        let found = project(&[scaled(class(100, |_| 0), 10, 10)], "all", &[term(1_000_000), term(999_999)], 1);
        assert_eq!((found.p50_ms, found.p90_ms), (Some(1_000_000), Some(1_000_000)));
        assert_eq!(found.classes[0].rate_p10, Some(100 * MIB));
        assert_eq!(found.windows[0].p90_fits, Some(true));
        assert_eq!(found.windows[0].bytes_max, Some(100_000 * MIB));
        assert_eq!(found.windows[1].p50_fits, Some(false));
    }

    #[test]
    fn the_slower_of_the_two_bounds_counts_and_the_rest_is_added() {
        let many_small = project(&[scaled(class(100, |_| 0), 20, 2)], "all", &[], 1);
        assert_eq!(many_small.p50_ms, Some(2_000_000), "20 times the objects");
        let mut whole = scaled(class(100, |_| 0), 10, 10);
        (whole.setup_ms, whole.rebuild_ms, whole.verify_ms) = (7, 1_000, 2_000);
        assert_eq!(project(&[whole], "all", &[], 1).p50_ms, Some(1_000_000 + 7 + 30_000));
    }

    #[test]
    fn classes_follow_one_another() {
        let mut rows = class(100, |_| 0);
        rows.kind = AssetKind::Postgres;
        let found = project(&[class(100, |_| 0), rows], "all", &[], 1);
        assert_eq!((found.p50_ms, found.classes.len()), (Some(200_000), 2));
    }

    /// With independent jitter uniform on 0..1000 ms over 400 units, Σt is normal by the central limit theorem: mean
    /// 600 s, standard deviation 288.7 ms × √400 = 5.8 s, so P90 is 1.2816 deviations above.
    #[test]
    fn the_spread_of_independent_units_is_that_of_theory() {
        let mut random = SplitMix(7);
        let jitter: Vec<u64> = (0..400).map(|_| random.next() % 1_000).collect();
        let mean = 400_000 + jitter.iter().sum::<u64>();
        let found = project(&[class(400, |at| jitter[at])], "all", &[], 3);
        let p50 = found.p50_ms.expect("projected");
        let p90 = found.p90_ms.expect("projected");
        assert!(p50.abs_diff(mean) < 1_500, "{p50} {mean}");
        let spread = p90 - p50;
        assert!((5_500..9_500).contains(&spread), "7,400 ms by theory, {spread}");
    }

    /// Lasting slow stretches widen the spread, which drawing single units would not see.
    #[test]
    fn neighbours_that_resemble_each_other_widen_the_spread() {
        let spread = |jitter: fn(usize) -> u64| {
            let found = project(&[class(400, jitter)], "all", &[], 3);
            found.p90_ms.expect("projected") - found.p50_ms.expect("projected")
        };
        let mixed = spread(|at| 1_000 * (at as u64 % 2));
        let stretches = spread(|at| 1_000 * (at as u64 / 20 % 2));
        assert!(stretches > 2 * mixed.max(1), "{stretches} {mixed}");
    }

    #[test]
    fn what_the_sample_can_not_carry_is_refused() {
        let refused = |class: ClassInput| project(&[class], "all", &[term(1)], 1);
        for (class, words) in [
            (class(7, |_| 0), "at least 8"),
            (scaled(class(100, |_| 0), 1, 51), "more than 50 times"),
            (scaled(class(30, |_| 0), 2, 2), "60 s are needed"),
            (scaled(class(0, |_| 0), 1, 1), ""),
        ] {
            let found = refused(class);
            let fits = found.refused.iter().any(|reason| reason.contains(words));
            assert!(fits || words.is_empty(), "{words}: {:?}", found.refused);
        }
        let scattered = refused(class(9, |at| if at == 0 { 1_000_000 } else { 0 }));
        assert!(scattered.refused[0].contains("scatter"), "{:?}", scattered.refused);
        assert_eq!(
            (scattered.p50_ms, scattered.windows[0].p90_fits, scattered.windows[0].bytes_max),
            (None, None, None)
        );
        assert!(!project(&[], "all", &[], 1).refused.is_empty());
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let most = Scope { items: u64::MAX, bytes: u64::MAX };
        let samples = vec![Sample { elapsed_ms: u64::MAX, items: 1, bytes: 1 }; UNITS_MIN];
        let kind = AssetKind::S3;
        let ms = u64::MAX;
        let class =
            ClassInput { kind, samples, setup_ms: ms, rebuild_ms: ms, verify_ms: ms, measured: most, scope: most };
        let small = ClassInput { measured: Scope { items: 1, bytes: 1 }, ..class.clone() };
        assert_eq!(project(&[class.clone(), class], "all", &[], 1).p90_ms, Some(u64::MAX));
        assert!(!project(&[small], "all", &[], 1).refused.is_empty());
    }

    #[test]
    fn everybody_computes_the_same() {
        let jitter = |at: usize| (at as u64 * 7_919) % 997;
        assert_eq!(project(&[class(50, jitter)], "a", &[], 9), project(&[class(50, jitter)], "a", &[], 9));
    }
}
