//! Quantities with units: a [`Period`] such as `4h`, a [`Ceiling`] such as `<= 4h`, [`Money`] such as `0.35 USD`, a
//! [`Share`] such as `2%`, a [`Floor`] such as `>= 60%`, an [`Age`] such as `12mo`, a [`Size`] such as `20MiB`.
//!
//! Leaves out calendar arithmetic: a day is 24 hours, a week is 7 days. There are no compound forms (`1h30m` is `90m`),
//! so that one quantity has one spelling per unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use super::problem::{Wrong, shown};

/// The units and their length in seconds, largest first.
const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A hundred years: anything longer is a typing error, and limits nothing.
const SECONDS_MAX: u64 = 36_525 * 86_400;

/// A length of time in whole seconds, more than zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    seconds: u64,
}

impl Period {
    /// The period as a standard duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl FromStr for Period {
    type Err = Wrong;

    /// Reads a whole number and one of the units `s`, `m`, `h`, `d`, `w`.
    fn from_str(text: &str) -> Result<Self, Wrong> {
        let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text[number.len()..].trim_start();
        let count: u64 = number.parse().map_err(|_| not_a_period(text))?;
        let unit_seconds = unit_seconds(unit).ok_or_else(|| wrong_unit(text, number, unit))?;
        match count.checked_mul(unit_seconds) {
            Some(0) => Err(Wrong::new("is no time at all").hint("write a period longer than zero")),
            Some(seconds) if seconds <= SECONDS_MAX => Ok(Self { seconds }),
            _ => {
                Err(Wrong::new(format!("`{}` is too long", shown(text)))
                    .hint("write at most 100 years, which are 36525d"))
            }
        }
    }
}

fn unit_seconds(unit: &str) -> Option<u64> {
    let mut letters = unit.chars();
    let letter = letters.next()?;
    let known = UNITS.iter().find(|(name, _)| *name == letter)?;
    letters.next().is_none().then_some(known.1)
}

fn not_a_period(text: &str) -> Wrong {
    Wrong::new(format!("`{}` is not a period", shown(text)))
        .hint("write a whole number and one unit, such as 90s, 30m, 4h, 3d or 2w")
}

fn wrong_unit(text: &str, number: &str, unit: &str) -> Wrong {
    if !unit.is_empty() {
        return not_a_period(text);
    }
    Wrong::new(format!("`{}` has no unit", shown(text)))
        .hint(format!("say {number}s, {number}m, {number}h, {number}d or {number}w"))
}

impl fmt::Display for Period {
    /// Writes the period in the largest unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = UNITS.iter().find(|(_, length)| self.seconds.is_multiple_of(*length));
        let (name, length) = fitting.unwrap_or(&('s', 1));
        write!(f, "{}{name}", self.seconds / length)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The units of a size and their bytes, largest first.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes, more than zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    bytes: u64,
}

impl Size {
    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

impl FromStr for Size {
    type Err = Wrong;

    /// Reads a whole number and one of the units `B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`.
    fn from_str(text: &str) -> Result<Self, Wrong> {
        let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = text[number.len()..].trim_start();
        let not_a_size = || {
            Wrong::new(format!("`{}` is not a size", shown(text)))
                .hint("write a whole number and one unit, such as 500kB, 20MiB or 1GB")
        };
        let count: u64 = number.parse().map_err(|_| not_a_size())?;
        let known = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(not_a_size)?;
        match count.checked_mul(known.1) {
            Some(0) => Err(Wrong::new("is nothing at all").hint("write a size larger than zero")),
            Some(bytes) => Ok(Self { bytes }),
            None => Err(Wrong::new(format!("`{}` is too large", shown(text)))),
        }
    }
}

impl fmt::Display for Size {
    /// Writes the size in the largest unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = SIZE_UNITS.iter().find(|(_, length)| self.bytes.is_multiple_of(*length));
        let (name, length) = fitting.unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.bytes / length)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An amount of money: `0.35 USD`. Kept in millionths, so that sums stay exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    millionths: u64,
    currency: String,
}

