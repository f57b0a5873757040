//! The certificate and the key of the service.

use std::path::Path;

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Loads a chain of certificates and its key, both PEM.
pub fn load(cert: &Path, key: &Path) -> anyhow::Result<ServerConfig> {
    let cannot_read = |path: &Path| format!("cannot read {}", path.display());
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| cannot_read(cert))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| cannot_read(key))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and the key do not fit")
}
