//! Logging in: the startup message and the ways to show a password (PostgreSQL documentation, "Start-up").

use std::{sync::Arc, time::Duration};

use postgres::{Config, config::ChannelBinding as Wanted};
use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
};
use rustls::ClientConfig;

use super::{
    Wire,
    message::{WireError, server_error},
};
use crate::pg::session::RAW;

/// How long a server may take to answer a login.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const PROTOCOL: [u8; 4] = [0, 3, 0, 0];

/// Who connects, and how.
pub(in crate::pg) struct Login<'a> {
    pub config: &'a Config,
    /// Verifies the server; none where the way is safe without.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Login<'_> {
    pub(super) fn connect_timeout(&self) -> Duration {
        self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT)
    }

    fn password(&self) -> Result<&[u8], WireError> {
        self.config.get_password().ok_or_else(|| WireError::Lost("the server wants a password".to_owned()))
    }

    fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }
}

/// Sends the startup message and answers until the server is ready. Says whether the database takes any bytes for text.
pub(super) fn log_in(wire: &mut Wire, login: &Login<'_>) -> Result<bool, WireError> {
    start_up(wire, login)?;
    let (mut scram, mut is_raw) = (None, false);
    let raw = format!("server_encoding\0{RAW}\0");
    loop {
        let header = wire.header()?;
        let body = wire.body(header)?;
        match header.tag {
            b'R' => answer(wire, login, &body, &mut scram)?,
            b'E' => return Err(server_error(&body)),
            b'S' => is_raw |= body == raw.as_bytes(),
            b'Z' => return Ok(is_raw),
            _ => {}
        }
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
    let broken = |error: std::io::Error| WireError::Lost(format!("authentication: {error}"));
    let (kind, rest) = body.split_first_chunk::<4>().ok_or_else(torn)?;
    match u32::from_be_bytes(*kind) {
        0 => Ok(()),
        3 => wire.send(b'p', &[login.password()?, &[0]]),
        5 => {
            let salt = rest.first_chunk::<4>().ok_or_else(torn)?;
            let hash = md5_hash(login.user().as_bytes(), login.password()?, *salt);
            wire.send(b'p', &[hash.as_bytes(), &[0]])
        }
        10 => {
            let offered = rest.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes());
            if !offered || login.config.get_channel_binding() == Wanted::Require {
                return Err(WireError::Lost("the server offers no authentication that is known here".to_owned()));
            }
            let started = scram.insert(ScramSha256::new(login.password()?, ChannelBinding::unsupported()));
            let first = started.message();
            let length = (first.len() as u32).to_be_bytes();
            wire.send(b'p', &[SCRAM_SHA_256.as_bytes(), &[0], &length, first])
        }
        11 => {
            let scram = scram.as_mut().ok_or_else(torn)?;
            scram.update(rest).map_err(broken)?;
            wire.send(b'p', &[scram.message()])
        }
        12 => scram.as_mut().ok_or_else(torn)?.finish(rest).map_err(broken),
        _ => Err(WireError::Lost("the server wants an authentication that is not known here".to_owned())),
    }
}
