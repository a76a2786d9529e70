//! Reads a time-stamp response (RFC 3161, section 2.4.2): CMS SignedData (RFC 5652) around a TSTInfo.
//!
//! [`Stamp::read`] reads its statement about a message; [`Authorities::vouch`] checks its signer. Leaves out revocation
//! lists: a stamp is checked offline, against the authority's certificate at the stamped time.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use rustls::{
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, TrustAnchor, UnixTime, pem::PemObject as _},
};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert};

use super::certificate::Certificate;
use super::der::{GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, SET, context};

pub(super) const SHA256_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];
const SHA1_OID: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const SIGNING_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0c];
const SIGNING_CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f];

/// An authority's statement: this message existed at this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The time, by the authority's clock.
    pub at: Timestamp,
    token: Token,
    /// The nonce of the request, if it was repeated.
    pub(super) nonce: Option<Vec<u8>>,
}

/// The parts of the signed data.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    content: Vec<u8>,
    certificates: Vec<Vec<u8>>,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    digest: Vec<u8>,
    /// The signed attributes, tagged as they are signed: a SET.
    attributes: Vec<u8>,
    signature: Vec<u8>,
}

/// Why a time-stamp is unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The authority refused.
    #[error("the authority did not grant it (status {0})")]
    Refused(u8),
    /// Not as in RFC 3161.
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    /// About something else.
    #[error("it is about something else")]
    OtherMessage,
    /// The digest algorithm has collisions.
    #[error("it is over a {0} digest, which is too weak to count")]
    Weak(&'static str),
    /// The signature or the certificate is invalid.
    #[error("no trusted authority signed it: {0}")]
    Untrusted(String),
}

impl Stamp {
    /// Reads a response about `message`.
    pub fn read(response: &[u8], message: &[u8]) -> Result<Self, TokenError> {
        let malformed = TokenError::Malformed;
        let mut response = Reader::new(response).enter(SEQUENCE).ok_or(malformed("no response"))?;
        let status =
            response.enter(SEQUENCE).and_then(|mut info| info.expect(INTEGER)).ok_or(malformed("no status"))?;
        match status.content {
            [0 | 1] => {}
            [status] => return Err(TokenError::Refused(*status)),
            _ => return Err(malformed("no status")),
        }
        let token = token(response).ok_or(malformed("no time-stamp token"))?;
        let content = token.content.clone();
        let info = info(&content).ok_or(malformed("no TSTInfo"))?;
        if info.algorithm == SHA1_OID {
            return Err(TokenError::Weak("SHA-1"));
        }
        if hash(info.algorithm, message).is_none_or(|digest| info.imprint != digest) {
            return Err(TokenError::OtherMessage);
        }
        let at = time(info.time).ok_or(malformed("no time"))?;
        Ok(Stamp { at, nonce: info.nonce.map(<[u8]>::to_vec), token })
    }
}

struct Info<'a> {
    algorithm: &'a [u8],
    imprint: &'a [u8],
    time: &'a [u8],
    nonce: Option<&'a [u8]>,
}

fn info(content: &[u8]) -> Option<Info<'_>> {
    let mut info = Reader::new(content).enter(SEQUENCE)?;
    info.expect(INTEGER)?;
    info.expect(OID)?;
    let mut imprint = info.enter(SEQUENCE)?;
    let algorithm = imprint.enter(SEQUENCE)?.expect(OID)?.content;
    let imprint = imprint.expect(OCTET_STRING)?.content;
    info.expect(INTEGER)?;
    let time = info.expect(GENERALIZED_TIME)?.content;
    let mut nonce = None;
    while let Some(element) = info.next() {
        if element.tag == INTEGER {
            nonce = Some(element.content);
        }
    }
    Some(Info { algorithm, imprint, time, nonce })
}

