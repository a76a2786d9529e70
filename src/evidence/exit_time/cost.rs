//! What leaving costs in traffic: the drill's own, and the exit's at list price and under a waiver.
//!
//! The one table of prices, for plans as well. List prices change and contracts differ; what is known of the table's age
//! is beside every amount. Amounts are millionths of a dollar.

use crate::evidence::facts::Cost;

/// The date of the table below: when it was last compared with the provider's price list.
pub const PRICES_AS_OF: &str = "an unrecorded day";
/// Whose prices the table holds.
pub const PRICES_SOURCE: &str = "AWS list prices: data transfer out of EC2, RDS and S3 to the internet; S3 requests";
/// How far the table can be relied on.
pub const PRICES_UNCHECKED: &str = "The prices were not compared with the provider's price list for this version: check them before relying on an amount.";
const REMARKS: &[&str] = &[
    PRICES_UNCHECKED,
    "The 100 GB that are free in each month are not counted: how much of them the account has used is not known.",
    "Waived: AWS gives credit for the traffic of customers who leave, on request; requests are charged all the same.",
    "In the EU, switching charges, egress included, end on 2027-01-12 (Regulation (EU) 2023/2854, Art. 29). A drill is not a switch.",
];

const GIB: u128 = 1 << 30;
/// Tiers: up to this many GiB a month, a GiB costs this many millionths of a dollar.
const EGRESS: [(u64, u64); 4] = [(10_240, 90_000), (51_200, 85_000), (153_600, 70_000), (u64::MAX, 50_000)];
/// A thousand GET requests.
const GETS: u64 = 430;
/// A thousand LIST requests.
const LISTS: u64 = 5_400;
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

/// The cost of copying `drill` in the drill and `exit` in the exit: objects and bytes each.
pub fn of(region: Option<&str>, drill: (u64, u64), exit: (u64, u64)) -> Cost {
    let known = region.filter(|region| REGIONS.contains(region));
    let amount = |(objects, bytes): (u64, u64)| egress(bytes).saturating_add(requests(0, objects));
    Cost {
        as_of: PRICES_AS_OF.to_owned(),
        source: PRICES_SOURCE.to_owned(),
        region: region.unwrap_or("not named").to_owned(),
        drill_usd_millionths: known.map(|_| amount(drill)),
        exit_usd_millionths: known.map(|_| amount(exit)),
        exit_waived_usd_millionths: known.map(|_| requests(0, exit.0)),
        refused: known.is_none().then(|| "no prices are known for this region".to_owned()),
        remarks: REMARKS.iter().map(|text| (*text).to_owned()).collect(),
    }
}

/// A month's transfer of this many bytes to the internet, in millionths of a dollar.
pub fn egress(bytes: u64) -> u64 {
    let mut cost = 0;
    let mut from = 0u128;
    for (to_gib, price) in EGRESS {
        let to = u128::from(to_gib) * GIB;
        let inside = u128::from(bytes).min(to).saturating_sub(from);
        cost += inside * u128::from(price);
        from = to;
    }
    u64::try_from(cost.div_ceil(GIB)).unwrap_or(u64::MAX)
}

/// Requests, in millionths of a dollar.
pub fn requests(lists: u64, gets: u64) -> u64 {
    let thousand = u128::from(lists) * u128::from(LISTS) + u128::from(gets) * u128::from(GETS);
    u64::try_from(thousand.div_ceil(1000)).unwrap_or(u64::MAX)
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
        assert_eq!(requests(0, 1_000_000), 430_000);
        assert_eq!(requests(1_000, 0), 5_400);
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
