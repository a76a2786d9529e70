//! The parameters of a connection: address, login, and time-outs.

use std::{sync::Arc, time::Duration};

use postgres::{Config, config::ChannelBinding};
use rustls::ClientConfig;

use super::message::WireError;
use crate::interrupt::Interrupt;

/// How long a server may take to answer a login.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The login, and how it connects.
pub(in crate::pg) struct Login<'a> {
    pub config: &'a Config,
    /// Verifies the server; none where the connection is safe without.
    pub tls: Option<Arc<ClientConfig>>,
    /// Ends the wait at once.
    pub interrupt: &'a Interrupt,
    /// How long the server may take to answer.
    pub timeout: Duration,
}

impl Login<'_> {
    pub(super) fn connect_timeout(&self) -> Duration {
        self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT)
    }

    pub(super) fn password(&self) -> Result<&[u8], WireError> {
        self.config.get_password().ok_or_else(|| WireError::Login("the server wants a password".to_owned()))
    }

    /// Whether only an authentication that is bound to the TLS session will do.
    pub(super) fn is_bound(&self) -> bool {
        self.config.get_channel_binding() == ChannelBinding::Require
    }

    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }
}
