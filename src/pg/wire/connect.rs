//! Making a connection: the first host that accepts the login and offers a session of the requested kind.

use postgres::config::{Host, TargetSessionAttrs};

use super::{WaitLimits, Wire, auth::log_in, login::Login, message::WireError, socket::Socket};

/// Connects and authenticates, and sets nothing. Waits no longer than the login may take, until it has a time-out
/// of its own. Tries the hosts in their order, like the general client and libpq.
pub(in crate::pg) fn connect(login: &Login<'_>) -> Result<Wire, WireError> {
    let mut last = WireError::Lost("no host is named".to_owned());
    for (number, host) in login.config.get_hosts().iter().enumerate() {
        match connect_to(login, number, host).and_then(|wire| wanted(wire, login)) {
            Ok(wire) => return Ok(wire),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_to(login: &Login<'_>, number: usize, host: &Host) -> Result<Wire, WireError> {
    let socket = Socket::connect(login, number, host)?;
    let wait_limits = WaitLimits { stall: Some(login.timeout), interrupt: login.interrupt.clone() };
    let mut wire = Wire::new(socket, wait_limits);
    wire.greeting = log_in(&mut wire, login)?;
    Ok(wire)
}

/// The same connection, if its session is of the kind that `target_session_attrs` requires.
fn wanted(mut wire: Wire, login: &Login<'_>) -> Result<Wire, WireError> {
    let wanted = match login.config.get_target_session_attrs() {
        TargetSessionAttrs::ReadWrite => "off",
        TargetSessionAttrs::ReadOnly => "on",
        _ => return Ok(wire),
    };
    let rows = wire.ask("SHOW transaction_read_only")?;
    match rows.first().and_then(|row| row.first()?.as_deref()) {
        Some(found) if found == wanted => Ok(wire),
        _ => Err(WireError::Lost("no session of the kind that target_session_attrs asks for".to_owned())),
    }
}
