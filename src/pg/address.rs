//! Where a PostgreSQL server is and how to reach it: for the client in this process, and for pg_dump and its kin.
//!
//! The password goes to programs by their environment, never by an argument. TLS is verified whenever it is used:
//! `sslmode=require` means `verify-full` here. Without an `sslmode`, remote servers get TLS; sockets and loopback don't.

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

use postgres::{
    CancelToken, Client, Config,
    config::{Host, SslMode},
};

use super::{error::PgError, session, tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 6;
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Debian's and Ubuntu's bundle, for libpq before version 16, which can't use the system's roots by itself.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A server, a database on it, and a login.
#[derive(Clone)]
pub struct Address {
    config: Config,
    root_cert: Option<PathBuf>,
    encrypted: bool,
}

impl Address {
    /// Understands a libpq URL (PostgreSQL documentation, "Connection URIs") with the parameters of tokio-postgres and
    /// additionally `sslrootcert` and libpq's `sslmode` values.
    pub fn parse(url: &str) -> Result<Self, PgError> {
        let (url, options) = split_tls_options(url);
        let config: Config = url.parse().map_err(|error| url_error(&error))?;
        if config.get_hosts().is_empty() || config.get_user().is_none() {
            return Err(PgError::Url { reason: "host and user are needed".to_owned() });
        }
        let local = config.get_hosts().iter().all(is_local);
        let encrypted = match options.mode.as_deref() {
            None => !local,
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(_) => {
                return Err(PgError::Url { reason: "sslmode is disable, require or verify-full here".to_owned() });
            }
        };
        Ok(Address { config, root_cert: options.root_cert, encrypted }.prepared())
    }

    /// A server on a local socket.
    pub fn socket(directory: &std::path::Path, port: u16, user: &str, database: &str) -> Self {
        let mut config = Config::new();
        config.host_path(directory).port(port).user(user).dbname(database);
        Address { config, root_cert: None, encrypted: false }.prepared()
    }

    fn prepared(mut self) -> Self {
        let mode = if self.encrypted { SslMode::Require } else { SslMode::Disable };
        self.config.ssl_mode(mode).application_name("walkaway").connect_timeout(CONNECT_TIMEOUT);
        self.config.keepalives(true).keepalives_idle(KEEPALIVE_IDLE);
        self.config.keepalives_interval(KEEPALIVE_INTERVAL).keepalives_retries(KEEPALIVE_PROBES);
        self
    }

    /// Another database of the same server.
    pub fn database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }

    /// The same server as another user.
    pub fn user(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.user(name);
        other
    }

    /// The database's name.
    pub fn database_name(&self) -> &str {
        self.config.get_dbname().or(self.config.get_user()).unwrap_or_default()
    }

    /// The login's name.
    pub fn user_name(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// Connects and pins the session's settings.
    pub fn connect(&self) -> Result<Client, PgError> {
        let failed = |reason| PgError::Connect { server: self.to_string(), reason };
        let connected = self.connect_in_time().map_err(failed)?;
        let mut client = connected.map_err(|error| failed(super::error::reason(&error)))?;
        let pinned = client.batch_execute(&session::statements());
        pinned.map_err(|error| PgError::statement("pinning the session's settings", &error))?;
        Ok(client)
    }

    /// A server may take the connection and then say nothing; the client's own time-out covers only the taking. The
    /// thread of such an attempt is left to end with the process.
    fn connect_in_time(&self) -> Result<Result<Client, postgres::Error>, String> {
        let tls = self.encrypted.then(|| tls::verified(self.root_cert.as_deref())).transpose()?;
        let (config, (sender, receiver)) = (self.config.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            let connected = match tls {
                Some(tls) => config.connect(tls),
                None => config.connect(postgres::NoTls),
            };
            let _ = sender.send(connected);
        });
        let limit = CONNECT_TIMEOUT + ANSWER_TIMEOUT;
        receiver.recv_timeout(limit).map_err(|_| format!("no answer within {} s", limit.as_secs()))
    }

    /// Asks the server to cancel what a connection is doing.
    pub fn cancel(&self, token: &CancelToken) -> Result<(), PgError> {
        let failed = |reason| PgError::Connect { server: self.to_string(), reason };
        let cancelled = if self.encrypted {
            token.cancel_query(tls::verified(self.root_cert.as_deref()).map_err(failed)?)
        } else {
            token.cancel_query(postgres::NoTls)
        };
        cancelled.map_err(|error| failed(super::error::reason(&error)))
    }

    /// The environment that leads libpq programs to the same place (PostgreSQL documentation, "Environment Variables").
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("PGHOST", self.hosts().join(",")),
            ("PGPORT", self.port().to_string()),
            ("PGUSER", self.user_name().to_owned()),
            ("PGDATABASE", self.database_name().to_owned()),
            ("PGSSLMODE", if self.encrypted { "verify-full" } else { "disable" }.to_owned()),
            ("PGAPPNAME", "walkaway".to_owned()),
            ("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT.as_secs().to_string()),
        ];
        if let Some(password) = self.config.get_password() {
            variables.push(("PGPASSWORD", String::from_utf8_lossy(password).into_owned()));
        }
        if self.encrypted {
            let roots =
                self.root_cert.as_ref().map_or_else(|| SYSTEM_ROOTS.to_owned(), |path| path.display().to_string());
            variables.push(("PGSSLROOTCERT", roots));
        }
        variables
    }

    /// Host, port and user as arguments of psql; never the password.
    pub fn psql_arguments(&self) -> Vec<String> {
        let port = self.port().to_string();
        ["-h", &self.hosts().join(","), "-p", &port, "-U", self.user_name()].map(str::to_owned).to_vec()
    }

    fn hosts(&self) -> Vec<String> {
        let name = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        self.config.get_hosts().iter().map(name).collect()
    }

    fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(5432)
    }
}

