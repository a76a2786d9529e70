//! Keys of a listing that was asked for with `encoding-type=url`, so that any key survives XML.

/// Decodes `%XX` and `+` (S3 API reference, `ListObjectsV2`, "EncodingType"); none if it is not URL-encoded UTF-8.
pub fn decoded(key: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                bytes.push(hex(*high)? << 4 | hex(*low)?);
                after
            }
            (b'%', _) => return None,
            (b'+', after) => {
                bytes.push(b' ');
                after
            }
            (other, after) => {
                bytes.push(*other);
                after
            }
        };
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn keys_survive_their_encoding() {
        assert_eq!(decoded("a%2Fb+c%2B%25").as_deref(), Some("a/b c+%"));
        assert_eq!(decoded("%C3%A9").as_deref(), Some("é"));
        assert!([decoded("%zz"), decoded("%f"), decoded("%"), decoded("%ff")].iter().all(Option::is_none));
    }
}
