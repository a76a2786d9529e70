//! Sizes and times as written in arguments: a whole number and a unit, such as `512MiB` or `90s`.

use std::time::Duration;

use crate::playbook::Period;

/// The units and their bytes.
const UNITS: [(&str, u64); 6] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000)];
/// Below this, not even one range of a large object would fit.
const MEMORY_BYTES_MIN: u64 = 32 << 20;

/// Reads a size of memory.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    let bytes = size(text).ok_or("write a whole number and a unit, such as 512MiB or 2GiB")?;
    if bytes < MEMORY_BYTES_MIN { Err("the least is 32MiB".to_owned()) } else { Ok(bytes) }
}

/// Reads a length of time, which may be zero.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    if ["0", "0s"].contains(&text) {
        return Ok(Duration::ZERO);
    }
    let period = text.parse::<Period>().map(Period::duration);
    period.map_err(|_| "write a whole number and one unit, such as 90s, 6m or 0s".to_owned())
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, unit_bytes) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*unit_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_may_be_none() {
        assert_eq!([time("0s"), time("6m")], [Ok(Duration::ZERO), Ok(Duration::from_secs(360))]);
        assert!(["", "6", "-1s", "1h30m"].iter().all(|wrong| time(wrong).is_err()));
    }

    #[test]
    fn sizes_have_units_and_a_floor() {
        assert_eq!(memory("512MiB"), Ok(512 << 20));
        assert_eq!(memory("2 GB"), Ok(2_000_000_000));
        for wrong in ["", "512", "MiB", "-1GiB", "1.5GiB", "1TiBs", "1MiB", "99999999999GiB"] {
            assert!(memory(wrong).is_err(), "{wrong}");
        }
    }
}