fn token(mut response: Reader<'_>) -> Option<Token> {
    let mut content_info = response.enter(SEQUENCE)?;
    content_info.expect(OID).filter(|oid| oid.content == SIGNED_DATA)?;
    let mut data = content_info.enter(context(0))?.enter(SEQUENCE)?;
    data.expect(INTEGER)?;
    data.expect(SET)?;
    let mut encapsulated = data.enter(SEQUENCE)?;
    encapsulated.expect(OID).filter(|oid| oid.content == TST_INFO)?;
    let content = encapsulated.enter(context(0))?.expect(OCTET_STRING)?.content.to_vec();
    let mut certificates = Vec::new();
    if let Some(set) = data.optional(context(0)) {
        let mut set = Reader::new(set.content);
        while let Some(certificate) = set.next() {
            certificates.push(certificate.whole.to_vec());
        }
    }
    data.optional(context(1));
    let mut signer = data.enter(SET)?.enter(SEQUENCE)?;
    signer.expect(INTEGER)?;
    let mut sid = signer.enter(SEQUENCE)?;
    let issuer = sid.expect(SEQUENCE)?.whole.to_vec();
    let serial = sid.expect(INTEGER)?.content.to_vec();
    let digest = signer.enter(SEQUENCE)?.expect(OID)?.content.to_vec();
    let attributes = signer.expect(context(0))?.whole;
    let attributes = [&[SET], attributes.get(1..)?].concat();
    signer.expect(SEQUENCE)?;
    let signature = signer.expect(OCTET_STRING)?.content.to_vec();
    Some(Token { content, certificates, issuer, serial, digest, attributes, signature })
}

/// `YYYYMMDDhhmmss[.f…]Z`
fn time(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let at = DateTime::strptime("%Y%m%d%H%M%S", whole).ok()?;
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let at = TimeZone::UTC.to_timestamp(at).ok()?;
    Timestamp::from_millisecond(at.as_millisecond() + millis).ok()
}

impl Token {
    /// The value of a signed attribute.
    fn attribute(&self, kind: &[u8]) -> Option<Reader<'_>> {
        let mut attributes = Reader::new(&self.attributes).enter(SET)?;
        while let Some(attribute) = attributes.enter(SEQUENCE) {
            let mut attribute = attribute;
            if attribute.expect(OID)?.content == kind {
                return attribute.enter(SET);
            }
        }
        None
    }

    /// Whether the signed attributes speak of this content and this certificate.
    fn is_bound_to(&self, certificate: &[u8]) -> Option<()> {
        let expected = hash(&self.digest, &self.content)?;
        let found = self.attribute(MESSAGE_DIGEST)?.expect(OCTET_STRING)?.content;
        let kind = self.attribute(CONTENT_TYPE)?.expect(OID)?.content;
        (found == expected && kind == TST_INFO).then_some(())?;
        let named = match self.attribute(SIGNING_CERTIFICATE_V2) {
            Some(mut value) => {
                let mut id = value.enter(SEQUENCE)?.enter(SEQUENCE)?.enter(SEQUENCE)?;
                let algorithm = id.optional(SEQUENCE).map(|algorithm| Reader::new(algorithm.content).expect(OID));
                let algorithm = algorithm.map_or(Some(SHA256_OID), |oid| oid.map(|oid| oid.content))?;
                hash(algorithm, certificate)? == id.expect(OCTET_STRING)?.content
            }
            None => {
                let mut id = self.attribute(SIGNING_CERTIFICATE)?.enter(SEQUENCE)?.enter(SEQUENCE)?.enter(SEQUENCE)?;
                hash(SHA1_OID, certificate)? == id.expect(OCTET_STRING)?.content
            }
        };
        named.then_some(())
    }

    /// The certificate that the signer names.
    fn signer(&self) -> Option<&[u8]> {
        let named = |certificate: &&Vec<u8>| {
            let read = Certificate::read(certificate);
            read.is_some_and(|read| (read.issuer, read.serial) == (&self.issuer[..], &self.serial[..]))
        };
        self.certificates.iter().find(named).map(Vec::as_slice)
    }
}

fn hash(algorithm: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    Some(match algorithm {
        SHA256_OID => Sha256::digest(bytes).to_vec(),
        SHA384_OID => Sha384::digest(bytes).to_vec(),
        SHA512_OID => Sha512::digest(bytes).to_vec(),
        SHA1_OID => Sha1::digest(bytes).to_vec(),
        _ => return None,
    })
}

