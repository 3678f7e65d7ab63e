//! TLS: the certificate and its key, how they are read, and what is said where they can't be used.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::settings::ServeError;

/// The certificate that new connections are met with. Cloning gives another handle on the same.
#[derive(Debug, Clone)]
pub struct Certificate(Arc<RwLock<Arc<ServerConfig>>>);

impl Certificate {
    /// Reads a certificate with those that lead to its root, and its private key, from files in PEM (RFC 7468).
    ///
    /// # Errors
    ///
    /// Fails if either can't be used, or the key is another certificate's.
    pub fn read(certificate: &Path, private_key: &Path) -> Result<Self, ServeError> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(tls(certificate, private_key)?)))))
    }

    /// Puts another certificate and its key in the place of this one, for connections that come from now on. Sessions
    /// of TLS that began with the old one are not resumed.
    ///
    /// # Errors
    ///
    /// Fails if either can't be used, or the key is another certificate's: then the old one stays.
    pub fn replace(&self, certificate: &Path, private_key: &Path) -> Result<(), ServeError> {
        let fresh = Arc::new(tls(certificate, private_key)?);
        // A pointer is put there whole or not at all, so a panic meanwhile has broken nothing.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The certificate that a connection is met with now, as TLS wants it.
    pub(crate) fn now(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// TLS 1.3 and 1.2 with a certificate and its key, offering HTTP/2 and HTTP/1.1.
fn tls(certificate: &Path, private_key: &Path) -> Result<ServerConfig, ServeError> {
    let bad_certificate = |reason: String| ServeError::Certificate { path: certificate.to_owned(), reason };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad_certificate(pem_said(&error)))?;
    if chain.is_empty() {
        return Err(bad_certificate(pem_said(&pem::Error::NoItemsFound)));
    }
    let bad_key = |reason: String| ServeError::PrivateKey { path: private_key.to_owned(), reason };
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(|error| bad_key(pem_said(&error)))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| ServeError::Cryptography(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad_key(pair_said(&error)))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Says why a PEM file (RFC 7468) can't be used.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other variants of a library's are told alike")]
fn pem_said(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is none in the file, which must be PEM".into(),
        _ => "the file is no whole PEM: it may be cut off, or changed".into(),
    }
}

/// Says why a key and a certificate can't be used together.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other variants of a library's are told alike")]
fn pair_said(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "it is the key of another certificate".into(),
        rustls::Error::InvalidCertificate(_) => "the certificate is damaged".into(),
        _ => "it is none of RSA, ECDSA (P-256, P-384, P-521) or Ed25519 that can be read".into(),
    }
}
