//! Values as PostgreSQL itself prints them in COPY text under [`crate::pg::session::PINNED`], so that what is read back can
//! be compared byte for byte.
//!
//! Source: PostgreSQL documentation, "COPY" (text format), "Floating-Point Types", "Date/Time Output"; its sources, `d2s.c`.

use std::{fmt, io::Write as _};

use jiff::{civil::Date, civil::DateTime};

/// The form of NULL.
pub(super) const NULL: &[u8] = b"\\N";

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Text with what COPY escapes escaped.
pub(super) fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| escape_of(*byte).is_some()) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\\');
        out.push(escape_of(rest[at]).unwrap_or(rest[at]));
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn escape_of(byte: u8) -> Option<u8> {
    Some(match byte {
        b'\\' => b'\\',
        b'\t' => b't',
        b'\n' => b'n',
        b'\r' => b'r',
        0x08 => b'b',
        0x0b => b'v',
        0x0c => b'f',
        _ => return None,
    })
}

/// `\x` and hexadecimal digits; the backslash is escaped.
pub(super) fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"\\\\x");
    hexadecimal(out, bytes);
}

/// 8-4-4-4-12 digits.
pub(super) fn uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    for (number, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&number) {
            out.push(b'-');
        }
        hexadecimal(out, &[*byte]);
    }
}

fn hexadecimal(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
}

/// A whole number in decimal digits.
pub(super) fn integer(out: &mut Vec<u8>, number: i64) {
    // Writing into memory can't fail.
    let _ = write!(out, "{number}");
}

/// A whole number of 10 to the minus `scale`, with all its digits.
pub(super) fn decimal(out: &mut Vec<u8>, unscaled: i128, scale: u32) {
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale as usize + 1);
    let (whole, part) = digits.split_at(digits.len() - scale as usize);
    let sign = if unscaled < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    let _ = write!(out, "{sign}{whole}{point}{part}");
}

/// A big-endian number of up to 16 bytes in two's complement; more only if they repeat the sign.
pub(super) fn big_endian(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { 0xff } else { 0 };
    let (more, last) = bytes.split_at(bytes.len().saturating_sub(16));
    if more.iter().any(|byte| *byte != sign) || (!more.is_empty() && (last[0] >= 0x80) != (sign != 0)) {
        return None;
    }
    let mut wide = [sign; 16];
    wide[16 - last.len()..].copy_from_slice(last);
    Some(i128::from_be_bytes(wide))
}

/// Days since 1970-01-01 as `YYYY-MM-DD`; none beyond the year 9999, which is not supported here.
pub(super) fn date(out: &mut Vec<u8>, days: i32) -> Option<()> {
    let (date, is_bc) = civil(i64::from(days))?;
    written_date(out, date);
    out.extend_from_slice(if is_bc { b" BC" } else { b"" });
    Some(())
}

/// Microseconds since 1970 as a date and a time; a fraction has no trailing zeros.
pub(super) fn timestamp(out: &mut Vec<u8>, micros: i64, utc: bool) -> Option<()> {
    let (date, is_bc) = civil(micros.div_euclid(MICROS_PER_DAY))?;
    written_date(out, date);
    let within = micros.rem_euclid(MICROS_PER_DAY);
    let seconds = within / 1_000_000;
    let fraction = within % 1_000_000;
    let _ = write!(out, " {:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        let digits = format!("{fraction:06}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
    out.extend_from_slice(if utc { b"+00" } else { b"" });
    out.extend_from_slice(if is_bc { b" BC" } else { b"" });
    Some(())
}

fn civil(days: i64) -> Option<(Date, bool)> {
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0).date();
    let date = epoch.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
    Some((date, date.year() <= 0))
}

/// The year before 1 is 1 BC.
fn written_date(out: &mut Vec<u8>, date: Date) {
    let year = if date.year() <= 0 { 1 - i32::from(date.year()) } else { i32::from(date.year()) };
    let _ = write!(out, "{year:04}-{:02}-{:02}", date.month(), date.day());
}

/// The shortest digits that identify this number, in the notation of `%g` with 15 digits.
pub(super) fn double(out: &mut Vec<u8>, number: f64) {
    if special(out, number.is_nan(), number.is_infinite(), number.is_sign_negative()) {
        return;
    }
    let spelled = shortest(
        |digits| exponential(number, digits),
        17,
        |text| text.parse() == Ok(number),
        Bits { mantissa: 52, bits: number.to_bits() & !(1 << 63), bias: 1075 },
    );
    notation(out, number.is_sign_negative(), number == 0.0, &spelled, 15);
}