/// Extended key usages of authorities above the signer are not checked, as in OpenSSL; the signer's is checked separately.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, mut purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        purposes.try_for_each(|purpose| purpose.map(|_| ()))
    }
}

/// Certificates of time-stamp authorities that the reader trusts, from outside the bundle: chains end at any that names
/// itself as their issuer; others may be in between.
#[derive(Clone, Debug)]
pub struct Authorities {
    roots: Vec<TrustAnchor<'static>>,
    others: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Reads certificates in PEM.
    pub fn parse(pem: &[u8]) -> Result<Self, String> {
        let mut roots = Vec::new();
        let mut others = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            if Certificate::read(&certificate).is_some_and(|read| read.is_root() && read.may_certify()) {
                roots.push(anchor_from_trusted_cert(&certificate).map_err(|error| error.to_string())?.to_owned());
            } else {
                others.push(certificate);
            }
        }
        match (roots.is_empty(), others.is_empty()) {
            (true, true) => Err("holds no certificate".to_owned()),
            (true, false) => Err("holds no root certificate, at which openssl would end a chain".to_owned()),
            (false, _) => Ok(Authorities { roots, others }),
        }
    }

    /// Checks that the stamp chains to one of them.
    pub fn vouch(&self, stamp: &Stamp) -> Result<(), TokenError> {
        let untrusted = |reason: String| TokenError::Untrusted(reason);
        let token = &stamp.token;
        let certificate = token.signer().ok_or(TokenError::Malformed("the signer's certificate is not in it"))?;
        token
            .is_bound_to(certificate)
            .ok_or_else(|| untrusted("its signed attributes are about something else".into()))?;
        let der = CertificateDer::from(certificate);
        let signer = EndEntityCert::try_from(&der).map_err(|error| untrusted(error.to_string()))?;
        if !Certificate::read(certificate).is_some_and(|certificate| certificate.may_stamp()) {
            return Err(untrusted(
                "its signer's certificate is not for time-stamps alone (extended key usage)".to_owned(),
            ));
        }
        let algorithms = default_provider().signature_verification_algorithms.all;
        let signed = algorithms
            .iter()
            .any(|algorithm| signer.verify_signature(*algorithm, &token.attributes, &token.signature).is_ok());
        if !signed {
            return Err(untrusted("its signature does not hold".to_owned()));
        }
        let seconds = u64::try_from(stamp.at.as_second()).unwrap_or_default();
        let others = token.certificates.iter().map(|der| CertificateDer::from(der.as_slice()));
        let certifies = |der: &CertificateDer<'_>| Certificate::read(der).is_some_and(|read| read.may_certify());
        let others: Vec<_> = others.chain(self.others.iter().cloned()).filter(certifies).collect();
        signer
            .verify_for_usage(
                algorithms,
                &self.roots,
                &others,
                UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
                AnyUsage,
                None,
                None,
            )
            .map(drop)
            .map_err(|error| untrusted(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_or_not() {
        let read = |text: &str| time(text.as_bytes()).map(|at| at.to_string());
        assert_eq!(read("20261124183000Z").as_deref(), Some("2026-11-24T18:30:00Z"));
        assert_eq!(read("20261124183000.5Z").as_deref(), Some("2026-11-24T18:30:00.5Z"));
        assert_eq!(read("20261124183000"), None);
        assert_eq!(read("2026Z"), None);
    }

    #[test]
    fn a_refusal_and_rubbish_are_told_apart() {
        use super::super::der::write;
        let answer = |status| write(SEQUENCE, &write(SEQUENCE, &write(INTEGER, &[status])));
        assert_eq!(Stamp::read(&answer(2), b"x"), Err(TokenError::Refused(2)));
        assert_eq!(Stamp::read(&answer(0), b"x"), Err(TokenError::Malformed("no time-stamp token")));
        assert_eq!(Stamp::read(b"", b"x"), Err(TokenError::Malformed("no response")));
    }
}
