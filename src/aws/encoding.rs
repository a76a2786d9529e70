//! Percent coding (RFC 3986, 2.1): keys and tags in requests, keys of listings, documents of IAM.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986, 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in a path, whose slashes separate.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Encodes everything but the unreserved characters.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The same without the slashes.
pub(crate) fn encoded_path(path: &str) -> String {
    utf8_percent_encode(path, RESERVED_IN_PATH).to_string()
}

/// Decodes `%XX`; none if a `%` has no digits, or the result is not UTF-8.
pub(crate) fn decoded(text: &str) -> Option<String> {
    // The crate keeps a `%` without digits: a key that was never encoded would become another one.
    let is_code = |after: &str| after.as_bytes().get(..2).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(is_code) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// The same where `+` is a space, as in keys of a listing (S3 API reference, `ListObjectsV2`, "EncodingType").
pub(crate) fn decoded_form(text: &str) -> Option<String> {
    decoded(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["a b/ü+%2F//../~x", "line\nbreak", "\u{1}\\\"'*()!$&,;=:@", "é", ""] {
            assert_eq!(decoded(&encoded(text)).as_deref(), Some(text));
            assert_eq!(decoded_form(&encoded_path(text)).as_deref(), Some(text));
        }
        assert_eq!((encoded("a-/ü"), encoded_path("a-/ü")), ("a-%2F%C3%BC".to_owned(), "a-/%C3%BC".to_owned()));
    }

    #[test]
    fn what_is_not_encoded_is_not_guessed_at() {
        assert_eq!(decoded_form("a%2Fb+c%2B%25").as_deref(), Some("a/b c+%"));
        assert_eq!(decoded("%7B%22a+%22%3A1%7D").as_deref(), Some("{\"a+\":1}"));
        for wrong in ["%zz", "%f", "%", "%ff", "100%.txt", "%+1", "%%41"] {
            assert!(decoded(wrong).is_none() && decoded_form(wrong).is_none(), "{wrong}");
        }
    }
}