/// `host:port/database`, for messages; no login.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.hosts().join(","), self.port(), self.database_name())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
    }
}

#[derive(Default)]
struct TlsOptions {
    mode: Option<String>,
    root_cert: Option<PathBuf>,
}

/// Takes `sslmode` and `sslrootcert` out of the URL's query: tokio-postgres knows only some of their values.
fn split_tls_options(url: &str) -> (String, TlsOptions) {
    let mut options = TlsOptions::default();
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), options) };
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", mode)) => options.mode = Some(mode.to_owned()),
            Some(("sslrootcert", path)) => options.root_cert = Some(PathBuf::from(path)),
            _ => kept.push(pair),
        }
    }
    let url = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    (url, options)
}

/// tokio-postgres names the offending option; it doesn't repeat values, and this makes sure of the password.
fn url_error(error: &postgres::Error) -> PgError {
    PgError::Url { reason: super::error::reason(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, PgError> {
        Address::parse(url)
    }

    fn variable(address: &Address, name: &str) -> Option<String> {
        address.environment().into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    #[test]
    fn a_remote_server_gets_verified_tls_and_a_local_one_none() {
        let remote = parse("postgres://u:p@db.example:5433/shop?sslrootcert=/ca.pem").expect("valid");
        assert_eq!(variable(&remote, "PGSSLMODE").as_deref(), Some("verify-full"));
        assert_eq!(variable(&remote, "PGSSLROOTCERT").as_deref(), Some("/ca.pem"));
        let local = parse("postgres://u:p@127.0.0.1:5433/shop").expect("valid");
        assert_eq!(variable(&local, "PGSSLMODE").as_deref(), Some("disable"));
    }

    #[test]
    fn the_password_shows_neither_in_debug_nor_in_messages() {
        let address = parse("postgres://u:hunter2@127.0.0.1:5433/shop").expect("valid");
        assert!(!format!("{address:?} {address}").contains("hunter2"));
        let error = parse("postgres://u:hunter2@127.0.0.1:port/shop").expect_err("invalid");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