/// The same for single precision.
pub(super) fn float(out: &mut Vec<u8>, number: f32) {
    if special(out, number.is_nan(), number.is_infinite(), number.is_sign_negative()) {
        return;
    }
    let spelled = shortest(
        |digits| exponential(number, digits),
        9,
        |text| text.parse() == Ok(number),
        Bits { mantissa: 23, bits: u64::from(number.to_bits() & !(1 << 31)), bias: 150 },
    );
    notation(out, number.is_sign_negative(), number == 0.0, &spelled, 6);
}

/// In this many digits, or in as few as identify the number.
fn exponential(number: impl fmt::LowerExp, digits: Option<usize>) -> String {
    match digits {
        None => format!("{number:e}"),
        Some(digits) => format!("{number:.*e}", digits - 1),
    }
}

fn special(out: &mut Vec<u8>, nan: bool, infinite: bool, negative: bool) -> bool {
    match (nan, infinite, negative) {
        (true, ..) => out.extend_from_slice(b"NaN"),
        (_, true, false) => out.extend_from_slice(b"Infinity"),
        (_, true, true) => out.extend_from_slice(b"-Infinity"),
        _ => return false,
    }
    true
}

/// A floating-point number's bits without the sign.
#[derive(Clone, Copy)]
struct Bits {
    mantissa: u32,
    bits: u64,
    bias: i64,
}

impl Bits {
    /// Whether `digits` times 10 to the `exponent` is exactly halfway between this number and a neighbour:
    /// PostgreSQL prints no such number for either.
    fn has_boundary_at(self, digits: u64, exponent: i64) -> bool {
        let fraction = self.bits & ((1 << self.mantissa) - 1);
        let stored = i64::try_from(self.bits >> self.mantissa).unwrap_or_default();
        let (significand, power) =
            if stored == 0 { (fraction, 1 - self.bias) } else { (fraction | 1 << self.mantissa, stored - self.bias) };
        let above = (2 * significand + 1, power - 1);
        // Below a power of two the neighbours are half as far away.
        let below = if fraction == 0 && stored > 1 {
            (4 * significand - 1, power - 2)
        } else {
            ((2 * significand).saturating_sub(1), power - 1)
        };
        [above, below].into_iter().any(|middle| equal(digits, exponent, middle))
    }
}

/// Whether `digits` times 10 to the `ten` is `odd` times 2 to the `two`.
fn equal(digits: u64, ten: i64, (odd, two): (u64, i64)) -> bool {
    let zeros = |number: u64| i64::from(number.trailing_zeros());
    if digits == 0 || odd == 0 || zeros(digits) + ten != zeros(odd) + two || ten.unsigned_abs() > 27 {
        return false;
    }
    let fives = 5_u128.pow(ten.unsigned_abs() as u32);
    let left = u128::from(digits >> digits.trailing_zeros());
    let right = u128::from(odd >> odd.trailing_zeros());
    let (left, right) =
        if ten >= 0 { (left.checked_mul(fives), Some(right)) } else { (Some(left), right.checked_mul(fives)) };
    left.is_some() && left == right
}

/// Digits and the exponent of the first of them.
struct Spelled {
    digits: String,
    exponent: i64,
}

fn shortest(
    spell: impl Fn(Option<usize>) -> String,
    digits_max: usize,
    is_it: impl Fn(&str) -> bool,
    bits: Bits,
) -> Spelled {
    let fits = |text: &str| {
        let spelled = taken_apart(text);
        let last = spelled.exponent - (spelled.digits.len() as i64 - 1);
        let on_boundary = spelled.digits.parse().is_ok_and(|digits| bits.has_boundary_at(digits, last));
        (!on_boundary && is_it(text)).then_some(spelled)
    };
    let short = spell(None);
    let digits = taken_apart(&short).digits.len();
    // Of two equally near ones of this length, the server takes the one with an even last digit; next to a power of two
    // the nearest of so many digits may be another number's.
    fits(&spell(Some(digits)))
        .or_else(|| fits(&short))
        .or_else(|| (digits + 1..digits_max).find_map(|more| fits(&spell(Some(more)))))
        .unwrap_or_else(|| taken_apart(&spell(Some(digits_max))))
}

