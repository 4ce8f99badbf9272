//! What the command line and the environment ask for, checked before anything runs.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::access::jwt::{Configured, read_configuration};
use crate::access::tokens::Settings;
use crate::app::server::tls;
use crate::kubernetes::server::Connection;
use crate::mesh::object::is_namespace_name;
use crate::mesh::selector::LabelSelector;
use crate::origins::kubernetes::convert::Converter;
use crate::origins::kubernetes::examine::Account;
use crate::origins::manifests;

/// Which events exist, who sends them, who consumes them: the event catalog of a Knative cluster or repository.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// What to log, as `level` or `target=level,…`
    #[arg(long, global = true, env = "EVENTMESH_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How to log
    #[arg(long, global = true, env = "EVENTMESH_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the event mesh over HTTP
    Serve(ServeArgs),
    /// Say what is wrong with the mesh in a folder of manifests
    #[command(after_help = "Exit code: 0 when nothing is found, 1 when something is, 2 when the check cannot run.")]
    Check(CheckArgs),
    /// Print the event mesh of a folder of manifests
    Export(ExportArgs),
    /// Say whether a cluster can be read: what is there to read, and which rights are missing
    #[command(
        after_help = "Exit code: 0 when nothing is missing, 1 when something is or the cluster cannot be asked, 2 \
                            when no cluster is configured.\n\nIn the format `text`, all that is said is a comment, so that \
                            the whole output can be piped to `kubectl apply -f -`."
    )]
    Doctor(DoctorArgs),
    /// Print the API document (OpenAPI 3.1)
    Openapi,
}

#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// Folders or files with Kubernetes manifests (.yaml, .yml, .json); may be repeated
    #[arg(long, env = "EVENTMESH_MANIFESTS", num_args = 1.., value_name = "DIR")]
    manifests: Vec<PathBuf>,
    /// The namespace of an object that names none
    #[arg(long, env = "EVENTMESH_DEFAULT_NAMESPACE", default_value = "default", value_name = "NAME")]
    default_namespace: String,
    /// The largest manifest file that is read, in bytes
    #[arg(long, env = "EVENTMESH_MAX_MANIFEST_BYTES", default_value_t = 32 << 20, value_name = "BYTES")]
    max_manifest_bytes: u64,
    /// Do not answer before every manifest file was read once
    #[arg(long, env = "EVENTMESH_STRICT_MANIFESTS")]
    strict_manifests: bool,
    /// The label that holds the Backstage id of a subscriber
    #[arg(long, env = "EVENTMESH_BACKSTAGE_LABEL", default_value = "backstage.io/kubernetes-id", value_name = "KEY")]
    backstage_label: String,
}

/// Which cluster is read. Nothing is needed inside of one, or where `kubectl` works.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// A kubeconfig; by default that of kubectl, or else the cluster that this runs in
    #[arg(long, env = "EVENTMESH_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; by default the current one
    #[arg(long, env = "EVENTMESH_CONTEXT", value_name = "NAME")]
    context: Option<String>,
}

