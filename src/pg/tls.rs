//! TLS for PostgreSQL connections: always verified, against the system's roots, a named CA file, or certificates that
//! walkaway has built in.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::ClientConfig;
use tempfile::NamedTempFile;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The roots of trust for a server.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The machine's roots.
    System,
    /// The certificates of a file.
    File(PathBuf),
    /// Built-in certificates; in a file while they are needed, because libpq reads only files.
    Brought(Arc<NamedTempFile>),
}

impl Roots {
    /// Certificates as PEM text.
    pub fn brought(pem: &[u8]) -> std::io::Result<Self> {
        let mut file = tempfile::Builder::new().prefix("walkaway-ca-").suffix(".pem").tempfile()?;
        file.write_all(pem)?;
        file.flush()?;
        Ok(Roots::Brought(Arc::new(file)))
    }

    /// The file, unless it is the system's.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Roots::System => None,
            Roots::File(path) => Some(path),
            Roots::Brought(file) => Some(file.path()),
        }
    }
}

/// A connector that accepts a server only if its certificate chains to the roots and names the host.
pub fn verified(roots: &Roots) -> Result<MakeRustlsConnect, String> {
    config(roots).map(MakeRustlsConnect::new)
}

/// The same as a configuration.
pub(super) fn config(roots: &Roots) -> Result<ClientConfig, String> {
    crate::tls::verified(roots.path())
}
