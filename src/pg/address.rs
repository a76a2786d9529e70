//! The address of a PostgreSQL server: for the client in this process, and for pg_dump and similar programs.
//!
//! The password is passed to programs in their environment, never as an argument. TLS is verified whenever it is used:
//! `sslmode=require` means `verify-full` here. Without an `sslmode`, remote servers get TLS; sockets and loopback don't.
//! Through a tunnel the name that the certificate must have is still the server's.

use std::{
    fmt,
    net::{IpAddr, ToSocketAddrs as _},
    path::PathBuf,
    sync::{Arc, OnceLock, mpsc::RecvTimeoutError},
    time::Duration,
};

use postgres::{
    Client, Config, SimpleQueryMessage,
    config::{ChannelBinding, Host, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs},
};

use super::{
    error::{PgError, Unreached},
    liveness::{Answer, Liveness, Waiting},
    pooler,
    processes::at_work,
    session,
    tls::{self, Roots},
    url,
    watched::{PlainConnector, Watching},
    wire::{Wire, connect::connect, login::Login},
};
use crate::{clock::Stopwatch, interrupt::Interrupt};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 6;
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// What was sent is acknowledged within that time, which is as long as keepalives wait, or the connection is lost.
pub(super) const UNACKNOWLEDGED: Duration = Duration::from_secs(120);
/// How often a wait for a connection checks for cancellation.
const TICK: Duration = Duration::from_millis(200);
/// Debian's and Ubuntu's bundle, for libpq before version 16, which can't use the system's roots by itself.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A server, a database on it, and a login.
#[derive(Clone)]
pub struct Address {
    config: Config,
    roots: Roots,
    encrypted: bool,
    via: Option<Via>,
    passwords: Option<Arc<dyn Passwords>>,
    /// Set once it is known that a connection has a session of the server for itself: whether it is the server that answers,
    /// and no pooler.
    is_unshared: Arc<OnceLock<bool>>,
    liveness: Liveness,
}

/// Where to connect instead of the server itself, such as the near end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// A host name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Creates a password for each connection, such as a short-lived token.
pub trait Passwords: Send + Sync {
    /// The next password. May block; is never called on an asynchronous task's thread.
    fn next(&self) -> Result<String, PgError>;
}

/// How a login authenticates.
pub enum Proof {
    /// By one password.
    Password(String),
    /// By a password for each connection.
    Made(Arc<dyn Passwords>),
}

/// A server that is always reached by TLS.
pub struct Remote {
    /// The name that the server's certificate must have.
    pub host: String,
    /// The server's own port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The login.
    pub user: String,
    /// How it authenticates.
    pub proof: Proof,
    /// The roots of trust for the server.
    pub roots: Roots,
    /// Where to connect instead.
    pub via: Option<Via>,
}

impl Address {
    /// Parses a libpq URL (PostgreSQL documentation, "Connection URIs") with the parameters of tokio-postgres and
    /// additionally `sslrootcert` and libpq's `sslmode` values.
    pub fn parse(url: &str) -> Result<Self, PgError> {
        url::check(url.trim())?;
        let (url, options) = split_tls_options(url.trim());
        let config: Config = url.parse().map_err(|_: postgres::Error| url::not_understood())?;
        url::check_hosts(config.get_hosts())?;
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
        let roots = options.root_cert.map_or(Roots::System, Roots::File);
        let (is_unshared, liveness) = Default::default();
        Ok(Address { config, roots, encrypted, via: None, passwords: None, is_unshared, liveness }.prepared())
    }

    /// A server that is always reached by TLS, also where it is reached through a tunnel on this machine.
    pub fn remote(remote: Remote) -> Self {
        let mut config = Config::new();
        config.host(&remote.host).port(remote.port).user(&remote.user).dbname(&remote.database);
        let passwords = match remote.proof {
            Proof::Password(password) => {
                config.password(password);
                None
            }
            Proof::Made(passwords) => Some(passwords),
        };
        let (is_unshared, liveness) = Default::default();
        Address { config, roots: remote.roots, encrypted: true, via: remote.via, passwords, is_unshared, liveness }
            .prepared()
    }

