//! What the command line and the environment ask for, checked before anything runs.

mod checks;
mod file;
mod layers;
pub mod reference;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, NonEmptyStringValueParser};
use clap::{Arg, ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::checks::{Authenticator, Origin, Serve};
use self::file::Issuers;
pub use self::file::is_open_to_all;
pub use self::layers::{Form, Refusal, Setting, Source, parse};
use crate::api::render::VIEW_MEMORY;
use crate::mesh::object::is_namespace_name;
use crate::origins::kubernetes::examine::Account;
use crate::telemetry::build;

/// Which events exist, who sends them, who consumes them: the event catalog of a Knative cluster or repository.
#[derive(Debug, Parser)]
#[command(version = build::version(), propagate_version = true, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Which events exist, who sends them, who consumes them: the event mesh of the cluster that kubectl talks to.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-eventmesh",
    bin_name = "kubectl eventmesh",
    version,
    propagate_version = true,
    max_term_width = 110
)]
pub struct Plugin {
    #[command(subcommand)]
    tool: Tool,
    #[command(flatten)]
    logs: LogArgs,
}

impl From<Plugin> for Cli {
    fn from(Plugin { tool, logs }: Plugin) -> Self {
        Self { command: Command::Tool(tool), logs }
    }
}

#[derive(Debug, Args)]
pub struct LogArgs {
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
    #[command(flatten)]
    Tool(Tool),
    /// Print the API document (OpenAPI 3.1)
    Openapi,
    /// Say what `serve` is configured with
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what completes commands in a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page (roff)
    Man,
}

/// What there is for whoever looks at a mesh, as a plugin of kubectl too.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Say what is wrong with the mesh in a folder of manifests
    #[command(after_help = "Exit code: 0 when nothing is found, 1 when something is, 2 when the check cannot run.")]
    Check(CheckArgs),
    /// Print the event mesh of a cluster, or of folders of manifests
    #[command(
        after_help = "Without --manifests, the cluster is read that kubectl talks to, with your rights there.\n\nExit code: \
                      0 when the mesh was printed, whole but for what --allow-missing has told, 1 when it was not, 2 when \
                      the arguments cannot work or no cluster is configured."
    )]
    Export(ExportArgs),
    /// Say whether a cluster can be read: what is there to read, and which rights are missing
    #[command(
        after_help = "Exit code: 0 when nothing is missing, 1 when something is or the cluster cannot be asked, 2 \
                            when no cluster is configured.\n\nIn the format `text`, all that is said is a comment, so that \
                            the whole output can be piped to `kubectl apply -f -`."
    )]
    Doctor(DoctorArgs),
}

impl Command {
    /// What `serve` is to run with, where the command has to do with that.
    pub fn serve_args(&self) -> Option<&ServeArgs> {
        match self {
            Self::Serve(args) | Self::Config(ConfigCommand::Check(args) | ConfigCommand::Show(args)) => Some(args),
            _ => None,
        }
    }

    fn serve_args_mut(&mut self) -> Option<&mut ServeArgs> {
        match self {
            Self::Serve(args) | Self::Config(ConfigCommand::Check(args) | ConfigCommand::Show(args)) => Some(args),
            _ => None,
        }
    }
}

/// What can be said of a configuration. `check` and `show` take all that `serve` takes.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether `serve` could start with it; a cluster is not looked at, see `doctor`
    #[command(after_help = "Exit code: 0 when it could, 2 when not.")]
    Check(ServeArgs),
    /// Print all keys with their values, and where each comes from
    Show(ServeArgs),
    /// Print the JSON Schema of a configuration file
    Schema,
    /// Print the page of documentation about all keys (Markdown)
    Reference,
}

#[derive(Debug, Args)]
#[command(mut_args(adapted))]
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

/// Which traces are made, and where they go.
#[derive(Debug, Args)]
#[command(mut_args(adapted))]
pub struct TraceArgs {
    /// The OpenTelemetry collector to send traces to over HTTP, such as `http://collector:4318`; without, none are made
    #[arg(long, env = "EVENTMESH_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Of a hundred requests without a trace of their caller's, how many are traced [default: 100]
    #[arg(long, env = "EVENTMESH_TRACE_PERCENT", value_name = "PERCENT")]
    trace_percent: Option<u64>,
    /// How many requests are traced a second at the most, those included whose callers ask for it [default: 10]
    #[arg(long, env = "EVENTMESH_MAX_TRACES_PER_SECOND", value_name = "COUNT")]
    max_traces_per_second: Option<u64>,
}

