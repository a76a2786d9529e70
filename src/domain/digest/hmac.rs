//! HMAC-SHA-256 (RFC 2104), for pseudonyms.

use sha2::{Digest as _, Sha256};

use super::sha256::Sha256Digest;

/// Bytes of a SHA-256 block (FIPS 180-4).
const BLOCK_BYTES: usize = 64;

/// The code of a message under a key.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Sha256Digest {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256Digest::of(key).0);
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |byte: u8| block.map(|of_key| of_key ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 1, 2 and 6.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        let code = |key: &[u8], message: &str| hmac_sha256(key, message.as_bytes()).to_string();
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(code(&[0x0b; 20], "Hi There"), expected);
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(code(b"Jefe", "what do ya want for nothing?"), expected);
        let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(code(&[0xaa; 131], "Test Using Larger Than Block-Size Key - Hash Key First"), expected);
    }
}