    /// A server on a local socket.
    pub fn socket(directory: &std::path::Path, port: u16, user: &str, database: &str) -> Self {
        let mut config = Config::new();
        config.host_path(directory).port(port).user(user).dbname(database);
        let (is_unshared, liveness) = Default::default();
        Address { config, roots: Roots::System, encrypted: false, via: None, passwords: None, is_unshared, liveness }
            .prepared()
    }

    fn prepared(mut self) -> Self {
        let mut config = self.config.clone();
        self.settle(&mut config);
        self.config = config;
        self
    }

    fn settle(&self, config: &mut Config) {
        let mode = if self.encrypted { SslMode::Require } else { SslMode::Disable };
        config.ssl_mode(mode).application_name("walkaway").connect_timeout(CONNECT_TIMEOUT);
        // A snapshot belongs to one server: every connection has to reach the same one.
        config.load_balance_hosts(LoadBalanceHosts::Disable);
        config.keepalives(true).keepalives_idle(KEEPALIVE_IDLE);
        config.keepalives_interval(KEEPALIVE_INTERVAL).keepalives_retries(KEEPALIVE_PROBES);
        config.tcp_user_timeout(UNACKNOWLEDGED);
    }

    /// Another database of the same server, for which a pooler may have other rules.
    pub fn database(&self, name: &str) -> Self {
        let mut other = Address { is_unshared: Arc::default(), ..self.clone() };
        other.config.dbname(name);
        other
    }

    /// The same server as another user.
    pub fn user(&self, name: &str) -> Self {
        let mut other = Address { is_unshared: Arc::default(), ..self.clone() };
        other.config.user(name);
        other
    }

    /// The same server, waited for this long when it is silent and accepts no connection, and no longer than until
    /// cancellation.
    #[must_use]
    pub fn watched(&self, stall: Duration, interrupt: &Interrupt) -> Self {
        Address { liveness: Liveness::new(stall, interrupt.clone()), ..self.clone() }
    }

    /// What ends the wait for it.
    pub(super) fn waiting(&self) -> Waiting {
        let address = self.clone();
        Waiting::new(&self.liveness, move |processes| address.answer(processes))
    }

    /// What a new connection says, even if only that the server takes none now. Whether a password can be made for it says
    /// nothing about the server, which has to ask for one first.
    pub(super) fn answer(&self, processes: &[u32]) -> Answer {
        let open = |config: Result<Config, (String, Unreached)>| {
            let config = config.map_err(|(reason, cause)| self.unreached(reason, cause))?;
            self.log_in(&config, &Interrupt::default())
        };
        let opened = match open(self.config_now()) {
            Err(error) if error.unreached() == Some(Unreached::NoPassword) => open(self.config_of_way()),
            opened => opened,
        };
        match opened {
            Err(PgError::Connect { cause: Unreached::Way, .. }) => Answer::Silence,
            Err(_) => Answer::There(None),
            Ok(mut wire) => at_work(&mut wire, processes),
        }
    }

    /// Whether it is known to be the server itself that answers.
    pub fn is_direct(&self) -> bool {
        self.is_unshared.get() == Some(&true)
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
        let mut client = self.connect_unpinned()?;
        let pinned = client.batch_execute(&session::statements());
        pinned.map_err(|error| PgError::statement("pinning the session's settings", &error))?;
        Ok(client)
    }

