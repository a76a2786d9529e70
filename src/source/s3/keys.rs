//! Keys of a listing that was asked for with `encoding-type=url`, so that any key survives XML.

/// Decodes `%XX` and `+` (S3 API reference, `ListObjectsV2`, "EncodingType").
pub fn decoded(key: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                bytes.push(hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low).ok_or_else(|| broken(key))?);
                after
            }
            (b'%', _) => return Err(broken(key)),
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
    String::from_utf8(bytes).map_err(|_| broken(key))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn broken(key: &str) -> String {
    format!("the key {key:?} is not URL-encoded UTF-8")
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn keys_survive_their_encoding() {
        assert_eq!(decoded("a%2Fb+c%2B%25").as_deref(), Ok("a/b c+%"));
        assert_eq!(decoded("%C3%A9").as_deref(), Ok("é"));
        assert!(decoded("%zz").is_err() && decoded("%f").is_err() && decoded("%ff").is_err());
    }
}
