//! The certificate by which `SSL_GET` shows who asks.
//!
//! Its key is for root alone to read, and the process that checks is not root: the director
//! reads the files.

use std::io;

use elver_core::check::messages::CertificateTexts;
use elver_core::config::model::ClientCertificate;

use crate::check_process::TlsContexts;

/// What is in the files that the configuration names.
///
/// # Errors
/// A file that cannot be read, or has not what it is to have; in words.
pub(crate) fn read(certificate: &ClientCertificate) -> io::Result<CertificateTexts> {
    let text = |path: &Option<String>| match path {
        None => Ok(None),
        Some(path) => std::fs::read_to_string(path)
            .map(Some)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}"))),
    };
    let key = text(&certificate.key)?;
    let texts = CertificateTexts {
        // One file may have both.
        chain: text(&certificate.certificate)?.or_else(|| key.clone()),
        key,
        password: certificate.password.clone(),
        authorities: text(&certificate.authorities)?,
    };
    TlsContexts::new(&texts)?;
    Ok(texts)
}
