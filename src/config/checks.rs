//! What the arguments come to: checked as a whole, before anything runs.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::is_open_to_all;
use super::{CheckArgs, ClusterArgs, ConfigError, DoctorArgs, ExportArgs, ManifestArgs, ServeArgs, TlsArgs, TraceArgs};
use crate::access::jwt::{Configured, parse_configuration, read_configuration};
use crate::access::tokens::Settings;
use crate::app::server::tls;
use crate::kubernetes::server::Connection;
use crate::mesh::object::is_namespace_name;
use crate::mesh::selector::LabelSelector;
use crate::origins::kubernetes::convert::Converter;
use crate::origins::kubernetes::examine::Account;
use crate::origins::kubernetes::once::Limits;
use crate::origins::manifests;
use crate::telemetry::traces;

/// How long a file has to be at rest before it is read: an editor writes it in several steps.
const SETTLE: Duration = Duration::from_millis(50);

/// What `serve` runs with.
#[derive(Debug)]
pub struct Serve {
    pub origin: Origin,
    pub max_staleness: Duration,
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub tls: Option<tls::Files>,
    pub max_connections: u32,
    /// In bytes.
    pub view_memory: usize,
    /// Without, none are made.
    pub traces: Option<traces::Settings>,
    pub shutdown_delay: Duration,
    pub authenticator: Authenticator,
}

/// Where the facts come from.
#[derive(Debug)]
pub enum Origin {
    Manifests(manifests::Options),
    Cluster { connection: Connection, converter: Converter },
}

/// Who is let in. There is no way to let everybody in.
#[derive(Debug)]
pub enum Authenticator {
    TokensFile(PathBuf),
    DevToken,
    /// Those whom the cluster knows, or one of these issuers, each with the rights that they have in the cluster.
    Cluster {
        settings: Settings,
        issuers: Vec<Configured>,
    },
}

/// For whom tokens have to be made unless it is said.
const AUDIENCE: &str = "eventmesh-catalog";
/// How long a token counts unless it is said.
const TOKEN_CACHE: Duration = Duration::from_secs(10);
/// How long reading a cluster once may take unless it is said.
const TIMEOUT: Duration = Duration::from_mins(2);
/// How many of a hundred requests are traced unless it is said, and how many a second at the most.
const TRACES: (u64, u64) = (100, 10);
/// The longest that a token may count without being looked at.
const MAX_TOKEN_CACHE: Duration = Duration::from_mins(5);

impl ServeArgs {
    /// # Errors
    /// When it cannot work.
    pub fn checked(self) -> Result<Serve, ConfigError> {
        let listen = address("--listen", &self.listen)?;
        let admin_listen = address("--admin-listen", &self.admin_listen)?;
        if listen == admin_listen && listen.port() != 0 {
            return Err(ConfigError::new(
                format!("--listen and --admin-listen are both {listen}."),
                "Give them different ports: the admin address needs no token.",
            ));
        }
        one_origin(&self.manifests, &self.cluster)?;
        let authenticator = self.authenticator(listen)?;
        let origin = origin(&self.manifests, &self.cluster)?;
        Ok(Serve {
            origin,
            max_staleness: self.max_staleness,
            listen,
            admin_listen,
            tls: self.tls.checked()?,
            max_connections: within(self.max_connections),
            shutdown_delay: self.shutdown_delay,
            view_memory: usize::try_from(self.view_memory << 20).unwrap_or(usize::MAX),
            traces: self.traces.checked()?,
            authenticator,
        })
    }
}