impl Money {
    /// The three letters of the currency.
    #[must_use]
    pub fn currency(&self) -> &str {
        &self.currency
    }

    /// How long something that costs `per_hour` may run for this amount, in seconds.
    #[must_use]
    pub fn seconds_at(&self, per_hour: &Money) -> u64 {
        let seconds = u128::from(self.millionths) * 3_600 / u128::from(per_hour.millionths.max(1));
        u64::try_from(seconds).unwrap_or(u64::MAX)
    }

    /// A multiple of this amount.
    #[must_use]
    pub fn times(&self, number: u64) -> Money {
        let millionths = self.millionths.saturating_mul(number);
        Money { millionths, currency: self.currency.clone() }
    }

    /// Whether it is more than another amount, of the same currency.
    #[must_use]
    pub fn exceeds(&self, other: &Money) -> bool {
        self.millionths > other.millionths
    }

    /// What this many seconds cost at this amount an hour.
    #[must_use]
    pub fn for_seconds(&self, seconds: u64) -> Money {
        let millionths = u128::from(self.millionths) * u128::from(seconds) / 3_600;
        Money { millionths: u64::try_from(millionths).unwrap_or(u64::MAX), currency: self.currency.clone() }
    }
}

impl FromStr for Money {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let not_money = || {
            Wrong::new(format!("`{}` is not an amount of money", shown(text)))
                .hint("write a number above zero and a currency, as in 0.35 USD")
        };
        let (number, currency) = text.trim().split_once(' ').ok_or_else(not_money)?;
        let currency = currency.trim();
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let spelled = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
        if !spelled || !digits(whole) || !digits(part) || part.len() > 6 {
            return Err(not_money());
        }
        let whole: Option<u64> = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(1_000_000));
        let part: u64 = format!("{part:0<6}").parse().map_err(|_| not_money())?;
        match whole.and_then(|whole| whole.checked_add(part)) {
            Some(millionths) if millionths > 0 => Ok(Money { millionths, currency: currency.to_owned() }),
            _ => Err(not_money()),
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!("{:06}", self.millionths % 1_000_000);
        let part = part.trim_end_matches('0');
        write!(f, "{}.{part:0<2} {}", self.millionths / 1_000_000, self.currency)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An upper bound on a period: `<= 4h` or `< 4h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceiling {
    inclusive: bool,
    period: Period,
}

impl Ceiling {
    /// Whether `elapsed` keeps within the bound.
    #[must_use]
    pub fn allows(&self, elapsed: Duration) -> bool {
        let bound = self.period.duration();
        elapsed < bound || (self.inclusive && elapsed == bound)
    }

    /// The period that the bound names.
    #[must_use]
    pub fn period(&self) -> Period {
        self.period
    }
}

impl FromStr for Ceiling {
    type Err = Wrong;

    /// Reads `<=` or `<` and a [`Period`].
    fn from_str(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        let (inclusive, rest) = match (text.strip_prefix("<="), text.strip_prefix('<')) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(no_comparison(text)),
        };
        let period = rest.trim_start().parse()?;
        Ok(Self { inclusive, period })
    }
}

fn no_comparison(text: &str) -> Wrong {
    let example = text.parse::<Period>().map_or("4h".to_owned(), |period| period.to_string());
    Wrong::new(format!("`{}` is not an upper bound", shown(text)))
        .hint(format!("write `<=` or `<` and a period with a unit, such as `<= {example}`"))
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.inclusive { "<=" } else { "<" };
        write!(f, "{sign} {}", self.period)
    }
}

impl Serialize for Ceiling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A part of a whole, more than nothing and at most all: `2%`, `0.05%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    per_million: u32,
}

impl Share {
    /// The share in millionths.
    #[must_use]
    pub fn per_million(self) -> u32 {
        self.per_million
    }
}

impl FromStr for Share {
    type Err = Wrong;

