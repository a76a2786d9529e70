//! The transport to a server: TCP, TCP with TLS, or a local socket, each with a time-out for the caller's checks.

use std::{
    io::{self, IoSlice, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use postgres::config::Host;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};

use super::{
    login::{ANSWER_TIMEOUT, Login},
    message::WireError,
};
use crate::pg::error::is_tls;

/// How often a waiting call checks its state.
const TICK: Duration = Duration::from_millis(250);
/// Below this, copying is cheaper than a vectored write.
pub(super) const VECTORED_BYTES_MIN: usize = 16 << 10;
/// Answered by one byte (PostgreSQL documentation, "SSL Session Encryption").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// An open transport to a server.
pub(super) enum Socket {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Local(UnixStream),
}

pub(super) fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

impl Socket {
    /// Connects to the host with this index.
    pub(super) fn connect(login: &Login<'_>, number: usize, host: &Host) -> Result<Self, WireError> {
        let lost = |error: io::Error| WireError::Lost(error.to_string());
        let ports = login.config.get_ports();
        let port = ports.get(number).or(ports.first()).copied().unwrap_or(5432);
        let name = match host {
            Host::Unix(directory) => return local(directory, port).map(Socket::Local).map_err(lost),
            Host::Tcp(name) => name,
        };
        let addresses: Vec<SocketAddr> = match login.config.get_hostaddrs().get(number) {
            Some(address) => vec![(*address, port).into()],
            None => (name.as_str(), port).to_socket_addrs().map_err(lost)?.collect(),
        };
        let stream = tcp(&addresses, login).map_err(lost)?;
        match &login.tls {
            None => Ok(Socket::Tcp(stream)),
            Some(tls) => secured(stream, name, tls),
        }
    }

    pub(super) fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(into),
            Socket::Tls(stream) => stream.read(into),
            Socket::Local(stream) => stream.read(into),
        }
    }

    pub(super) fn write_some(&mut self, one: &[u8], other: &[u8]) -> io::Result<usize> {
        let slices = [IoSlice::new(one), IoSlice::new(other)];
        match self {
            Socket::Tcp(stream) => stream.write_vectored(&slices),
            Socket::Local(stream) => stream.write_vectored(&slices),
            Socket::Tls(stream) => {
                let written = stream.write_vectored(&slices)?;
                stream.flush()?;
                Ok(written)
            }
        }
    }

    /// The certificate that the server presented.
    pub(super) fn server_certificate(&self) -> Option<&[u8]> {
        match self {
            Socket::Tls(stream) => stream.conn.peer_certificates()?.first().map(AsRef::as_ref),
            Socket::Tcp(_) | Socket::Local(_) => None,
        }
    }

    /// Reads without waiting.
    pub(super) fn read_if_ready(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.set_nonblocking(true)?;
        let read = self.read_some(into);
        self.set_nonblocking(false)?;
        read
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.set_nonblocking(nonblocking),
            Socket::Tls(stream) => stream.sock.set_nonblocking(nonblocking),
            Socket::Local(stream) => stream.set_nonblocking(nonblocking),
        }
    }
}

fn local(directory: &Path, port: u16) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(directory.join(format!(".s.PGSQL.{port}")))?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(TICK))?;
    Ok(stream)
}

fn tcp(addresses: &[SocketAddr], login: &Login<'_>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match TcpStream::connect_timeout(address, login.connect_timeout()) {
            Ok(stream) => return prepared(stream, login),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn prepared(stream: TcpStream, login: &Login<'_>) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(TICK))?;
    let mut keepalive = TcpKeepalive::new().with_time(login.config.get_keepalives_idle());
    if let Some(interval) = login.config.get_keepalives_interval() {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(retries) = login.config.get_keepalives_retries() {
        keepalive = keepalive.with_retries(retries);
    }
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(login.config.get_tcp_user_timeout().copied())?;
    Ok(stream)
}

fn secured(mut stream: TcpStream, host: &str, tls: &Arc<ClientConfig>) -> Result<Socket, WireError> {
    let lost = |error: io::Error| WireError::Lost(error.to_string());
    let mut answer = [0];
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(lost)?;
    stream.write_all(&SSL_REQUEST).and_then(|()| stream.read_exact(&mut answer)).map_err(lost)?;
    if answer != *b"S" {
        return Err(WireError::Tls("server does not support TLS".to_owned()));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| WireError::Tls(format!("TLS: {error}")))?;
    let client = ClientConnection::new(Arc::clone(tls), name);
    let mut client = client.map_err(|error| WireError::Tls(format!("TLS: {error}")))?;
    let refused = |error: io::Error| if is_tls(&error) { WireError::Tls(error.to_string()) } else { lost(error) };
    client.complete_io(&mut stream).map_err(refused)?;
    stream.set_read_timeout(Some(TICK)).map_err(lost)?;
    Ok(Socket::Tls(Box::new(StreamOwned::new(client, stream))))
}