/// A number whose range is within that of the type.
fn within(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Folders or a cluster, as whoever names both may not mean what one of them would do.
fn one_origin(manifests: &ManifestArgs, cluster: &ClusterArgs) -> Result<(), ConfigError> {
    let given = cluster.kubeconfig.as_ref().map(|_| "--kubeconfig");
    match given.or(cluster.context.as_ref().map(|_| "--context")) {
        Some(flag) if !manifests.manifests.is_empty() => Err(ConfigError::new(
            format!("--manifests and {flag} cannot be used with each other: there is one origin."),
            "Leave one of them out, here, in the environment and in the configuration file.",
        )),
        _ => Ok(()),
    }
}

/// The folders that are named, or else a cluster.
fn origin(manifests: &ManifestArgs, cluster: &ClusterArgs) -> Result<Origin, ConfigError> {
    one_origin(manifests, cluster)?;
    if manifests.manifests.is_empty() {
        Ok(Origin::Cluster { connection: cluster.connection(), converter: manifests.converter()? })
    } else {
        Ok(Origin::Manifests(manifests.checked()?))
    }
}

impl ServeArgs {
    fn authenticator(&self, listen: SocketAddr) -> Result<Authenticator, ConfigError> {
        let has_cluster = self.manifests.manifests.is_empty();
        let useless = self.of_use_with_cluster();
        if !useless.is_empty() && (!has_cluster || self.dev_token || self.tokens_file.is_some()) {
            return Err(ConfigError::new(
                format!(
                    "{}: who callers are and what they may see is asked of a cluster, and {} is given.",
                    useless.join(", "),
                    self.instead_of_cluster()
                ),
                "Leave that out, or else --manifests, --tokens-file and --dev-token.",
            ));
        }
        match (&self.tokens_file, self.dev_token) {
            (Some(_), true) => Err(ConfigError::new(
                "--tokens-file and --dev-token cannot be used with each other: it is one or the other.",
                "Leave one of them out, here, in the environment and in the configuration file.",
            )),
            (Some(file), false) => Ok(Authenticator::TokensFile(file.clone())),
            (None, true) if listen.ip().is_loopback() => Ok(Authenticator::DevToken),
            (None, true) => Err(ConfigError::new(
                format!("--dev-token is for loopback addresses only, and --listen is {listen}."),
                "Listen on 127.0.0.1, or give --tokens-file FILE.",
            )),
            (None, false) if has_cluster => self.of_cluster(),
            (None, false) => Err(ConfigError::new(
                "Nobody could ask: no authenticator is configured.",
                "Give --tokens-file FILE, or --dev-token to try it out on a loopback address.",
            )),
        }
    }

    /// What is given that says that no cluster is asked about callers.
    fn instead_of_cluster(&self) -> &'static str {
        match self {
            Self { dev_token: true, .. } => "--dev-token",
            Self { tokens_file: Some(_), .. } => "--tokens-file",
            _ => "--manifests",
        }
    }

    /// What is given that says how a cluster is asked about callers. Whoever gives it relies on it.
    fn of_use_with_cluster(&self) -> Vec<String> {
        let config = self.authentication_config.as_ref();
        let given = [
            self.audience.as_ref().map(|it| format!("--audience {it}")),
            self.strict_audience.then(|| "--strict-audience".into()),
            self.token_cache.map(|it| format!("--token-cache {}s", it.as_secs_f64())),
            config.map(|it| format!("--authentication-config {}", it.display())),
            self.authentication.as_ref().map(|_| "the key `authentication` of the configuration file".into()),
        ];
        given.into_iter().flatten().collect()
    }

    fn of_cluster(&self) -> Result<Authenticator, ConfigError> {
        let lifetime = self.token_cache.unwrap_or(TOKEN_CACHE);
        if lifetime > MAX_TOKEN_CACHE {
            return Err(ConfigError::new(
                format!("--token-cache: {} s is too long.", lifetime.as_secs()),
                "Give at most 5m: for so long a token that was revoked would count.",
            ));
        }
        let issuers = match (&self.authentication_config, &self.authentication) {
            (Some(_), Some(_)) => Err(ConfigError::new(
                "--authentication-config is given beside the key `authentication` of the configuration file.",
                "Leave one of them out.",
            )),
            (Some(path), None) => read_issuers(path),
            (None, Some(issuers)) => parse_configuration(&issuers.text).map_err(|error| {
                // Places in it are those of a text that nobody wrote.
                let (error, _) = error.rsplit_once(" at line ").unwrap_or((&error, ""));
                let error =
                    error.rsplit_once(": ").filter(|(place, _)| place.starts_with("line ")).map_or(error, |it| it.1);
                let place = format!("{}:{}", issuers.path.display(), issuers.line);
                ConfigError::new(format!("{place}: authentication: {error}."), "Mend the table, then start again.")
            }),
            (None, None) => Ok(vec![]),
        }?;
        let settings = Settings {
            audience: self.audience.as_deref().unwrap_or(AUDIENCE).into(),
            is_strict: self.strict_audience,
            lifetime,
        };
        Ok(Authenticator::Cluster { settings, issuers })
    }
}