/// With what connections are encrypted. The files are read again when they change.
#[derive(Debug, Args)]
pub struct TlsArgs {
    /// The certificate to answer with over HTTPS, and those between it and a root (PEM)
    #[arg(long = "tls-cert", env = "EVENTMESH_TLS_CERT", value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long = "tls-key", env = "EVENTMESH_TLS_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Let only those connect who have a certificate of one of these authorities (PEM)
    #[arg(long = "tls-client-ca", env = "EVENTMESH_TLS_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(mut_arg("manifests", |it| it.conflicts_with_all(["kubeconfig", "context"])))]
pub struct ServeArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// For how long to go on answering while the cluster cannot be reached, such as `1h` or `90s`
    #[arg(long, env = "EVENTMESH_MAX_STALENESS", default_value = "1h", value_name = "DURATION", value_parser = duration)]
    max_staleness: Duration,
    /// Where to answer
    #[arg(long, env = "EVENTMESH_LISTEN", default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    listen: String,
    /// Where to serve /livez, /readyz and /metrics
    #[arg(long, env = "EVENTMESH_ADMIN_LISTEN", default_value = "127.0.0.1:8081", value_name = "HOST:PORT")]
    admin_listen: String,
    /// For whom tokens have to be made, such as with `kubectl create token NAME --audience eventmesh-catalog`
    /// [default: eventmesh-catalog]
    #[arg(long, env = "EVENTMESH_AUDIENCE", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    audience: Option<String>,
    /// Do not take tokens that are made for the API server
    #[arg(long, env = "EVENTMESH_STRICT_AUDIENCE")]
    strict_audience: bool,
    /// How long a token that was found good counts before the API server is asked again [default: 10s]
    #[arg(long, env = "EVENTMESH_TOKEN_CACHE", value_name = "DURATION", value_parser = duration)]
    token_cache: Option<Duration>,
    /// Issuers of tokens beside the cluster: an `AuthenticationConfiguration` as for API servers
    #[arg(long, env = "EVENTMESH_AUTHENTICATION_CONFIG", value_name = "FILE")]
    authentication_config: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsArgs,
    /// How many connections there may be at once, to each of the two addresses; more wait until one ends
    #[arg(
        long,
        env = "EVENTMESH_MAX_CONNECTIONS",
        default_value_t = 1024,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    max_connections: u32,
    /// A file of tokens: one `name:sha256-hex-of-token[:namespace,…]` per line
    #[arg(long, env = "EVENTMESH_TOKENS_FILE", value_name = "FILE", conflicts_with = "dev_token")]
    tokens_file: Option<PathBuf>,
    /// Make up a token and print it, for trying things out; only on a loopback address
    #[arg(long, env = "EVENTMESH_DEV_TOKEN")]
    dev_token: bool,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    /// How to print what is found
    #[arg(long, default_value = "text")]
    pub format: CheckFormat,
    /// What makes the exit code 1
    #[arg(long, default_value = "error", value_name = "SEVERITY")]
    pub fail_on: FailOn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// A line each, for people
    Text,
    /// A JSON document, for programs
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Errors only
    Error,
    /// Errors and warnings
    Warning,
    /// Nothing
    Never,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    /// What to print
    #[arg(long, default_value = "mesh")]
    pub format: ExportFormat,
    /// Only items with these labels
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    label_selector: String,
    /// Only items of this namespace; may be repeated
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,
    /// The owner of the entities in the format `backstage`
    #[arg(long, value_name = "REF", default_value = "unknown", value_parser = NonEmptyStringValueParser::new())]
    pub owner: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The JSON of `GET /v1/getEventMesh`
    Mesh,
    /// A graph for Graphviz
    Dot,
    /// A flowchart for Mermaid
    Mermaid,
    /// Entities for a Backstage catalog (YAML)
    Backstage,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The account to ask for, such as that of the service; by default the one that asks
    #[arg(long, env = "EVENTMESH_SERVICE_ACCOUNT", value_name = "NAMESPACE/NAME", value_parser = service_account)]
    service_account: Option<Account>,
    /// How to print what is found
    #[arg(long, default_value = "text")]
    pub format: DoctorFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// Lines for people, and the YAML that grants what is missing
    Text,
    /// A JSON document, for programs
    Json,
}

/// A configuration that cannot work: what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}\n{remedy}")]
pub struct ConfigError {
    what: String,
    remedy: String,
}

impl ConfigError {
    pub fn new(what: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self { what: what.to_string(), remedy: remedy.to_string() }
    }
}

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
/// The longest that a token may count without being looked at.
const MAX_TOKEN_CACHE: Duration = Duration::from_mins(5);

