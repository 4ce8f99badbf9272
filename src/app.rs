//! The composition root: builds the parts, wires them, runs them, and ends them in order.

pub mod check;
pub mod configuration;
pub mod doctor;
pub mod export;
pub mod server;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::CommandFactory as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use self::server::tls::Tls;
use self::server::{Limits, Server, files};
use crate::access::tokens_file::TokensFile;
use crate::access::{self, Access, Token, random_key, random_token};
use crate::api::edge::Edge;
use crate::api::render::Bodies;
use crate::api::{self, Api};
use crate::config::{self, Authenticator, Cli, Command, ConfigError, Serve, Tool};
use crate::index::{self, Closed, Feed, Index};
use crate::kubernetes::server::{Connection, Server as ApiServer};
use crate::origins::kubernetes;
use crate::origins::kubernetes::convert::Converter;
use crate::origins::manifests::{self, Manifests};
use crate::telemetry::admin::{self, Admin};
use crate::telemetry::logs;
use crate::telemetry::metrics::{Metrics, Sources};
use crate::telemetry::traces::Traces;

/// What to give where no cluster is configured, and folders would do.
const ANY_ORIGIN: &str = "Give --kubeconfig FILE or --context NAME, run in a cluster, or give --manifests DIR.";
/// How long what is left may take once all answers are given.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Runs a command to its end.
///
/// # Errors
/// When it fails; see [`exit_code`].
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let settings = cli.command.serve_args().map(|it| it.settings.clone()).unwrap_or_default();
    // Whatever a configuration is refused for, and wherever: what a file says of it has a place there.
    run_command(cli).map_err(|failure| match failure.downcast::<ConfigError>() {
        Ok(error) => error.located(&settings).into(),
        Err(failure) => failure,
    })
}

