//! Hashes a stream once for the record (SHA-256) and once for whatever checksum the provider keeps, and compares.
//!
//! Composite checksums and multipart entity tags need the part list and are left unconfirmed here.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{
    object::ProviderWord,
    receipt::{ChecksumKind, Confirmation},
};
use crate::digest::Sha256Digest;

/// A second hash over the same bytes, as the provider computed it.
enum Second {
    Crc(Box<crc_fast::Digest>, usize),
    Md5(Box<Md5>),
    Sha1(Box<Sha1>),
    /// The record's own SHA-256 serves.
    Sha256,
}

impl Second {
    fn new(kind: ChecksumKind) -> Self {
        use crc_fast::{CrcAlgorithm as Algorithm, Digest};
        match kind {
            ChecksumKind::Crc64nvme => Second::Crc(Box::new(Digest::new(Algorithm::Crc64Nvme)), 8),
            ChecksumKind::Crc32c => Second::Crc(Box::new(Digest::new(Algorithm::Crc32Iscsi)), 4),
            ChecksumKind::Crc32 => Second::Crc(Box::new(Digest::new(Algorithm::Crc32IsoHdlc)), 4),
            ChecksumKind::Sha1 => Second::Sha1(Box::default()),
            ChecksumKind::Sha256 => Second::Sha256,
            ChecksumKind::Md5Etag => Second::Md5(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Second::Crc(crc, _) => crc.update(bytes),
            Second::Md5(md5) => md5.update(bytes),
            Second::Sha1(sha1) => sha1.update(bytes),
            Second::Sha256 => {}
        }
    }

    fn finish(self, sha256: &Sha256Digest) -> Vec<u8> {
        match self {
            Second::Crc(crc, width) => crc.finalize().to_be_bytes()[8 - width..].to_vec(),
            Second::Md5(md5) => md5.finalize().to_vec(),
            Second::Sha1(sha1) => sha1.finalize().to_vec(),
            Second::Sha256 => sha256.0.to_vec(),
        }
    }
}

/// What a whole stream amounted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of all bytes.
    pub sha256: Sha256Digest,
    /// What became of the provider's own checksum.
    pub confirmation: Confirmation,
}

/// Observes one object's bytes in order.
pub struct StreamDigest {
    sha256: Sha256,
    size: u64,
    second: Option<Second>,
    word: ProviderWord,
}

impl StreamDigest {
    /// Begins; `word` says which checksum of the provider is to be confirmed.
    pub fn new(word: ProviderWord) -> Self {
        let second = word.as_ref().ok().map(|checksum| Second::new(checksum.kind));
        StreamDigest { sha256: Sha256::new(), size: 0, second, word }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
        if let Some(second) = &mut self.second {
            second.update(bytes);
        }
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends and compares.
    pub fn finish(self) -> Observed {
        let sha256 = Sha256Digest::from(self.sha256);
        let confirmation = match (self.word, self.second) {
            (Ok(checksum), Some(second)) => confirm(checksum.kind, second.finish(&sha256) == checksum.value),
            (Ok(checksum), None) => confirm(checksum.kind, false),
            (Err(reason), _) => Confirmation::Unavailable(reason),
        };
        Observed { size: self.size, sha256, confirmation }
    }
}

fn confirm(kind: ChecksumKind, agrees: bool) -> Confirmation {
    if agrees { Confirmation::Confirmed(kind) } else { Confirmation::Contradicted(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::object::ProviderChecksum;
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    fn observe(kind: ChecksumKind, value: &str) -> Confirmation {
        let value = BASE64_STANDARD.decode(value).expect("base64");
        let mut digest = StreamDigest::new(Ok(ProviderChecksum { kind, value }));
        b"123456789".chunks(2).for_each(|piece| digest.update(piece));
        digest.finish().confirmation
    }

    /// The check values of the CRC catalogue (reveng), and of RFC 1321 and FIPS 180-4 for "123456789".
    #[test]
    fn known_answers_are_confirmed() {
        for (kind, value) in [
            (ChecksumKind::Crc64nvme, "rosUhgp5mIg="),
            (ChecksumKind::Crc32c, "4waSgw=="),
            (ChecksumKind::Crc32, "y/Q5Jg=="),
            (ChecksumKind::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
            (ChecksumKind::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
            (ChecksumKind::Md5Etag, "JfnnlDI7RTiF9RgfG2JNCw=="),
        ] {
            assert_eq!(observe(kind, value), Confirmation::Confirmed(kind), "{kind:?}");
        }
    }

    #[test]
    fn a_wrong_value_is_contradicted() {
        assert_eq!(observe(ChecksumKind::Crc32, "AAAAAA=="), Confirmation::Contradicted(ChecksumKind::Crc32));
    }
}
