//! What it costs at list prices to carry objects out of AWS to the internet.
//!
//! A table with its date and source, no price service: a plan says what its figures rest on, and whoever has other
//! prices can do the sum. Leaves out discounts, waivers of egress charges on leaving, and retrieval from archive tiers.

/// Where the prices come from.
pub const SOURCE: &str =
    "Amazon S3 pricing, https://aws.amazon.com/s3/pricing/, S3 Standard, US East (N. Virginia), list prices";
/// The date of the prices.
pub const AS_OF: &str = "2025-01-01";

const GB: f64 = 1e9;
/// Data transfer to the internet by month: up to so many GB, US dollars for each.
const EGRESS: [(f64, f64); 5] =
    [(100.0, 0.0), (10_340.0, 0.09), (51_300.0, 0.085), (153_700.0, 0.07), (f64::INFINITY, 0.05)];
/// US dollars for a thousand requests.
const LIST_THOUSAND: f64 = 0.005;
const GET_THOUSAND: f64 = 0.0004;

/// US dollars for a month's transfer of so many bytes to the internet.
pub fn egress_usd(bytes: u64) -> f64 {
    let (mut left, mut below, mut sum) = (bytes as f64 / GB, 0.0, 0.0);
    for (up_to, price) in EGRESS {
        let part = left.min(up_to - below);
        sum += part * price;
        left -= part;
        below = up_to;
    }
    sum
}

/// US dollars for requests.
pub fn requests_usd(lists: u64, gets: u64) -> f64 {
    lists as f64 / 1_000.0 * LIST_THOUSAND + gets as f64 / 1_000.0 * GET_THOUSAND
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cents(usd: f64) -> u64 {
        (usd * 100.0).round() as u64
    }

    #[test]
    fn egress_is_charged_by_tiers() {
        assert_eq!(cents(egress_usd(100_000_000_000)), 0);
        assert_eq!(cents(egress_usd(200_000_000_000)), 900);
        assert_eq!(cents(egress_usd(11_340_000_000_000)), 92_160 + 8_500);
    }

    #[test]
    fn requests_are_charged_by_the_thousand() {
        assert_eq!(cents(requests_usd(1_000, 1_000_000)), 41);
    }
}
