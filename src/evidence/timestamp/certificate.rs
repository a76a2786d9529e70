//! What OpenSSL checks in certificates around a time-stamp (purpose `timestampsign`) but webpki does not: the signer's
//! extended key usage, and which certificates count as roots.

use super::der::{BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, context};

/// id-kp-timeStamping, without tag and length.
const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
/// Other purposes that OpenSSL knows; one of them beside time-stamping disqualifies the signer.
const OTHER_PURPOSES: [&[u8]; 9] = [
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09],
    &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x0a],
    &[0x55, 0x1d, 0x25, 0x00],
    &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0a, 0x03, 0x03],
    &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x04, 0x01],
];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// digitalSignature and nonRepudiation (RFC 5280, section 4.2.1.3).
const SIGNING: u8 = 0xc0;
/// keyCertSign.
const CERTIFYING: u8 = 0x04;

/// The parts of a certificate that matter here.
pub(super) struct Certificate<'a> {
    pub serial: &'a [u8],
    pub issuer: &'a [u8],
    subject: &'a [u8],
    /// Object identifier, whether it is critical, value.
    extensions: Vec<(&'a [u8], bool, &'a [u8])>,
}

impl<'a> Certificate<'a> {
    /// Reads one (RFC 5280, section 4.1).
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut body = Reader::new(der).enter(SEQUENCE)?.enter(SEQUENCE)?;
        body.optional(context(0));
        let serial = body.expect(INTEGER)?.content;
        body.expect(SEQUENCE)?;
        let issuer = body.expect(SEQUENCE)?.whole;
        body.expect(SEQUENCE)?;
        let subject = body.expect(SEQUENCE)?.whole;
        body.expect(SEQUENCE)?;
        let mut extensions = Vec::new();
        while let Some(element) = body.next() {
            if element.tag != context(3) {
                continue;
            }
            let mut list = Reader::new(element.content).enter(SEQUENCE)?;
            while let Some(mut extension) = list.enter(SEQUENCE) {
                let id = extension.expect(OID)?.content;
                let critical = extension.optional(BOOLEAN).is_some_and(|flag| flag.content != [0]);
                extensions.push((id, critical, extension.expect(OCTET_STRING)?.content));
            }
        }
        Some(Certificate { serial, issuer, subject, extensions })
    }

    /// Whether it names itself as its issuer, as the certificates do at which OpenSSL ends a chain.
    pub(super) fn is_root(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether its key may sign certificates, as far as its key usage states it.
    pub(super) fn may_certify(&self) -> bool {
        self.key_usage().is_none_or(|usage| usage & CERTIFYING != 0)
    }

    /// Whether its key may sign time-stamps: that and nothing else, said critically (RFC 3161, section 2.3).
    pub(super) fn may_stamp(&self) -> bool {
        self.purposes().is_some_and(|(critical, purposes)| {
            critical && purposes.contains(&TIME_STAMPING) && !purposes.iter().any(|one| OTHER_PURPOSES.contains(one))
        }) && self.key_usage().is_none_or(|usage| usage & SIGNING != 0 && usage & !SIGNING == 0)
    }

    fn extension(&self, id: &[u8]) -> Option<(bool, &'a [u8])> {
        self.extensions.iter().find(|(found, ..)| *found == id).map(|(_, critical, value)| (*critical, *value))
    }

    fn purposes(&self) -> Option<(bool, Vec<&'a [u8]>)> {
        let (critical, value) = self.extension(EXTENDED_KEY_USAGE)?;
        let mut list = Reader::new(value).enter(SEQUENCE)?;
        let mut purposes = Vec::new();
        while let Some(purpose) = list.expect(OID) {
            purposes.push(purpose.content);
        }
        Some((critical, purposes))
    }

    /// The first eight bits of the key usage; a usage that can't be read allows nothing.
    fn key_usage(&self) -> Option<u8> {
        let (_, value) = self.extension(KEY_USAGE)?;
        let bits = Reader::new(value).expect(BIT_STRING).map(|bits| bits.content);
        Some(match bits {
            // decipherOnly, the ninth, disqualifies it like any other.
            Some([_, first]) => *first,
            _ => 0,
        })
    }
}
