//! TLS for all of walkaway's own clients: always verified, against the system's roots or a named CA file.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// A configuration that accepts a server only if its certificate chains to the roots and names the host.
pub fn verified(root_cert: Option<&Path>) -> Result<ClientConfig, String> {
    let roots = root_cert.map_or_else(system_roots, roots_of)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
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

/// A configuration that accepts no server at all, for a client that only speaks plain HTTP.
pub fn without_roots() -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}
