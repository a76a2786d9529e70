//! TLS for PostgreSQL connections: always verified, against the system's roots, a named CA file, or certificates that
//! walkaway brings along.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tempfile::NamedTempFile;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Who may vouch for a server.
#[derive(Clone, Debug)]
pub enum Roots {
    /// Whom the machine trusts.
    System,
    /// The certificates of a file.
    File(PathBuf),
    /// Certificates that were brought along; in a file while somebody needs them, because libpq reads only files.
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
    let roots = roots.path().map_or_else(system_roots, roots_of)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn system_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err("TLS: this machine has no CA certificates".to_owned()) } else { Ok(roots) }
}

fn roots_of(path: &Path) -> Result<RootCertStore, String> {
    let unreadable = |error| format!("TLS: reading CA certificates from {}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?).map_err(|error| format!("TLS: {}: {error}", path.display()))?;
    }
    if roots.is_empty() { Err(format!("TLS: {} holds no CA certificate", path.display())) } else { Ok(roots) }
}
