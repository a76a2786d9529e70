//! Hashes a stream once for the record (SHA-256) and once for any checksum the provider keeps, and compares.
//!
//! A checksum over parts (composite checksums, multipart entity tags) is made of the checksums of the parts, in the
//! sizes that the provider lists. Where sizes are a guess, agreement is a proof and a difference proves nothing.

use std::sync::Arc;

use bytes::Bytes;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

pub use super::md5::MultiBufferMd5;
use super::{
    md5::{Md5, Md5Stream},
    provider_checksum::{ChecksumKind, Confirmation, Parts, ProviderChecksum, StatedChecksums},
};
use crate::domain::digest::Sha256Digest;

/// A second hash over bytes, as the provider computed it.
enum Hash {
    Crc(Box<crc_fast::Digest>, usize),
    Md5(Box<Md5>),
    Shared(Md5Stream),
    Sha1(Box<Sha1>),
    Sha256(Box<Sha256>),
}

impl Hash {
    fn new(kind: ChecksumKind, md5: Option<&MultiBufferMd5>) -> Self {
        use ChecksumKind as Kind;
        use crc_fast::{CrcAlgorithm as Algorithm, Digest};
        match kind {
            Kind::Crc64nvme => Hash::Crc(Box::new(Digest::new(Algorithm::Crc64Nvme)), 8),
            Kind::Crc32c | Kind::CompositeCrc32c => Hash::Crc(Box::new(Digest::new(Algorithm::Crc32Iscsi)), 4),
            Kind::Crc32 | Kind::CompositeCrc32 => Hash::Crc(Box::new(Digest::new(Algorithm::Crc32IsoHdlc)), 4),
            Kind::Sha1 | Kind::CompositeSha1 => Hash::Sha1(Box::default()),
            Kind::Sha256 | Kind::CompositeSha256 => Hash::Sha256(Box::default()),
            Kind::ContentMd5 | Kind::Md5Etag | Kind::MultipartEtag => {
                md5.map_or_else(Hash::md5, |md5| Hash::Shared(md5.open()))
            }
        }
    }

    fn md5() -> Self {
        Hash::Md5(Box::default())
    }

    fn update(&mut self, bytes: &Bytes) {
        match self {
            Hash::Crc(crc, _) => crc.update(bytes),
            Hash::Md5(md5) => md5.update(bytes),
            Hash::Shared(stream) => stream.push(bytes.clone()),
            Hash::Sha1(sha1) => sha1.update(bytes),
            Hash::Sha256(sha256) => sha256.update(bytes),
        }
    }

    /// None if a thread failed.
    fn finish(self) -> Option<Vec<u8>> {
        Some(match self {
            Hash::Crc(crc, width) => crc.finalize().to_be_bytes()[8 - width..].to_vec(),
            Hash::Md5(md5) => md5.finish().to_vec(),
            Hash::Shared(stream) => stream.finish()?.to_vec(),
            Hash::Sha1(sha1) => sha1.finalize().to_vec(),
            Hash::Sha256(sha256) => sha256.finalize().to_vec(),
        })
    }
}

/// The checksum of parts that follow each other.
struct PartsHash {
    kind: ChecksumKind,
    parts: Parts,
    /// Of the parts before this one. Shared ones may still be running.
    ended: Vec<Hash>,
    part: Hash,
    part_bytes: u64,
    md5: Option<Arc<MultiBufferMd5>>,
}

impl PartsHash {
    fn new(kind: ChecksumKind, parts: Parts, md5: Option<Arc<MultiBufferMd5>>) -> Self {
        let part = Hash::new(kind, md5.as_deref());
        PartsHash { kind, parts, ended: Vec::new(), part, part_bytes: 0, md5 }
    }

    /// Bytes of the current part; none when the list is at its end.
    fn size(&self) -> Option<u64> {
        match &self.parts {
            Parts::None => None,
            Parts::Listed(sizes) => sizes.get(self.ended.len()).copied(),
            Parts::Guessed(step) => Some(*step),
        }
    }

    fn update(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let left = self.size().map_or(u64::MAX, |size| size.saturating_sub(self.part_bytes));
            let now = bytes.split_to(usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len()));
            self.part.update(&now);
            self.part_bytes += now.len() as u64;
            if !bytes.is_empty() || now.len() as u64 == left {
                self.end_part();
            }
        }
    }

    fn end_part(&mut self) {
        let part = std::mem::replace(&mut self.part, Hash::new(self.kind, self.md5.as_deref()));
        self.ended.push(part);
        self.part_bytes = 0;
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        if self.part_bytes > 0 || self.ended.is_empty() {
            self.end_part();
        }
        let mut checksums = Vec::new();
        for part in self.ended {
            checksums.extend(part.finish()?);
        }
        let mut of_parts = Hash::new(self.kind, None);
        of_parts.update(&checksums.into());
        of_parts.finish()
    }
}

