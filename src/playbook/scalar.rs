//! The value of a plain (unquoted) YAML scalar, after the YAML 1.2 core schema (YAML 1.2.2, section 10.3.2).
//!
//! Leaves out the YAML 1.1 readings: `yes`, `on`, `0755` as octal, `1_000` and `12:30:00` are text or plain decimal
//! numbers here. Quoted and block scalars are always text and never come here.

/// What a scalar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Integer,
    Float,
    Text,
    /// A plain `<<`, which other YAML readers expand as a merge when it is a key.
    Merge,
}

/// Classifies a plain scalar.
pub(super) fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        "<<" => Kind::Merge,
        _ if is_integer(text) => Kind::Integer,
        _ if is_float(text) => Kind::Float,
        _ => Kind::Text,
    }
}

fn is_integer(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, |c| c.is_ascii_hexdigit());
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |c| c.is_digit(8));
    }
    all(unsigned(text), |c| c.is_ascii_digit())
}

fn is_float(text: &str) -> bool {
    let body = unsigned(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    is_mantissa(mantissa) && exponent.is_none_or(|e| all(unsigned(e), |c| c.is_ascii_digit()))
}

fn is_mantissa(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn all(text: &str, accept: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(accept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema_decides() {
        for text in ["0", "-7", "+12", "007", "0x1F", "0o17", "123456789012"] {
            assert_eq!(resolve(text), Kind::Integer, "{text}");
        }
        for text in ["1.5", "-.5", "1.", "1e3", "2.5E-7", ".inf", "-.inf", ".nan"] {
            assert_eq!(resolve(text), Kind::Float, "{text}");
        }
        for text in ["4h", "2027-03-31", "1_000", "12:30", "e3", ".", "-", "0b1"] {
            assert_eq!(resolve(text), Kind::Text, "{text}");
        }
    }

    #[test]
    fn the_booleans_of_yaml_1_1_are_text() {
        for text in ["yes", "no", "on", "off", "y", "n", "Yes", "NO"] {
            assert_eq!(resolve(text), Kind::Text, "{text}");
        }
        assert_eq!(resolve("true"), Kind::Bool(true));
    }
}