    /// Connects, and sets nothing that outlives a transaction: for servers of other owners.
    pub fn connect_unpinned(&self) -> Result<Client, PgError> {
        self.refuse_shared()?;
        let waiting = self.waiting();
        let connected = self.connect_in_time(&waiting).map_err(|(reason, cause)| self.unreached(reason, cause))?;
        let mut client =
            connected.map_err(|error| self.unreached(super::error::reason(&error), Unreached::of(&error)))?;
        if self.is_remote() {
            let asked = client.simple_query(pooler::ASK);
            let asked = asked.map_err(|error| PgError::statement(pooler::ASKING, &error))?;
            let process = asked.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
                _ => None,
            });
            waiting.served_by(process);
        }
        Ok(client)
    }

    /// Whether only the network leads to it.
    fn is_remote(&self) -> bool {
        self.config.get_hosts().iter().all(|host| matches!(host, Host::Tcp(_)))
    }

    fn unreached(&self, reason: String, cause: Unreached) -> PgError {
        PgError::Connect { server: self.to_string(), reason, cause }
    }

    /// Checks once whether it is a pooler that shares sessions; the result is kept.
    fn refuse_shared(&self) -> Result<(), PgError> {
        if self.is_unshared.get().is_none() {
            let open = || self.open_wire(self.liveness.interrupt());
            let is_direct = pooler::refuse_shared(&self.to_string(), open)?;
            let _ = self.is_unshared.set(is_direct);
        }
        Ok(())
    }

    /// A server may accept the connection and then stay silent; the client's own time-out covers only accepting. The
    /// thread of such an attempt ends with the process.
    fn connect_in_time(&self, waiting: &Waiting) -> Result<Result<Client, postgres::Error>, (String, Unreached)> {
        let tls = self.encrypted.then(|| tls::verified(&self.roots)).transpose();
        let tls = tls.map_err(|reason| (reason, Unreached::Tls))?;
        let mut config = self.config_now()?;
        // The client would log notices, in which code of a database may print its rows.
        config.notice_callback(|_| {});
        let waiting = waiting.clone();
        let is_remote = self.is_remote();
        if tls.is_none() && is_remote {
            // Only the TLS connector gets the stream, and only this way without requesting TLS from the server.
            config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let connected = match tls {
                Some(inner) => config.connect(Watching { inner, waiting }),
                None if is_remote => config.connect(Watching { inner: PlainConnector, waiting }),
                None => config.connect(postgres::NoTls),
            };
            let _ = sender.send(connected);
        });
        let limit = self.liveness.bounded(CONNECT_TIMEOUT + ANSWER_TIMEOUT);
        let waited = Stopwatch::start();
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(connected) => return Ok(connected),
                Err(_) if self.liveness.interrupt().asked() => return Err(("interrupted".to_owned(), Unreached::Way)),
                Err(RecvTimeoutError::Timeout) if waited.elapsed() < limit => {}
                Err(_) => return Err((format!("no answer within {} s", limit.as_secs()), Unreached::Way)),
            }
        }
    }

    /// The configuration of one connection: with a new password, and the address of the tunnel.
    fn config_now(&self) -> Result<Config, (String, Unreached)> {
        let mut config = self.config_of_way()?;
        if let Some(passwords) = &self.passwords {
            config.password(passwords.next().map_err(|error| (error.reason(), Unreached::NoPassword))?);
        }
        Ok(config)
    }

    /// The same without a password that would have to be made.
    fn config_of_way(&self) -> Result<Config, (String, Unreached)> {
        Ok(match &self.via {
            None => self.config.clone(),
            Some(via) => {
                let mut config = Config::new();
                let near_end = resolve(via).map_err(|reason| (reason, Unreached::Way))?;
                config.host(&self.hosts().join(",")).hostaddr(near_end).port(via.port);
                config.user(self.user_name()).dbname(self.database_name());
                self.config.get_password().map(|password| config.password(password));
                self.config.get_options().map(|options| config.options(options));
                config.channel_binding(self.config.get_channel_binding());
                self.settle(&mut config);
                config
            }
        })
    }

    /// Connects for bulk rows, with the same pinned settings.
    pub fn wire(&self) -> Result<Wire, PgError> {
        let mut wire = self.wire_unpinned()?;
        wire.pin().map_err(|error| error.during("pinning the session's settings"))?;
        Ok(wire)
    }

    /// Connects for bulk rows, and sets nothing that outlives a transaction.
    pub fn wire_unpinned(&self) -> Result<Wire, PgError> {
        self.refuse_shared()?;
        let mut wire = self.open_wire(self.liveness.interrupt())?;
        let process =
            if self.is_direct() { wire.greeting().process } else { Some(pooler::ask(&self.to_string(), &mut wire)?) };
        let waiting = self.waiting();
        waiting.served_by(process);
        wire.watch(waiting);
        Ok(wire)
    }

    /// Connects for bulk rows, even if others share the session: for queries only.
    fn open_wire(&self, interrupt: &Interrupt) -> Result<Wire, PgError> {
        let config = self.config_now().map_err(|(reason, cause)| self.unreached(reason, cause))?;
        self.log_in(&config, interrupt)
    }

    fn log_in(&self, config: &Config, interrupt: &Interrupt) -> Result<Wire, PgError> {
        let tls = self.encrypted.then(|| tls::config(&self.roots)).transpose();
        let tls = tls.map_err(|reason| self.unreached(reason, Unreached::Tls))?;
        let timeout = self.liveness.bounded(ANSWER_TIMEOUT);
        let login = Login { config, tls: tls.map(Arc::new), interrupt, timeout };
        connect(&login).map_err(|error| self.unreached(error.to_string(), error.unreached()))
    }

    /// The environment that leads libpq programs to this server (PostgreSQL documentation, "Environment Variables").
    ///
    /// # Errors
    /// No password could be created, or the tunnel's host has no address.
    pub fn environment(&self) -> Result<Vec<(&'static str, String)>, PgError> {
        let ports: Vec<_> = match &self.via {
            Some(via) => vec![via.port.to_string()],
            None => self.config.get_ports().iter().map(u16::to_string).collect(),
        };
        let mut variables = vec![
            ("PGHOST", self.hosts().join(",")),
            ("PGPORT", if ports.is_empty() { self.port().to_string() } else { ports.join(",") }),
            ("PGUSER", self.user_name().to_owned()),
            ("PGDATABASE", self.database_name().to_owned()),
            ("PGSSLMODE", if self.encrypted { "verify-full" } else { "disable" }.to_owned()),
            ("PGAPPNAME", "walkaway".to_owned()),
            ("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT.as_secs().to_string()),
        ];
        if let Some(options) = self.config.get_options() {
            variables.push(("PGOPTIONS", options.to_owned()));
        }
        match self.config.get_channel_binding() {
            ChannelBinding::Require => variables.push(("PGCHANNELBINDING", "require".to_owned())),
            ChannelBinding::Disable => variables.push(("PGCHANNELBINDING", "disable".to_owned())),
            _ => {}
        }
        match self.config.get_target_session_attrs() {
            TargetSessionAttrs::ReadWrite => variables.push(("PGTARGETSESSIONATTRS", "read-write".to_owned())),
            TargetSessionAttrs::ReadOnly => variables.push(("PGTARGETSESSIONATTRS", "read-only".to_owned())),
            _ => {}
        }
        if self.via.is_none() && !self.config.get_hostaddrs().is_empty() {
            let addresses: Vec<_> = self.config.get_hostaddrs().iter().map(IpAddr::to_string).collect();
            variables.push(("PGHOSTADDR", addresses.join(",")));
        }
        if let Some(via) = &self.via {
            let failed = |reason| self.unreached(reason, Unreached::Way);
            variables.push(("PGHOSTADDR", resolve(via).map_err(failed)?.to_string()));
        }
        if let Some(passwords) = &self.passwords {
            variables.push(("PGPASSWORD", passwords.next()?));
        } else if let Some(password) = self.config.get_password() {
            variables.push(("PGPASSWORD", String::from_utf8_lossy(password).into_owned()));
        }
        if self.encrypted {
            let roots = self.roots.path().map_or_else(|| SYSTEM_ROOTS.to_owned(), |path| path.display().to_string());
            variables.push(("PGSSLROOTCERT", roots));
        }
        Ok(variables)
    }

    /// Parameters in such a program's connection string that have no variable (PostgreSQL documentation,
    /// "Parameter Key Words").
    pub(super) fn connection_string() -> String {
        format!(
            "keepalives_idle={} keepalives_interval={} keepalives_count={KEEPALIVE_PROBES} tcp_user_timeout={}",
            KEEPALIVE_IDLE.as_secs(),
            KEEPALIVE_INTERVAL.as_secs(),
            UNACKNOWLEDGED.as_millis()
        )
    }

    /// Host, port and user as arguments of psql; never the password.
    pub fn psql_arguments(&self) -> Vec<String> {
        let port = self.port().to_string();
        ["-h", &self.hosts().join(","), "-p", &port, "-U", self.user_name()].map(str::to_owned).to_vec()
    }

    /// The names of its hosts, or directories of sockets.
    pub fn hosts(&self) -> Vec<String> {
        let name = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        self.config.get_hosts().iter().map(name).collect()
    }

    /// Every host of the server, with its port: also the near end of a tunnel.
    pub(super) fn ways(&self) -> Vec<(String, u16)> {
        let mut ways: Vec<_> = self.hosts().into_iter().map(|host| (host, self.port())).collect();
        ways.extend(self.via.iter().map(|via| (via.host.clone(), via.port)));
        ways
    }

    fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(5432)
    }
}