/// Whoever can write it decides who is let in.
fn read_issuers(path: &Path) -> Result<Vec<Configured>, ConfigError> {
    if std::fs::metadata(path).is_ok_and(|it| is_open_to_all(&it)) {
        return Err(ConfigError::new(
            format!("--authentication-config {}: everybody may write it.", path.display()),
            format!("Let only its owner write it: `chmod o-w {}`.", path.display()),
        ));
    }
    read_configuration(path).map_err(|error| {
        ConfigError::new(format!("--authentication-config: {error}."), "Mend the file, then start again.")
    })
}

impl CheckArgs {
    /// # Errors
    /// When it cannot work.
    pub fn manifests(&self) -> Result<manifests::Options, ConfigError> {
        self.manifests.checked()
    }
}

impl ExportArgs {
    /// # Errors
    /// When it cannot work.
    pub fn origin(&self) -> Result<Origin, ConfigError> {
        let origin = origin(&self.manifests, &self.cluster)?;
        let of_cluster = [
            ("--within", !self.within.is_empty()),
            ("--allow-missing", self.allow_missing),
            ("--timeout", self.timeout.is_some()),
        ];
        match (&origin, of_cluster.into_iter().find(|(_, is_given)| *is_given)) {
            (Origin::Manifests(_), Some((flag, _))) => Err(ConfigError::new(
                format!("{flag} says how a cluster is read, and --manifests is given."),
                "Leave one of them out.",
            )),
            _ => Ok(origin),
        }
    }

    /// How much of a cluster to read.
    ///
    /// # Errors
    /// When it cannot work.
    pub fn limits(&self) -> Result<Limits, ConfigError> {
        self.within.iter().try_for_each(|it| namespace("--within", it))?;
        Ok(Limits { namespaces: self.within.iter().cloned().collect(), time: self.timeout.unwrap_or(TIMEOUT) })
    }

    /// # Errors
    /// When it does not parse.
    pub fn selection(&self) -> Result<crate::mesh::Selection, ConfigError> {
        let labels = self.label_selector.parse().map_err(|error| {
            ConfigError::new(format!("--label-selector: {error}."), "Write it as for kubectl, such as `team=orders`.")
        })?;
        self.namespace.iter().try_for_each(|it| namespace("--namespace", it))?;
        Ok(crate::mesh::Selection { labels, namespaces: self.namespace.iter().cloned().collect::<BTreeSet<_>>() })
    }
}

impl DoctorArgs {
    pub fn connection(&self) -> Connection {
        self.cluster.connection()
    }

    pub fn account(&self) -> Account {
        self.service_account.clone().unwrap_or(Account::Own)
    }
}

