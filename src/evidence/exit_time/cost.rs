//! What leaving costs in traffic: the drill's own, and the exit's at list price and under a waiver.
//!
//! List prices change and contracts differ; the date of the table stands beside every amount. Amounts are millionths of
//! a dollar.

use crate::evidence::facts::Cost;

/// The day on which the table below was taken down.
pub const PRICES_AS_OF: &str = "2026-06-10";
const SOURCE: &str = "AWS list prices: data transfer out of EC2, RDS and S3 to the internet; S3 GET requests";
const REMARKS: &[&str] = &[
    "The 100 GB that are free in each month are not counted: how much of them the account has used is not known.",
    "Waived: AWS gives credit for the traffic of customers who leave, on request; requests are charged all the same.",
    "In the EU, switching charges, egress included, end on 2027-01-12 (Regulation (EU) 2023/2854, Art. 29). A drill is not a switch.",
];

const GIB: u128 = 1 << 30;
/// Up to so many GiB a month, a GiB costs so many millionths of a dollar.
const EGRESS: [(u64, u64); 4] = [(10_240, 90_000), (51_200, 85_000), (153_600, 70_000), (u64::MAX, 50_000)];
/// A thousand GET requests.
const GETS: u64 = 430;
/// The regions for which the table holds.
const REGIONS: [&str; 12] = [
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-south-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-south-2",
];

/// The cost of carrying `drill` in the drill and `exit` in the exit: objects and bytes each.
pub fn of(region: Option<&str>, drill: (u64, u64), exit: (u64, u64)) -> Cost {
    let known = region.filter(|region| REGIONS.contains(region));
    let amount = |(objects, bytes): (u64, u64)| egress(bytes).saturating_add(requests(objects));
    Cost {
        as_of: PRICES_AS_OF.to_owned(),
        source: SOURCE.to_owned(),
        region: region.unwrap_or("not named").to_owned(),
        drill_usd_millionths: known.map(|_| amount(drill)),
        exit_usd_millionths: known.map(|_| amount(exit)),
        exit_waived_usd_millionths: known.map(|_| requests(exit.0)),
        refused: known.is_none().then(|| "no prices are known for this region".to_owned()),
        remarks: REMARKS.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn egress(bytes: u64) -> u64 {
    let (mut cost, mut from) = (0, 0u128);
    for (to_gib, price) in EGRESS {
        let to = u128::from(to_gib) * GIB;
        let inside = u128::from(bytes).min(to).saturating_sub(from);
        cost += inside * u128::from(price);
        from = to;
    }
    u64::try_from(cost.div_ceil(GIB)).unwrap_or(u64::MAX)
}

fn requests(objects: u64) -> u64 {
    u64::try_from((u128::from(objects) * u128::from(GETS)).div_ceil(1000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_add_up() {
        let gib = 1u64 << 30;
        assert_eq!(egress(gib), 90_000);
        assert_eq!(egress(10_240 * gib), 921_600_000);
        assert_eq!(egress(51_200 * gib), 921_600_000 + 40_960 * 85_000);
        assert_eq!(egress(1), 1, "rounded up");
        assert_eq!(requests(1_000_000), 430_000);
    }

    #[test]
    fn a_waiver_leaves_the_requests() {
        let cost = of(Some("eu-central-1"), (1_000, 1 << 30), (10_000, 10 << 30));
        assert_eq!((cost.drill_usd_millionths, cost.exit_usd_millionths), (Some(90_430), Some(904_300)));
        assert_eq!(cost.exit_waived_usd_millionths, Some(4_300));
        let unknown = of(Some("sa-east-1"), (1, 1), (1, 1));
        assert!(unknown.drill_usd_millionths.is_none() && unknown.refused.is_some());
    }
}