fn run_command(cli: Cli) -> anyhow::Result<ExitCode> {
    let start_logs = |traces: Option<&Traces>| logs::start(&cli.logs.log, cli.logs.log_format, traces);
    // The service does so once it is known which traces there are.
    if !matches!(cli.command, Command::Serve(_)) {
        start_logs(None)?;
    }
    match cli.command {
        Command::Serve(args) => {
            let config = args.checked()?;
            let runtime = runtime()?;
            let traces = config.traces.as_ref().map(|it| Traces::new(it, runtime.handle().clone())).transpose()?;
            start_logs(traces.as_ref())?;
            let served = runtime.block_on(serve(config));
            if let Some(traces) = traces {
                traces.end(MAX_WAIT);
            }
            // A file system that hangs must not keep the process.
            runtime.shutdown_timeout(MAX_WAIT);
            served.map(|()| ExitCode::SUCCESS)
        }
        Command::Tool(Tool::Check(args)) => check::run(&args),
        Command::Tool(Tool::Doctor(args)) => runtime()?.block_on(doctor::run(&args)),
        Command::Tool(Tool::Export(args)) => runtime()?.block_on(export::run(&args)).map(|()| ExitCode::SUCCESS),
        Command::Openapi => {
            let document = api::openapi::document().to_pretty_json().context("The document cannot be written")?;
            print(&format!("{document}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Cli::command(), "eventmesh-catalog", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            let mut page = vec![];
            clap_mangen::Man::new(Cli::command()).render(&mut page).context("The page cannot be written")?;
            print(&String::from_utf8_lossy(&page))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(command) => configuration::run(command).map(|()| ExitCode::SUCCESS),
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    Runtime::new().context("The runtime cannot start")
}

/// 2 for a configuration that cannot work, 1 for everything else.
pub fn exit_code(failure: &anyhow::Error) -> u8 {
    if failure.is::<ConfigError>() { 2 } else { 1 }
}

/// Writes a result to standard output. A reader that has had enough, such as `head`, is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("The result cannot be written")
        }
        _ => Ok(()),
    }
}

/// The folders as they are now, and the mesh that they make.
fn read_once(options: manifests::Options) -> (Manifests, Index) {
    let mut manifests = Manifests::new(options);
    let mut index = Index::default();
    index.apply(manifests.refresh(), true);
    (manifests, index)
}

/// Serves until a signal comes.
async fn serve(config: Serve) -> anyhow::Result<()> {
    let limits = Limits { connections: files::connections(config.max_connections), ..Limits::default() };
    let tls = config.tls.map(Tls::open).transpose().map_err(ConfigError::from)?.map(Arc::new);
    let draining = Arc::new(AtomicBool::new(false));
    let server = Server::bind("--listen", config.listen).await?.with_limits(limits.clone()).with_tls(tls.clone());
    let server = server.with_leaving(draining.clone());
    let admin_server = Server::bind("--admin-listen", config.admin_listen).await?.with_limits(limits);
    let dev_token = made_up_token(&config.authenticator)?;
    let tokens_file = opened_tokens(&config.authenticator)?;
    let mut terminated = signal(SignalKind::terminate()).context("Signals cannot be received")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("Signals cannot be received")?;

    let (feed, indexer, reader) = index::channel();
    let reader = reader.with_max_staleness(config.max_staleness);
    let origin = Origin::new(config.origin).await?;
    let origin_name = origin.name();
    let reviewing = reviewing(config.authenticator, &origin)?;
    let changes = tokens_file.is_some() || reviewing.is_some();
    let access = Arc::new(Access::new(tokens_file, dev_token.as_deref().map(Token::new).as_ref(), reviewing));
    let metrics = Metrics::default();
    let bodies = Bodies::new(config.view_memory);
    let sources = Sources {
        origin: origin_name,
        reader: reader.clone(),
        access: access.clone(),
        bodies: bodies.clone(),
        loads: vec![("api", server.load()), ("admin", admin_server.load())],
    };
    let admin = Admin { sources, metrics: metrics.clone(), draining: draining.clone() };
    let api = Api { reader, access: access.clone(), bodies };
    let tracing = config.traces.is_some().then(Traces::of_requests);
    let router = api::router(api, Edge::traced(&process_prefix()?, metrics.observer(), tracing));

    let (stop, stopped) = watch::channel(false);
    let (stop_admin, admin_stopped) = watch::channel(false);
    let origin = tokio::spawn(origin.run(feed));
    let indexing = tokio::spawn(indexer.run());
    let access = changes.then(|| tokio::spawn(access.keep_up()));
    let tls = tls.map(|it| tokio::spawn(it.keep_up()));
    if server.is_overheard() {
        warn!(
            listen = %server.address(),
            "Tokens can be read on the way to {}, unless something in front of it encrypts, such as a mesh or an ingress; give \
             --tls-cert and --tls-key otherwise",
            server.address()
        );
    }
    info!(listen = %server.address(), admin_listen = %admin_server.address(), "Serving");
    print(&greeting(&server, &admin_server, dev_token.as_deref()))?;
    let serving = tokio::spawn(server.run(router, stopped));
    let administering = tokio::spawn(admin_server.run(admin::router(admin), admin_stopped));

    let delay = tokio::select! {
        _ = terminated.recv() => config.shutdown_delay,
        // Somebody sits there and waits.
        _ = interrupted.recv() => Duration::ZERO,
        ended = origin => anyhow::bail!("Nothing is read any more: {ended:?}"),
        ended = indexing => anyhow::bail!("The index has ended: {ended:?}"),
        // Rights and tokens that were taken away would count for ever.
        reason = lapse(access) => anyhow::bail!("Access is not kept up with: {reason}"),
        reason = lapse(tls) => anyhow::bail!("The TLS certificate is not kept up with: {reason}"),
    };
    draining.store(true, Ordering::Relaxed);
    if !delay.is_zero() {
        info!(?delay, "Told to end; answering for another {delay:?}, for those who have not heard of it");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = terminated.recv() => anyhow::bail!("Told to end at once"),
            _ = interrupted.recv() => anyhow::bail!("Told to end at once"),
        }
    }
    info!("Finishing what is under way");
    stop.send_replace(true);
    tokio::select! {
        ended = serving => ended.context("The server failed")?,
        _ = terminated.recv() => anyhow::bail!("Told to end at once"),
        _ = interrupted.recv() => anyhow::bail!("Told to end at once"),
    }
    stop_admin.send_replace(true);
    // Whoever looks at the state of a service that has ended need not be waited for.
    let _ = tokio::time::timeout(MAX_WAIT, administering).await;
    info!("Ended");
    Ok(())
}

/// Why what should last has ended. Where there is nothing to keep up with, nothing ends.
async fn lapse(lasting: Option<JoinHandle<()>>) -> String {
    match lasting {
        Some(task) => task.await.map_or_else(|error| error.to_string(), |()| "there is no more to come".into()),
        None => std::future::pending().await,
    }
}