/// `host:port/database`, for messages; no login.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.hosts().join(","), self.port(), self.database_name())?;
        match &self.via {
            Some(via) => write!(f, " via {}:{}", via.host, via.port),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// The first address of a tunnel's near end.
fn resolve(via: &Via) -> Result<IpAddr, String> {
    let named = |reason: String| format!("{}:{}: {reason}", via.host, via.port);
    let mut addresses = (via.host.as_str(), via.port).to_socket_addrs().map_err(|error| named(error.to_string()))?;
    addresses.next().map(|address| address.ip()).ok_or_else(|| named("has no address".to_owned()))
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

/// Takes `sslmode` and `sslrootcert` out of the URL's query: tokio-postgres supports only some of their values.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, PgError> {
        Address::parse(url)
    }

    fn variable(address: &Address, name: &str) -> Option<String> {
        address.environment().expect("an environment").into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
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
    fn a_tunnel_leads_elsewhere_and_the_name_stays() {
        let address = Address::remote(Remote {
            host: "shop.abc.rds.example".into(),
            port: 5432,
            database: "shop".into(),
            user: "reader".into(),
            proof: Proof::Password("hunter2".into()),
            roots: Roots::File("/ca.pem".into()),
            via: Some(Via { host: "127.0.0.1".into(), port: 15432 }),
        });
        let config = address.config_now().expect("an address");
        assert_eq!(config.get_hosts(), [Host::Tcp("shop.abc.rds.example".into())]);
        assert_eq!((config.get_hostaddrs().len(), config.get_ports()), (1, &[15432][..]));
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
        let expected = ["shop.abc.rds.example", "127.0.0.1", "15432", "verify-full", "/ca.pem"];
        let names = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGSSLMODE", "PGSSLROOTCERT"];
        assert_eq!(names.map(|name| variable(&address, name).unwrap_or_default()), expected);
        assert!(!format!("{address:?} {address}").contains("hunter2"));
    }

    #[test]
    fn what_a_url_asks_for_holds_for_programs_too() {
        let url = "postgres://u:p@a:5433,b:5434/shop?hostaddr=10.0.0.1,10.0.0.2&sslmode=disable\
                   &channel_binding=require&target_session_attrs=read-write&load_balance_hosts=random\
                   &options=-c%20geqo%3Doff";
        let address = parse(url).expect("valid");
        for (name, value) in [
            ("PGHOST", "a,b"),
            ("PGPORT", "5433,5434"),
            ("PGHOSTADDR", "10.0.0.1,10.0.0.2"),
            ("PGCHANNELBINDING", "require"),
            ("PGTARGETSESSIONATTRS", "read-write"),
            ("PGOPTIONS", "-c geqo=off"),
        ] {
            assert_eq!(variable(&address, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(address.config.get_load_balance_hosts(), LoadBalanceHosts::Disable);
    }

    #[test]
    fn the_password_shows_neither_in_debug_nor_in_messages() {
        let address = parse("postgres://u:hunter2@127.0.0.1:5433/shop").expect("valid");
        assert!(!format!("{address:?} {address}").contains("hunter2"));
        let error = parse("postgres://u:hunter2@127.0.0.1:port/shop").expect_err("invalid");
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}
