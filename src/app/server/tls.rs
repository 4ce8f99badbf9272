//! TLS of the listener: a certificate with its key, and who may connect; kept up with as the files change.
//!
//! Nothing of a key may reach a log or an error, so that no error of a parser is passed on.

use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};
use tracing::{error, info, warn};

use crate::config::{ConfigError, is_open_to_all};

/// The names of the protocols (RFC 7301), the preferred first.
pub const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
/// How often to look whether the files changed.
const LOOK: Duration = Duration::from_secs(1);
/// The largest file that is read, in bytes. A large set of authorities has some hundred kilobytes.
const MAX_FILE: u64 = 4 << 20;

/// Where certificate, key and authorities are. All are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate of the service, and those between it and a root.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Only clients with a certificate of one of these authorities may connect.
    pub client_ca: Option<PathBuf>,
}

/// A file by the flag that named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named(&'static str, PathBuf);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1.display())
    }
}

/// Why the files are not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("{0}: {1}")]
    Unreadable(Named, String),
    #[error("{0} is not a regular file")]
    NoFile(Named),
    #[error("{0}: everybody may write it")]
    Open(Named),
    #[error("{0} is larger than 4 MiB")]
    TooLarge(Named),
    #[error("{0} is not PEM, or not all of it")]
    NotPem(Named),
    #[error("{0} has no certificate")]
    NoCertificate(Named),
    #[error("{0} has a certificate that cannot be read")]
    BadCertificate(Named),
    #[error("{0} has no private key, or an encrypted one")]
    NoKey(Named),
    #[error("{0} has a private key that cannot be read or is of an unknown kind")]
    BadKey(Named),
    #[error("{key} is not the private key of the certificate of {certificate}")]
    Mismatch { key: Named, certificate: Named },
    #[error("TLS cannot be set up: {0}")]
    Other(String),
}

impl TlsError {
    fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable(..) | Self::NoFile(_) | Self::TooLarge(_) => {
                "Name a file that is there and that this account may read."
            }
            Self::Open(_) => "Let only its owner write it, with `chmod o-w`.",
            Self::NotPem(_) | Self::NoCertificate(_) | Self::BadCertificate(_) => {
                "Give a PEM file with `-----BEGIN CERTIFICATE-----`, whole."
            }
            Self::NoKey(_) | Self::BadKey(_) => "Give an unencrypted RSA, ECDSA or Ed25519 key as a PEM file.",
            Self::Mismatch { .. } => {
                "Give a certificate and the key it was made with; the certificate of the service comes first in its file."
            }
            Self::Other(_) => "Try another certificate.",
        }
    }
}

impl From<TlsError> for ConfigError {
    fn from(error: TlsError) -> Self {
        Self::new(format!("{error}."), error.remedy())
    }
}

/// What new connections are served with: the files as they were when they were last good.
pub struct Tls {
    files: Files,
    config: ArcSwap<ServerConfig>,
    /// What was read first, until somebody keeps up with it: no key stays for longer than it counts.
    opened: Mutex<Option<Contents>>,
}

impl Tls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn open(files: Files) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let config = files.config(&contents)?;
        if is_readable_by_all(&files.key) {
            // As Kubernetes mounts Secrets where nobody says otherwise, so that it is no reason not to start.
            warn!(
                file = %files.key.display(),
                "Everybody here may read the private key {}; let only its owner and group read it (`chmod o=`), or give its volume a `defaultMode` of 0440",
                files.key.display()
            );
        }
        Ok(Self { files, config: ArcSwap::new(config), opened: Mutex::new(Some(contents)) })
    }

    pub fn current(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Keeps up with the files for as long as the process lives. A state that cannot be used is told and passed over;
    /// connections that are there go on.
    ///
    /// Files are replaced one after the other, and in several steps. So a state is only told once it has lasted from one
    /// look to the next. The files are small and are read each time: nothing else tells for certain that they are the
    /// same. A file system that hangs keeps nobody but this from going on.
    pub async fn keep_up(self: Arc<Self>) {
        let mut known = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take().map(Ok);
        let mut last = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let tls = self.clone();
            // It fails when it panicked, and when the process ends.
            let Ok(now) = tokio::task::spawn_blocking(move || tls.files.read()).await else { return };
            if known.as_ref() != Some(&now) && self.renew(&now, last.as_ref() == Some(&now)) {
                known = Some(now.clone());
            }
            last = Some(now);
        }
    }

    /// Whether all is done and said about this state.
    fn renew(&self, read: &Result<Contents, TlsError>, lasts: bool) -> bool {
        let config = read.as_ref().map_err(Clone::clone).and_then(|it| self.files.config(it));
        match config {
            Ok(config) => {
                info!("TLS certificate and key read");
                self.config.store(config);
                true
            }
            Err(reason) if lasts => {
                error!(%reason, "The TLS certificate and key last read still count: {reason}");
                true
            }
            Err(_) => false,
        }
    }
}