impl ServeArgs {
    /// # Errors
    /// When it cannot work.
    pub fn checked(self) -> Result<Serve, ConfigError> {
        let listen = address("--listen", &self.listen)?;
        let authenticator = self.authenticator(listen)?;
        let origin = if self.manifests.manifests.is_empty() {
            Origin::Cluster { connection: self.cluster.connection(), converter: self.manifests.converter()? }
        } else {
            Origin::Manifests(self.manifests.checked()?)
        };
        Ok(Serve {
            origin,
            max_staleness: self.max_staleness,
            listen,
            admin_listen: address("--admin-listen", &self.admin_listen)?,
            tls: self.tls.checked()?,
            max_connections: self.max_connections,
            authenticator,
        })
    }
}

impl ServeArgs {
    fn authenticator(&self, listen: SocketAddr) -> Result<Authenticator, ConfigError> {
        let has_cluster = self.manifests.manifests.is_empty();
        let useless = self.of_use_with_cluster();
        if !useless.is_empty() && (!has_cluster || self.dev_token || self.tokens_file.is_some()) {
            return Err(ConfigError::new(
                format!("{}: who callers are and what they may see is asked of a cluster.", useless.join(", ")),
                "Leave that out, or else --manifests, --tokens-file and --dev-token.",
            ));
        }
        match (&self.tokens_file, self.dev_token) {
            (Some(file), _) => Ok(Authenticator::TokensFile(file.clone())),
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

    /// What is given that says how a cluster is asked about callers. Whoever gives it relies on it.
    fn of_use_with_cluster(&self) -> Vec<String> {
        let config = self.authentication_config.as_ref();
        let given = [
            self.audience.as_ref().map(|it| format!("--audience {it}")),
            self.strict_audience.then(|| "--strict-audience".into()),
            self.token_cache.map(|it| format!("--token-cache {}s", it.as_secs_f64())),
            config.map(|it| format!("--authentication-config {}", it.display())),
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
        let read = self.authentication_config.as_deref().map(read_configuration).transpose();
        let issuers = read.map_err(|error| {
            ConfigError::new(format!("--authentication-config: {error}."), "Mend the file, then start again.")
        })?;
        let settings = Settings {
            audience: self.audience.as_deref().unwrap_or(AUDIENCE).into(),
            is_strict: self.strict_audience,
            lifetime,
        };
        Ok(Authenticator::Cluster { settings, issuers: issuers.unwrap_or_default() })
    }
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
    pub fn manifests(&self) -> Result<manifests::Options, ConfigError> {
        self.manifests.checked()
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

fn namespace(flag: &str, name: &str) -> Result<(), ConfigError> {
    if is_namespace_name(name) {
        return Ok(());
    }
    let remedy = "Use lower case letters, digits and hyphens, at most 63.";
    Err(ConfigError::new(format!("{flag}: `{name}` is not the name of a namespace."), remedy))
}

/// A service account by its namespace and name.
fn service_account(text: &str) -> Result<Account, String> {
    let parts = text.split_once('/').filter(|(namespace, name)| {
        // A name may have dots between what is otherwise alike.
        is_namespace_name(namespace) && name.len() <= 253 && name.split('.').all(is_namespace_name)
    });
    let (namespace, name) =
        parts.ok_or("give a namespace and a name, such as `eventmesh-catalog/eventmesh-catalog`")?;
    Ok(Account::ServiceAccount { namespace: namespace.into(), name: name.into() })
}

/// A time as people write it.
fn duration(text: &str) -> Result<Duration, String> {
    let remedy = |error: jiff::Error| format!("{error}; give a time such as `1h` or `90s`");
    let parsed: jiff::SignedDuration = text.parse().map_err(remedy)?;
    parsed.try_into().map_err(remedy)
}

fn address(flag: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    let remedy = "Give an address and a port, such as 127.0.0.1:8080.";
    let mut found =
        text.to_socket_addrs().map_err(|error| ConfigError::new(format!("{flag} {text}: {error}."), remedy))?;
    found.next().ok_or_else(|| ConfigError::new(format!("{flag} {text}: no address has this name."), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