/// The hash that the provider's checksum requires.
enum Second {
    /// The record's own SHA-256 is used.
    Record,
    Whole(Hash),
    Parts(PartsHash),
}

impl Second {
    fn new(checksum: &ProviderChecksum, md5: Option<&Arc<MultiBufferMd5>>) -> Self {
        match (&checksum.parts, checksum.kind) {
            (Parts::None, ChecksumKind::Sha256) => Second::Record,
            (Parts::None, kind) => Second::Whole(Hash::new(kind, md5.map(Arc::as_ref))),
            (parts, kind) => Second::Parts(PartsHash::new(kind, parts.clone(), md5.cloned())),
        }
    }

    fn update(&mut self, bytes: &Bytes) {
        match self {
            Second::Record => {}
            Second::Whole(hash) => hash.update(bytes),
            Second::Parts(hash) => hash.update(bytes.clone()),
        }
    }

    fn finish(self, sha256: &Sha256Digest) -> Option<Vec<u8>> {
        match self {
            Second::Record => Some(sha256.0.to_vec()),
            Second::Whole(hash) => hash.finish(),
            Second::Parts(hash) => hash.finish(),
        }
    }
}

/// The result of a whole stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of all bytes.
    pub sha256: Sha256Digest,
    /// The outcome of the provider's own checksum.
    pub confirmation: Confirmation,
}

/// Observes one object's bytes in order.
pub struct StreamDigest {
    sha256: Sha256,
    size: u64,
    /// Each checksum of the provider, and its hash; or why there is none.
    seconds: Result<Vec<(ProviderChecksum, Second)>, String>,
}

impl StreamDigest {
    /// Starts; `stated` holds the provider's checksums to be confirmed. With `md5`, an MD5 is computed by threads
    /// that serve many streams: worthwhile from a few hundred kilobytes on.
    pub fn new(stated: StatedChecksums, md5: Option<&Arc<MultiBufferMd5>>) -> Self {
        let with_hash = |checksum: ProviderChecksum| {
            let second = Second::new(&checksum, md5);
            (checksum, second)
        };
        let seconds = stated.map(|checksums| checksums.into_iter().map(with_hash).collect());
        StreamDigest { sha256: Sha256::new(), size: 0, seconds }
    }