/// `-1.25e-7` without its sign and point.
fn taken_apart(text: &str) -> Spelled {
    let (number, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let digits = number.chars().filter(char::is_ascii_digit).collect();
    Spelled { digits, exponent: exponent.parse().unwrap_or_default() }
}

fn notation(out: &mut Vec<u8>, negative: bool, zero: bool, spelled: &Spelled, fixed_below: i64) {
    out.extend_from_slice(if negative { b"-" } else { b"" });
    let exponent = spelled.exponent;
    // Digits requested by number may end in zeros.
    let digits = match spelled.digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let count = digits.len() as i64;
    let _ = match exponent {
        _ if zero => write!(out, "0"),
        0.. if exponent < fixed_below && count <= exponent + 1 => {
            write!(out, "{digits}{}", "0".repeat((exponent + 1 - count) as usize))
        }
        0.. if exponent < fixed_below => {
            let (whole, part) = digits.split_at(exponent as usize + 1);
            write!(out, "{whole}.{part}")
        }
        -4..=-1 => write!(out, "0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        _ => {
            let (first, more) = digits.split_at(1);
            let point = if more.is_empty() { "" } else { "." };
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(out, "{first}{point}{more}e{sign}{:02}", exponent.abs())
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn floating_point_numbers_are_spelled_as_the_server_does() {
        let double = |number| text(|out| double(out, number));
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1e+15"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (number, expected) in cases {
            assert_eq!(double(number), expected);
        }
        assert_eq!(double(f64::NAN), "NaN");
        let float = |number| text(|out| float(out, number));
        assert_eq!([float(0.1), float(1e6), float(123_456.0), float(1e-5)], ["0.1", "1e+06", "123456", "1e-05"]);
    }

    #[test]
    fn a_spelling_in_the_middle_between_two_numbers_is_none() {
        // As PostgreSQL 15 prints them; the shortest digits would be 1e+23 and 8.41e+21.
        assert_eq!(text(|out| double(out, 1e23)), "9.999999999999999e+22");
        assert_eq!(text(|out| double(out, 8.41e21)), "8.409999999999999e+21");
        assert_eq!(text(|out| double(out, 2_f64.powi(-44))), "5.684341886080802e-14");
        assert_eq!(text(|out| double(out, 9_007_199_254_740_992.0)), "9.007199254740992e+15");
        assert_eq!(text(|out| double(out, 1_822_817_470_726_417.2)), "1.8228174707264172e+15");
        assert_eq!(text(|out| double(out, 2_f64.powi(-1017))), "7.120236347223045e-307");
        assert_eq!(text(|out| float(out, 16_777_216.0)), "1.6777216e+07");
    }

    proptest! {
        #[test]
        fn every_number_comes_back(bits in any::<u64>(), single in any::<u32>()) {
            let number = f64::from_bits(bits);
            let spelled = text(|out| double(out, number));
            prop_assert!(number.is_nan() || spelled.parse::<f64>() == Ok(number), "{}", spelled);
            let number = f32::from_bits(single);
            let spelled = text(|out| float(out, number));
            prop_assert!(number.is_nan() || spelled.parse::<f32>() == Ok(number), "{}", spelled);
        }

        #[test]
        fn big_endian_numbers_come_back(number in any::<i128>(), longer in 0usize..4) {
            let sign = if number < 0 { 0xff } else { 0 };
            let bytes: Vec<u8> = std::iter::repeat_n(sign, longer).chain(number.to_be_bytes()).collect();
            prop_assert_eq!(big_endian(&bytes), Some(number));
        }
    }

    #[test]
    fn decimals_keep_their_digits() {
        let decimal = |number, scale| text(|out| decimal(out, number, scale));
        assert_eq!([decimal(5, 2), decimal(-12345, 3), decimal(0, 2), decimal(7, 0)], ["0.05", "-12.345", "0.00", "7"]);
        assert_eq!(big_endian(&[]), Some(0));
        assert_eq!(big_endian(&[1; 17]), None);
    }

    #[test]
    fn dates_before_christ_say_so() {
        assert_eq!(text(|out| date(out, 0).unwrap_or_default()), "1970-01-01");
        assert_eq!(text(|out| date(out, -719_528).unwrap_or_default()), "0001-01-01 BC");
        assert_eq!(date(&mut Vec::new(), i32::MAX), None);
        assert_eq!(text(|out| timestamp(out, -1, true).unwrap_or_default()), "1969-12-31 23:59:59.999999+00");
        assert_eq!(text(|out| timestamp(out, 1_500_000, false).unwrap_or_default()), "1970-01-01 00:00:01.5");
    }

    #[test]
    fn what_copy_escapes_is_escaped() {
        assert_eq!(text(|out| escaped(out, b"a\tb\\c\nd\x08\x0b\x0c\r")), "a\\tb\\\\c\\nd\\b\\v\\f\\r");
        assert_eq!(text(|out| binary(out, &[0, 255])), "\\\\x00ff");
        assert_eq!(text(|out| uuid(out, &[0x11; 16])), "11111111-1111-1111-1111-111111111111");
    }
}
