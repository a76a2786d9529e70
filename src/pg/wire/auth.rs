//! Logging in: the startup message and password authentication (PostgreSQL documentation, "Start-up").

use postgres::config::ChannelBinding as Wanted;
use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::{
    Greeting, Wire,
    login::Login,
    message::{WireError, server_error},
};
use crate::pg::session::RAW;

const PROTOCOL: [u8; 4] = [0, 3, 0, 0];

/// Sends the startup message and answers until the server is ready.
pub(super) fn log_in(wire: &mut Wire, login: &Login<'_>) -> Result<Greeting, WireError> {
    start_up(wire, login)?;
    let mut scram = None;
    let mut greeting = Greeting::default();
    loop {
        let header = wire.header()?;
        let body = wire.body(header)?;
        match header.tag {
            b'R' => answer(wire, login, &body, &mut scram)?,
            b'E' => return Err(server_error(&body)),
            b'S' => note(&body, &mut greeting),
            b'K' => greeting.process = body.first_chunk::<4>().map(|process| u32::from_be_bytes(*process)),
            b'Z' => return Ok(greeting),
            _ => {}
        }
    }
}

/// One of the settings that the server reports.
fn note(body: &[u8], greeting: &mut Greeting) {
    let text = String::from_utf8_lossy(body);
    let mut parts = text.split('\0');
    match (parts.next(), parts.next()) {
        (Some("server_encoding"), Some(encoding)) => greeting.is_raw = encoding == RAW,
        (Some("server_version"), Some(version)) => {
            let major = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            greeting.major = major.parse().unwrap_or_default();
        }
        _ => {}
    }
}

fn start_up(wire: &mut Wire, login: &Login<'_>) -> Result<(), WireError> {
    let config = login.config;
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    let application = config.get_application_name().unwrap_or("walkaway");
    let mut body = PROTOCOL.to_vec();
    let parameters = [
        ("user", login.user()),
        ("database", database),
        ("application_name", application),
        ("client_encoding", "UTF8"),
        ("options", config.get_options().unwrap_or_default()),
    ];
    for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
        for text in [name, value] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    let length = (body.len() as u32 + 4).to_be_bytes();
    wire.write(&length, &[&body])
}

/// One step of the authentication.
fn answer(wire: &mut Wire, login: &Login<'_>, body: &[u8], scram: &mut Option<ScramSha256>) -> Result<(), WireError> {
    let torn = || WireError::Lost("the server's login makes no sense".to_owned());
    let broken = |error: std::io::Error| WireError::Login(format!("authentication: {error}"));
    let (kind, rest) = body.split_first_chunk::<4>().ok_or_else(torn)?;
    match u32::from_be_bytes(*kind) {
        0 if scram.is_none() && login.is_bound() => Err(WireError::Login(NOT_BOUND.to_owned())),
        0 => Ok(()),
        3 | 5 if login.is_bound() => Err(WireError::Login(NOT_BOUND.to_owned())),
        3 => wire.send(b'p', &[login.password()?, &[0]]),
        5 => {
            let salt = rest.first_chunk::<4>().ok_or_else(torn)?;
            let hash = md5_hash(login.user().as_bytes(), login.password()?, *salt);
            wire.send(b'p', &[hash.as_bytes(), &[0]])
        }
        10 => {
            let (mechanism, binding) = chosen(wire, login, rest)?;
            let started = scram.insert(ScramSha256::new(login.password()?, binding));
            let first = started.message();
            let length = (first.len() as u32).to_be_bytes();
            wire.send(b'p', &[mechanism.as_bytes(), &[0], &length, first])
        }
        11 => {
            let scram = scram.as_mut().ok_or_else(torn)?;
            scram.update(rest).map_err(broken)?;
            wire.send(b'p', &[scram.message()])
        }
        12 => scram.as_mut().ok_or_else(torn)?.finish(rest).map_err(broken),
        _ => Err(WireError::Login("the server wants an authentication that is not known here".to_owned())),
    }
}

const NOT_BOUND: &str = "channel_binding=require, and the server authenticates without channel binding";

/// The strongest mechanism that both sides know, with its binding to the TLS session (RFC 5929, tls-server-end-point).
fn chosen(wire: &Wire, login: &Login<'_>, offers: &[u8]) -> Result<(&'static str, ChannelBinding), WireError> {
    let offered = |mechanism: &str| offers.split(|byte| *byte == 0).any(|name| name == mechanism.as_bytes());
    let wanted = login.config.get_channel_binding();
    let end_point = match wanted {
        Wanted::Disable => None,
        _ => wire.socket.server_certificate().and_then(certificate_digest),
    };
    match end_point {
        Some(end_point) if offered(SCRAM_SHA_256_PLUS) => {
            Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(end_point)))
        }
        _ if wanted == Wanted::Require => Err(WireError::Login(NOT_BOUND.to_owned())),
        _ if !offered(SCRAM_SHA_256) => {
            Err(WireError::Login("the server offers no authentication that is known here".to_owned()))
        }
        Some(_) => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
        None => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
    }
}

/// The digest of a certificate by the hash of its own signature, SHA-256 where that is MD5 or SHA-1 (RFC 5929, section 4.1).
/// None where the signature has no such hash.
fn certificate_digest(certificate: &[u8]) -> Option<Vec<u8>> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
    let algorithm = signature_algorithm(certificate)?;
    let (last, family) = algorithm.split_last()?;
    match (family, last) {
        // md5, sha1, sha256
        (RSA, 4 | 5 | 11) | (ECDSA_SHA2, 2) => Some(Sha256::digest(certificate).to_vec()),
        (RSA, 12) | (ECDSA_SHA2, 3) => Some(Sha384::digest(certificate).to_vec()),
        (RSA, 13) | (ECDSA_SHA2, 4) => Some(Sha512::digest(certificate).to_vec()),
        _ if algorithm == ECDSA_SHA1 => Some(Sha256::digest(certificate).to_vec()),
        _ => None,
    }
}

/// The object identifier of a certificate's signature: SEQUENCE { tbsCertificate, SEQUENCE { OID, … }, … } (RFC 5280).
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (inside, _) = element(certificate, 0x30)?;
    let (_, after) = element(inside, 0x30)?;
    let (algorithm, _) = element(after, 0x30)?;
    Some(element(algorithm, 0x06)?.0)
}

/// The content of a DER element of this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ ..0x80 => (usize::from(short), rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let fits = (1..=4).contains(&bytes.len());
            (fits.then(|| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))?, rest)
        }
    };
    (*first == tag).then(|| rest.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_digested_by_the_hash_of_its_signature() {
        let certificate = |oid: &[u8]| {
            let wrapped = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
            let body = [wrapped(0x30, &[1, 2]), wrapped(0x30, &wrapped(0x06, oid)), vec![3, 1, 0]].concat();
            [&[0x30, 0x81, body.len() as u8][..], &body].concat()
        };
        let rsa = |last: u8| certificate(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last]);
        for (last, bytes) in [(4, 32), (5, 32), (11, 32), (12, 48), (13, 64)] {
            assert_eq!(certificate_digest(&rsa(last)).map(|digest| digest.len()), Some(bytes), "{last}");
        }
        let ecdsa = certificate(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03]);
        assert_eq!(certificate_digest(&ecdsa), Some(Sha384::digest(&ecdsa).to_vec()));
        // Ed25519 has no hash of its own; a truncated one is not a certificate.
        assert_eq!(certificate_digest(&certificate(&[0x2b, 0x65, 0x70])), None);
        assert!((0..ecdsa.len()).all(|end| certificate_digest(&ecdsa[..end]).is_none()));
    }
}
