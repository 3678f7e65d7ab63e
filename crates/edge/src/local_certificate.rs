//! A certificate for trying Kassa out on one machine: signed by an authority made for it alone, whose key is thrown
//! away, so that nobody can sign another. A bank that is reached from outside brings its own certificate.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::Settings;

/// The authority's certificate in the data folder, for `curl --cacert`.
#[must_use]
pub fn authority(folder: &Path) -> PathBuf {
    folder.join("tls/ca.pem")
}

/// Reason the certificate can't be made, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LocalCertificateError(String);

/// Makes the certificate in the data folder, unless the settings name another one or it is there.
///
/// # Errors
///
/// Fails if there is no randomness, or a file can't be written.
pub fn make_where_missing(folder: &Path, settings: &Settings) -> Result<(), LocalCertificateError> {
    let (certificate, private_key) = (folder.join("tls/server.pem"), folder.join("tls/server.key"));
    let own = settings.certificate == certificate && settings.private_key == private_key;
    if !own || (certificate.exists() && private_key.exists()) {
        return Ok(());
    }
    let (authority_pem, certificate_pem, key_pem) =
        make().map_err(|error| LocalCertificateError(format!("a certificate can't be made: {error}")))?;
    let beside = folder.join("tls");
    std::fs::create_dir_all(&beside)
        .map_err(|error| LocalCertificateError(format!("{} can't be made: {error}", beside.display())))?;
    write(&authority(folder), &authority_pem, 0o644)?;
    write(&private_key, &key_pem, 0o600)?;
    write(&certificate, &certificate_pem, 0o644)
}

fn make() -> Result<(String, String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Kassa's authority for this folder alone");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate()?;
    let authority = params.self_signed(&authority_key)?;
    let issuer = Issuer::new(params, authority_key);

    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((authority.pem(), certificate.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), LocalCertificateError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| LocalCertificateError(format!("{} can't be written: {error}", path.display())))
}