    /// Reads a percentage with up to four decimals.
    fn from_str(text: &str) -> Result<Self, Wrong> {
        let hint = "write a percentage with its sign, such as 2% or 0.05%";
        let wrong = || Wrong::new(format!("`{}` is not a share", shown(text))).hint(hint);
        let number = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 4 {
            return Err(wrong());
        }
        let millionths: Option<u32> = format!("{whole}{decimals:0<4}").parse().ok();
        match millionths.filter(|part| (1..=1_000_000).contains(part)) {
            Some(per_million) => Ok(Self { per_million }),
            None => Err(Wrong::new(format!("`{}` is not a part of a whole", shown(text))).hint(hint)),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:04}", self.per_million % 10_000);
        let decimals = decimals.trim_end_matches('0');
        let point = if decimals.is_empty() { "" } else { "." };
        write!(f, "{}{point}{decimals}%", self.per_million / 10_000)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A lower bound on a share: `>= 60%` or `> 60%`, to a hundredth of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    inclusive: bool,
    /// Hundredths of a percent, at most 10,000.
    hundredths: u32,
}

impl Floor {
    /// Whether `part` of `whole` reaches the bound. Nothing of nothing never reaches it: it was not measured.
    #[must_use]
    pub fn allows(&self, part: u64, whole: u64) -> bool {
        if whole == 0 {
            return false;
        }
        let share = u128::from(part) * 10_000;
        let bound = u128::from(whole) * u128::from(self.hundredths);
        share > bound || (self.inclusive && share == bound)
    }
}

impl FromStr for Floor {
    type Err = Wrong;

    /// Reads `>=` or `>` and a percentage.
    fn from_str(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            Wrong::new(format!("`{}` is not a lower bound on a share", shown(text)))
                .hint("write `>=` or `>` and a percentage up to 100, such as `>= 60%`")
        };
        let trimmed = text.trim();
        let (inclusive, rest) = match (trimmed.strip_prefix(">="), trimmed.strip_prefix('>')) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(wrong()),
        };
        let number = rest.trim().strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 2 || whole.len() > 3 {
            return Err(wrong());
        }
        let hundredths = whole.parse::<u32>().unwrap_or(u32::MAX).saturating_mul(100)
            + format!("{fraction:0<2}").parse::<u32>().unwrap_or_default();
        if hundredths > 10_000 { Err(wrong()) } else { Ok(Self { inclusive, hundredths }) }
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.inclusive { ">=" } else { ">" };
        match (self.hundredths / 100, self.hundredths % 100) {
            (whole, 0) => write!(f, "{sign} {whole}%"),
            (whole, part) => write!(f, "{sign} {whole}.{part:02}%"),
        }
    }
}