impl ManifestArgs {
    fn checked(&self) -> Result<manifests::Options, ConfigError> {
        if self.manifests.is_empty() {
            return Err(ConfigError::new("There is nothing to read.", "Give --manifests DIR."));
        }
        for root in &self.manifests {
            std::fs::metadata(root).map_err(|error| {
                ConfigError::new(
                    format!("--manifests {}: {error}.", root.display()),
                    "Name a folder or file that is there.",
                )
            })?;
        }
        namespace("--default-namespace", &self.default_namespace)?;
        Ok(manifests::Options {
            roots: self.manifests.clone(),
            default_namespace: self.default_namespace.clone(),
            max_bytes: self.max_manifest_bytes,
            strict: self.strict_manifests,
            settle: SETTLE,
            converter: self.converter()?,
        })
    }

    fn converter(&self) -> Result<Converter, ConfigError> {
        let is_key =
            self.backstage_label.parse::<LabelSelector>().is_ok_and(|it| it.to_string() == self.backstage_label);
        if !is_key || self.backstage_label.is_empty() || self.backstage_label.contains(['!', '=', ',', ' ']) {
            return Err(ConfigError::new(
                format!("--backstage-label: `{}` is not a label key.", self.backstage_label),
                "Use a key such as `backstage.io/kubernetes-id`.",
            ));
        }
        Ok(Converter::new(&self.backstage_label))
    }
}

impl ClusterArgs {
    pub fn connection(&self) -> Connection {
        Connection { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() }
    }
}

impl TlsArgs {
    fn checked(self) -> Result<Option<tls::Files>, ConfigError> {
        let lacks = |given, missing| {
            let remedy = "Give both --tls-cert FILE and --tls-key FILE, or neither of them and no --tls-client-ca.";
            Err(ConfigError::new(format!("{given} is of no use without {missing}."), remedy))
        };
        match (self.cert, self.key, self.client_ca) {
            (Some(certificate), Some(key), client_ca) => Ok(Some(tls::Files { certificate, key, client_ca })),
            (Some(_), None, _) => lacks("--tls-cert", "--tls-key"),
            (None, Some(_), _) => lacks("--tls-key", "--tls-cert"),
            (None, None, Some(_)) => lacks("--tls-client-ca", "--tls-cert and --tls-key"),
            (None, None, None) => Ok(None),
        }
    }
}

impl TraceArgs {
    fn checked(self) -> Result<Option<traces::Settings>, ConfigError> {
        let Some(endpoint) = self.otlp_endpoint else {
            let percent = self.trace_percent.map(|_| "--trace-percent");
            return match percent.or(self.max_traces_per_second.map(|_| "--max-traces-per-second")) {
                None => Ok(None),
                Some(flag) => Err(ConfigError::new(
                    format!("{flag} is of no use without --otlp-endpoint."),
                    "Give --otlp-endpoint URL, or leave that out.",
                )),
            };
        };
        let endpoint = traces::Endpoint::new(&endpoint).map_err(|reason| {
            ConfigError::new(
                format!("--otlp-endpoint: {reason}."),
                "Give the address of a collector, such as http://collector:4318; what it wants to know of who sends goes \
                 into the environment, into OTEL_EXPORTER_OTLP_HEADERS.",
            )
        })?;
        let (percent, per_second) = TRACES;
        Ok(Some(traces::Settings {
            endpoint,
            percent: within(self.trace_percent.unwrap_or(percent)),
            per_second: within(self.max_traces_per_second.unwrap_or(per_second)),
        }))
    }
}

fn namespace(flag: &str, name: &str) -> Result<(), ConfigError> {
    if is_namespace_name(name) {
        return Ok(());
    }
    let remedy = "Use lower case letters, digits and hyphens, at most 63.";
    Err(ConfigError::new(format!("{flag}: `{name}` is not the name of a namespace."), remedy))
}

fn address(flag: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    let remedy = "Give an address and a port, such as 127.0.0.1:8080.";
    let mut found =
        text.to_socket_addrs().map_err(|error| ConfigError::new(format!("{flag} {text}: {error}."), remedy))?;
    found.next().ok_or_else(|| ConfigError::new(format!("{flag} {text}: no address has this name."), remedy))
}