    /// Takes the next bytes, which may be held until they are hashed.
    pub fn update(&mut self, bytes: &Bytes) {
        self.seconds.iter_mut().flatten().for_each(|(_, second)| second.update(bytes));
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends and compares; none if a hashing thread failed.
    pub fn finish(self) -> Option<Observed> {
        let sha256 = Sha256Digest::from(self.sha256);
        let confirmation = match self.seconds {
            Err(reason) => Confirmation::Unavailable(reason),
            Ok(seconds) => {
                let confirmations = seconds.into_iter().map(|(checksum, second)| {
                    let agrees = second.finish(&sha256)? == checksum.value;
                    Some(confirm(&checksum, agrees))
                });
                together(confirmations.collect::<Option<Vec<_>>>()?)
            }
        };
        Some(Observed { size: self.size, sha256, confirmation })
    }
}

/// One contradiction outweighs any agreement.
fn together(confirmations: Vec<Confirmation>) -> Confirmation {
    let weight = |confirmation: &Confirmation| match confirmation {
        Confirmation::Contradicted(_) => 0,
        Confirmation::Confirmed(_) => 1,
        Confirmation::Unavailable(_) => 2,
    };
    let first = confirmations.into_iter().min_by_key(weight);
    first.unwrap_or_else(|| Confirmation::Unavailable("the provider gives none".to_owned()))
}

fn confirm(checksum: &ProviderChecksum, agrees: bool) -> Confirmation {
    match (agrees, &checksum.parts) {
        (true, _) => Confirmation::Confirmed(checksum.kind),
        (false, Parts::Guessed(_)) => {
            Confirmation::Unavailable("made of parts, and the provider does not list their sizes".to_owned())
        }
        (false, _) => Confirmation::Contradicted(checksum.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use proptest::prelude::*;

    fn observe(kind: ChecksumKind, value: &str) -> Confirmation {
        let value = BASE64_STANDARD.decode(value).expect("base64");
        let checksum = ProviderChecksum { kind, value, parts: Parts::None };
        let alone = confirmed_by(None, checksum.clone(), b"123456789", 2);
        assert_eq!(alone, confirmed_by(Some(&Arc::new(MultiBufferMd5::start())), checksum, b"123456789", 2));
        alone
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

    #[test]
    fn one_wrong_value_outweighs_the_right_ones() {
        let checksum = |kind, value: &str| {
            let value = BASE64_STANDARD.decode(value).expect("base64");
            ProviderChecksum { kind, value, parts: Parts::None }
        };
        let right = checksum(ChecksumKind::Crc32, "y/Q5Jg==");
        // The last one could not be decoded.
        for (kind, wrong) in
            [(ChecksumKind::Crc32, "AAAAAA=="), (ChecksumKind::Sha256, "AAAA"), (ChecksumKind::Sha1, "")]
        {
            let wrong = checksum(kind, wrong);
            for word in [vec![right.clone(), wrong.clone()], vec![wrong, right.clone()]] {
                let mut digest = StreamDigest::new(Ok(word), None);
                digest.update(&Bytes::from_static(b"123456789"));
                let observed = digest.finish().expect("no thread failed");
                assert_eq!(observed.confirmation, Confirmation::Contradicted(kind));
            }
        }
    }

    fn parts_checksum(kind: ChecksumKind, parts: &[&[u8]]) -> Vec<u8> {
        let of = |bytes: &[u8]| {
            let mut hash = Hash::new(kind, None);
            hash.update(&Bytes::copy_from_slice(bytes));
            hash.finish().expect("no thread")
        };
        of(&parts.iter().flat_map(|part| of(part)).collect::<Vec<_>>())
    }

    fn confirmed(checksum: ProviderChecksum, bytes: &[u8], piece: usize) -> Confirmation {
        confirmed_by(None, checksum, bytes, piece)
    }

    fn confirmed_by(
        md5: Option<&Arc<MultiBufferMd5>>,
        checksum: ProviderChecksum,
        bytes: &[u8],
        piece: usize,
    ) -> Confirmation {
        let mut digest = StreamDigest::new(Ok(vec![checksum]), md5);
        bytes.chunks(piece.max(1)).for_each(|piece| digest.update(&Bytes::copy_from_slice(piece)));
        digest.finish().expect("no thread failed").confirmation
    }

    const OF_PARTS: [ChecksumKind; 5] = [
        ChecksumKind::MultipartEtag,
        ChecksumKind::CompositeCrc32,
        ChecksumKind::CompositeCrc32c,
        ChecksumKind::CompositeSha1,
        ChecksumKind::CompositeSha256,
    ];

    /// The entity tag that `md5sum` of the parts' MD5s gives, by hand: parts "12345" and "6789".
    #[test]
    fn a_multipart_entity_tag_is_the_md5_of_the_parts_md5s() {
        let value =
            u128::from_str_radix("324730582f20c3f18cbb66d63a6137d2", 16).expect("hexadecimal").to_be_bytes().to_vec();
        let checksum = ProviderChecksum { kind: ChecksumKind::MultipartEtag, value, parts: Parts::Listed(vec![5, 4]) };
        assert_eq!(confirmed(checksum, b"123456789", 2), Confirmation::Confirmed(ChecksumKind::MultipartEtag));
    }

    proptest! {
        #[test]
        fn uneven_parts_are_confirmed_however_the_stream_is_cut(
            bytes in prop::collection::vec(any::<u8>(), 1..200), cuts in prop::collection::vec(1usize..50, 0..6), piece in 1usize..70,
        ) {
            let mut parts = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                if !part.is_empty() { parts.push(part); }
                rest = after;
            }
            if !rest.is_empty() { parts.push(rest); }
            let sizes: Vec<_> = parts.iter().map(|part| part.len() as u64).collect();
            let md5 = Arc::new(MultiBufferMd5::start());
            for kind in OF_PARTS {
                let value = parts_checksum(kind, &parts);
                let checksum = ProviderChecksum { kind, value, parts: Parts::Listed(sizes.clone()) };
                prop_assert_eq!(confirmed(checksum.clone(), &bytes, piece), Confirmation::Confirmed(kind));
                prop_assert_eq!(confirmed_by(Some(&md5), checksum.clone(), &bytes, piece), Confirmation::Confirmed(kind));
                let mut damaged = bytes.clone();
                damaged[bytes.len() / 2] ^= 1;
                prop_assert_eq!(confirmed(checksum, &damaged, piece), Confirmation::Contradicted(kind));
            }
        }
    }

    #[test]
    fn a_guess_can_prove_and_cannot_contradict() {
        let kind = ChecksumKind::MultipartEtag;
        let value = parts_checksum(kind, &[b"1234", b"5678", b"9"]);
        let guess = |step| ProviderChecksum { kind, value: value.clone(), parts: Parts::Guessed(step) };
        assert_eq!(confirmed(guess(4), b"123456789", 3), Confirmation::Confirmed(kind));
        assert!(matches!(confirmed(guess(5), b"123456789", 3), Confirmation::Unavailable(_)));
    }
}