/// What is in the files. It has no `Debug`, so that no key gets into a log.
#[derive(Clone, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents {
            certificate: read(self.named_certificate())?,
            key: read(self.named_key())?,
            client_ca: self.named_client_ca().map(read).transpose()?,
        })
    }

    /// A configuration of its own for each state: who was let in by another authority cannot resume a session.
    fn config(&self, contents: &Contents) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = self.certified_key(contents, &provider)?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Other(error.to_string()))?;
        let mut config = match (self.named_client_ca(), &contents.client_ca) {
            (Some(named), Some(pem)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(&named, pem)? {
                    roots.add(certificate).map_err(|_| TlsError::BadCertificate(named.clone()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|_| TlsError::BadCertificate(named))?;
                let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(key));
                // A certificate is looked at each time: it may have expired since.
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config
            }
            _ => builder.with_no_client_auth().with_cert_resolver(Arc::new(key)),
        };
        config.alpn_protocols = vec![HTTP2.into(), HTTP1.into()];
        Ok(Arc::new(config))
    }

    fn certified_key(&self, contents: &Contents, provider: &CryptoProvider) -> Result<SingleCertAndKey, TlsError> {
        let (certificate, key) = (self.named_certificate(), self.named_key());
        let chain = certificates(&certificate, &contents.certificate)?;
        let der = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey(key.clone()),
            _ => TlsError::NotPem(key.clone()),
        })?;
        let private = provider.key_provider.load_private_key(der).map_err(|_| TlsError::BadKey(key.clone()))?;
        let certified = CertifiedKey::new(chain, private);
        match certified.keys_match() {
            // Not every kind of key can tell.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified.into()),
            Err(_) => Err(TlsError::Mismatch { key, certificate }),
        }
    }

    fn named_certificate(&self) -> Named {
        Named("--tls-cert", self.certificate.clone())
    }

    fn named_key(&self) -> Named {
        Named("--tls-key", self.key.clone())
    }

    fn named_client_ca(&self) -> Option<Named> {
        self.client_ca.clone().map(|it| Named("--tls-client-ca", it))
    }
}

/// A path may name anything. What is no file may have no end, or keep whoever opens it.
fn read(file: Named) -> Result<Vec<u8>, TlsError> {
    match fs::metadata(&file.1) {
        Ok(metadata) if !metadata.is_file() => return Err(TlsError::NoFile(file)),
        Ok(metadata) if is_open_to_all(&metadata) => return Err(TlsError::Open(file)),
        Ok(_) => {}
        Err(error) => return Err(TlsError::Unreadable(file, error.to_string())),
    }
    let mut content = vec![];
    match File::open(&file.1).and_then(|it| it.take(MAX_FILE + 1).read_to_end(&mut content)) {
        Ok(_) if content.len() as u64 > MAX_FILE => Err(TlsError::TooLarge(file)),
        Ok(_) => Ok(content),
        Err(error) => Err(TlsError::Unreadable(file, error.to_string())),
    }
}

#[cfg(unix)]
fn is_readable_by_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o004 != 0)
}

/// All certificates of a file, of which there is at least one.
fn certificates(file: &Named, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found: Vec<CertificateDer<'static>> = found.map_err(|_| TlsError::NotPem(file.clone()))?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate(file.clone()));
    }
    if found.iter().any(|it| ParsedCertificate::try_from(it).is_err()) {
        return Err(TlsError::BadCertificate(file.clone()));
    }
    Ok(found)
}