#[derive(Debug, Args)]
#[command(mut_args(adapted))]
pub struct ServeArgs {
    /// A file of YAML that says what flags say, by their names; the environment and flags count for more
    #[arg(long, env = "EVENTMESH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where each value comes from.
    #[arg(skip)]
    pub settings: Vec<Setting>,
    /// What the file says of issuers.
    #[arg(skip)]
    authentication: Option<Issuers>,
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
    #[arg(long, env = "EVENTMESH_MAX_CONNECTIONS", default_value_t = 1024, value_name = "COUNT")]
    max_connections: u64,
    /// How long to go on answering once told to end (SIGTERM), such as `15s`: for balancers that find out a moment later
    #[arg(
        long,
        env = "EVENTMESH_SHUTDOWN_DELAY",
        default_value = "0s",
        value_name = "DURATION",
        value_parser = duration
    )]
    shutdown_delay: Duration,
    /// How many MiB of memory views may take, those that are kept and those that are being sent; what was used last stays
    #[arg(long, env = "EVENTMESH_VIEW_MEMORY", default_value_t = (VIEW_MEMORY >> 20) as u64, value_name = "MIB")]
    view_memory: u64,
    #[command(flatten)]
    traces: TraceArgs,
    /// A file of tokens: one `name:sha256-hex-of-token[:namespace,…]` per line
    #[arg(long, env = "EVENTMESH_TOKENS_FILE", value_name = "FILE")]
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
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Read nothing of the cluster but this namespace, as if there were no others; may be repeated
    #[arg(long, value_name = "NAME")]
    within: Vec<String>,
    /// Print the mesh of the cluster without what may not be read, and tell what that is
    #[arg(long)]
    pub allow_missing: bool,
    /// How long reading the cluster may take [default: 2m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// What to print
    #[arg(long, default_value = "mesh")]
    pub format: ExportFormat,
    /// Print only items with these labels
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    label_selector: String,
    /// Print only items of this namespace; may be repeated
    #[arg(long, short, value_name = "NAME")]
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

    /// With the places of the keys that it names, where a file or the environment says them.
    #[must_use]
    pub fn located(mut self, settings: &[Setting]) -> Self {
        let words: Vec<_> = self.what.split([' ', ':', ',']).collect();
        let places: Vec<_> = settings
            .iter()
            .filter(|setting| words.contains(&&*format!("--{}", setting.key)))
            .filter_map(|Setting { key, source, .. }| match source {
                Source::File(path, line) => Some(format!("{key} is at {}:{line}", path.display())),
                Source::Environment(variable) => Some(format!("{key} is what {variable} says")),
                Source::Flag | Source::Default => None,
            })
            .collect();
        if !places.is_empty() {
            self.what = format!("{}\n{}.", self.what, places.join(", "));
        }
        self
    }
}

/// What numbers may be, by their keys: flags and keys of files are held to it, and the schema says it.
const RANGES: [(&str, RangeInclusive<u64>); 5] = [
    ("max-connections", 1..=u32::MAX as u64),
    ("max-manifest-bytes", 1..=1 << 40),
    ("view-memory", 1..=1 << 20),
    ("trace-percent", 0..=100),
    ("max-traces-per-second", 0..=u32::MAX as u64),
];

/// What a number may be.
fn range_of(arg: &Arg) -> Option<RangeInclusive<u64>> {
    let key = arg.get_long()?;
    RANGES.iter().find(|(of, _)| *of == key).map(|(_, range)| range.clone())
}

/// Holds arguments to what all of their kind are held to.
fn adapted(arg: Arg) -> Arg {
    match range_of(&arg) {
        Some(range) => arg.value_parser(clap::value_parser!(u64).range(range)),
        None => switches(arg),
    }
}

/// Lets flags also be turned off, as `--flag=false`, where something that counts for less has turned them on.
fn switches(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .value_parser(BoolishValueParser::new())
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
        <Plugin as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn every_number_has_a_range() {
        let command = <Cli as clap::CommandFactory>::command();
        let numbers = layers::arguments(&command).filter(|it| Form::of(it) == Form::Number);
        let keys: Vec<_> = numbers.map(|it| (it.get_long().unwrap(), range_of(it).is_some())).collect();
        assert_eq!(keys.len(), RANGES.len());
        assert!(keys.iter().all(|(_, has_range)| *has_range), "{keys:?}");
    }
}