/// Where the facts come from, ready to run.
enum Origin {
    Manifests(Box<Manifests>),
    Cluster(Box<ApiServer>, Converter),
}

impl Origin {
    async fn new(config: config::Origin) -> Result<Self, ConfigError> {
        match config {
            config::Origin::Manifests(options) => Ok(Self::Manifests(Box::new(Manifests::new(options)))),
            config::Origin::Cluster { connection, converter } => {
                let server = connected(&connection, ANY_ORIGIN).await?;
                info!(server = %server.url(), "Reading the cluster at {}", server.url());
                Ok(Self::Cluster(Box::new(server), converter))
            }
        }
    }

    /// As metrics call it.
    fn name(&self) -> &'static str {
        match self {
            Self::Manifests(_) => "manifests",
            Self::Cluster(..) => "cluster",
        }
    }

    async fn run(self, feed: Feed) -> Result<(), Closed> {
        match self {
            Self::Manifests(manifests) => manifests::run(*manifests, feed).await,
            Self::Cluster(server, converter) => kubernetes::cluster::run(*server, converter, feed).await,
        }
    }
}

/// Who asks the cluster about callers, where that is what decides on them.
fn reviewing(authenticator: Authenticator, origin: &Origin) -> anyhow::Result<Option<access::Cluster>> {
    match (authenticator, origin) {
        (Authenticator::Cluster { settings, issuers }, Origin::Cluster(server, _)) => {
            let key = random_key().context("The system has no random numbers")?;
            // What reads the cluster and what asks about callers do not wait for each other.
            let server = server.with_own_connections().context("The cluster cannot be asked")?;
            Ok(Some(access::Cluster::new(server, issuers, settings, key)))
        }
        (_, Origin::Cluster(..)) => {
            warn!(
                "Tokens are not held to the rights of the cluster: each opens all that this service may read, within its namespaces"
            );
            Ok(None)
        }
        (_, Origin::Manifests(_)) => Ok(None),
    }
}

async fn connected(connection: &Connection, remedy: &str) -> Result<ApiServer, ConfigError> {
    ApiServer::new(connection).await.map_err(|error| ConfigError::new(format!("{error}."), remedy))
}

fn made_up_token(authenticator: &Authenticator) -> anyhow::Result<Option<String>> {
    match authenticator {
        Authenticator::DevToken => {
            warn!("A token was made up for trying things out; use a tokens file for anything else");
            Ok(Some(random_token().context("The system has no random numbers")?))
        }
        Authenticator::TokensFile(_) | Authenticator::Cluster { .. } => Ok(None),
    }
}

fn opened_tokens(authenticator: &Authenticator) -> Result<Option<Arc<TokensFile>>, ConfigError> {
    match authenticator {
        Authenticator::TokensFile(path) => {
            let opened = TokensFile::open(path);
            let file =
                opened.map_err(|error| ConfigError::new(format!("{error}."), "Mend the file, then start again."))?;
            Ok(Some(Arc::new(file)))
        }
        Authenticator::DevToken | Authenticator::Cluster { .. } => Ok(None),
    }
}

/// What sets the request ids of this process apart.
fn process_prefix() -> anyhow::Result<String> {
    let random = getrandom::u64().context("The system has no random numbers")?;
    Ok(format!("{random:016x}"))
}

/// Goes to standard output, where it is read by people and is in no log.
fn greeting(server: &Server, admin: &Server, dev_token: Option<&str>) -> String {
    let (url, admin) = (server.url(), admin.url());
    let trial =
        dev_token.map(|token| format!("Try:\n  curl -s -H 'Authorization: Bearer {token}' {url}/v1/getEventMesh\n"));
    let serving = format!("Serving {url} (API at /docs; health and metrics at {admin})\n");
    serving + &trial.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_should_last_and_does_not_is_told() {
        let long = Duration::from_hours(1);
        let nothing = tokio::time::timeout(long, lapse(None)).await;
        assert!(nothing.is_err(), "{nothing:?}");
        let lasts = tokio::time::timeout(long, lapse(Some(tokio::spawn(std::future::pending())))).await;
        assert!(lasts.is_err(), "{lasts:?}");
        assert_eq!(lapse(Some(tokio::spawn(async {}))).await, "there is no more to come");
        let panicked = lapse(Some(tokio::spawn(async { panic!("not like this") }))).await;
        assert!(panicked.contains("not like this"), "{panicked}");
    }
}