impl Serialize for Floor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How old a document may be, in days and calendar months: `90d`, `2w`, `12mo`, `1y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    months: i32,
    days: i32,
}

impl Age {
    /// The oldest date within the age.
    #[must_use]
    pub fn earliest(&self, today: Date) -> Date {
        let span = jiff::Span::new().try_months(self.months).and_then(|span| span.try_days(self.days));
        span.and_then(|span| today.checked_sub(span)).unwrap_or(Date::MIN)
    }
}

/// A hundred years: an older age is a typing error.
const AGE_MONTHS_MAX: i32 = 1_200;

impl FromStr for Age {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let wrong = || {
            Wrong::new(format!("`{}` is not an age", shown(text)))
                .hint("write a whole number and one unit, such as 90d, 2w, 12mo or 1y")
        };
        let count = number.parse::<i32>().ok().filter(|count| (1..=9_999).contains(count)).ok_or_else(wrong)?;
        let age = match text[number.len()..].trim() {
            "d" => Age { months: 0, days: count },
            "w" => Age { months: 0, days: count * 7 },
            "mo" => Age { months: count, days: 0 },
            "y" => Age { months: count * 12, days: 0 },
            _ => return Err(wrong()),
        };
        if age.months > AGE_MONTHS_MAX || age.days > AGE_MONTHS_MAX * 31 {
            return Err(Wrong::new(format!("`{}` is too long", shown(text))).hint("write at most 100 years: 100y"));
        }
        Ok(age)
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.months > 0 { write!(f, "{}mo", self.months) } else { write!(f, "{}d", self.days) }
    }
}

impl Serialize for Age {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_differ_at_the_bound() {
        let at: Floor = ">= 60%".parse().unwrap();
        let above: Floor = ">60.00 %".parse().unwrap();
        assert!(at.allows(60, 100) && !above.allows(60, 100) && above.allows(61, 100));
        assert!(!at.allows(599_999, 1_000_000) && !at.allows(0, 0));
        assert_eq!(">= 99.5%".parse::<Floor>().unwrap().to_string(), ">= 99.50%");
        for text in ["60%", ">= 60", ">= 101%", "<= 60%", ">= 1.234%", ">= %", ">= 6x%"] {
            assert!(text.parse::<Floor>().unwrap_err().hint.is_some(), "{text}");
        }
    }

    #[test]
    fn ages_go_by_the_calendar() {
        let today = jiff::civil::date(2026, 3, 31);
        assert_eq!("1mo".parse::<Age>().unwrap().earliest(today), jiff::civil::date(2026, 2, 28));
        assert_eq!("1y".parse::<Age>().unwrap().earliest(today), jiff::civil::date(2025, 3, 31));
        assert_eq!("2w".parse::<Age>().unwrap().earliest(today), jiff::civil::date(2026, 3, 17));
        for text in ["12", "mo", "0d", "12m", "1.5y", "101y", "9999mo", "9999w"] {
            assert!(text.parse::<Age>().unwrap_err().hint.is_some(), "{text}");
        }
    }

    #[test]
    fn money_buys_time() {
        let (hour, ceiling): (Money, Money) = ("0.35 USD".parse().unwrap(), "7 USD".parse().unwrap());
        assert_eq!((ceiling.seconds_at(&hour), hour.for_seconds(7_200).to_string()), (72_000, "0.70 USD".to_owned()));
        for text in ["", "5", "5USD", "-1 USD", "1.2.3 USD", "0 USD", "1 usd", "1. USD", "99999999999999999999 USD"] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percentages() {
        for (text, per_million, written) in
            [("2%", 20_000, "2%"), ("0.05 %", 500, "0.05%"), ("100%", 1_000_000, "100%"), ("0.0001%", 1, "0.0001%")]
        {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.per_million(), share.to_string().as_str()), (per_million, written));
        }
        for text in ["", "2", "0%", "101%", "-2%", "2.%", "0.00001%", "1e1%", "99999999999%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn periods_are_read_and_written() {
        for (text, seconds, written) in [
            ("90s", 90, "90s"),
            ("30m", 1_800, "30m"),
            ("4 h", 14_400, "4h"),
            ("3d", 259_200, "3d"),
            ("14d", 1_209_600, "2w"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.duration().as_secs(), seconds);
            assert_eq!(period.to_string(), written);
        }
    }

    #[test]
    fn what_is_not_a_period_says_what_to_write() {
        let hint = |text: &str| text.parse::<Period>().unwrap_err().hint.unwrap_or_default();
        assert_eq!(hint("4"), "say 4s, 4m, 4h, 4d or 4w");
        for text in ["", "h", "1.5h", "1h30m", "-4h", "4y", "4é", "²h"] {
            assert!(hint(text).starts_with("write a whole number"), "{text}");
        }
        assert!("0s".parse::<Period>().is_err());
        assert!("36525d".parse::<Period>().is_ok());
        for text in ["99999999999999999w", "99999999999d", "36526d", "876601h"] {
            assert!(text.parse::<Period>().unwrap_err().hint.is_some(), "{text}");
        }
    }

    #[test]
    fn ceilings_differ_at_the_bound() {
        let at: Ceiling = "<= 4h".parse().unwrap();
        let below: Ceiling = "<4h".parse().unwrap();
        let bound = Duration::from_secs(14_400);
        assert!(at.allows(bound) && !below.allows(bound));
        assert!(below.allows(bound - Duration::from_nanos(1)));
        assert!(!at.allows(bound + Duration::from_nanos(1)));
        assert_eq!(below.to_string(), "< 4h");
        assert!("4h".parse::<Ceiling>().unwrap_err().hint.unwrap().ends_with("`<= 4h`"));
    }
}
