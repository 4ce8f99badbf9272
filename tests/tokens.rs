//! Forged and abused tokens: whatever can be wrong with a token, thrown at the binary over TCP, with real keys of an
//! issuer, at a real API server.
//!
//! What must stay true: nobody gets in who should not; what fails a check of the service never reaches the API server;
//! nothing of a token is told to anybody. And who should get in does.

#[path = "tokens/case.rs"]
mod case;
#[path = "tokens/claims.rs"]
mod claims;
#[path = "tokens/controls.rs"]
mod controls;
#[path = "tokens/headers.rs"]
mod headers;
#[path = "tokens/http.rs"]
mod http;
#[path = "tokens/http2.rs"]
mod http2;
#[path = "tokens/issuer.rs"]
mod issuer;
#[path = "tokens/keys.rs"]
mod keys;
#[path = "tokens/people.rs"]
mod people;
#[path = "tokens/rights.rs"]
mod rights;
#[path = "tokens/signatures.rs"]
mod signatures;
mod support;
#[path = "tokens/wire.rs"]
mod wire;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use self::case::{Case, Mint, Outcome};
use self::issuer::Issuers;
use self::support::cluster::{Cluster, eventually};
use self::support::process::Service;
use self::support::proxy::Proxy;
use self::support::tls::Authority;
use self::wire::Answer;

/// How long a part of a token is that nobody may tell.
const SAMPLE: usize = 20;

/// All that takes part.
struct World {
    cluster: Cluster,
    proxy: Proxy,
    issuers: Issuers,
    mint: Mint,
    service: Service,
    /// Takes no tokens that are for the API server.
    strict: Service,
    /// Answers over TLS, with HTTP/2.
    encrypted: Service,
    authority: Authority,
    _folder: TempDir,
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_get_nobody_in() {
    let Some(world) = World::new().await else { return };
    let mut cases = vec![];
    for family in [
        headers::families(&world.mint),
        signatures::families(&world.mint),
        claims::families(&world.mint),
        people::families(&world.mint),
        http::families(&world.mint),
        controls::families(&world.mint, &world.cluster).await,
    ] {
        cases.extend(family.into_iter().flat_map(|it| it.cases));
    }
    let names: BTreeSet<_> = cases.iter().map(|it| (it.family, &it.name)).collect();
    assert_eq!(names.len(), cases.len(), "each case has a name of its own");

    let mut failures = vec![];
    // As long as nobody is asked, whoever is must have been asked by the last case.
    for asks in [false, true] {
        for (n, case) in (1..).zip(cases.iter().filter(|it| it.outcome.asks() == asks)) {
            let before = world.reviews();
            let answer = wire::send(&world.of(case).address, address(n), &case.request).await;
            let mut wrong = unexpected(case, &answer);
            match (asks, world.reviews() - before) {
                (false, 0) => (),
                (false, asked) => wrong.push(format!("the API server was asked {asked} times")),
                (true, 0) => wrong.push("the API server was not asked".into()),
                (true, _) => (),
            }
            if !wrong.is_empty() {
                failures.push(format!("{}: {}: {}", case.family, case.name, wrong.join("; ")));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));

    let over_http2 = http2::check(&world).await;
    let rotated = rights::rotate(&world).await;
    let rights = rights::check(&world).await;
    world.tells_nothing(&cases);
    let mut counts = BTreeMap::<_, usize>::new();
    for case in &cases {
        *counts.entry(case.family).or_default() += 1;
    }
    counts.extend([("HTTP/2", over_http2), ("keys taken away", rotated), ("rights", rights)]);
    for (family, count) in &counts {
        println!("{count:5} {family}");
    }
    println!("{:5} in all", counts.values().sum::<usize>());
}

impl World {
    /// None where it cannot be had, which is said.
    async fn new() -> Option<Self> {
        Cluster::knative_crds()?;
        let cluster = Cluster::start().await;
        if cluster.is_external() {
            support::not_run("a check that needs the keys of its cluster");
            return None;
        }
        cluster.install_knative().await;
        rights::prepare(&cluster).await;
        let proxy = Proxy::start(&cluster).await;
        let issuers = Issuers::start();
        let example = cluster.caller_token(controls::HOME, controls::READER).await;
        let key = cluster.kubeconfig().with_file_name("service-account.key");
        let mint = Mint::new(&issuers, &key, &example);
        let folder = TempDir::new().unwrap();
        let configuration = issuers.configuration(folder.path());
        let authority = Authority::new();
        authority.issue().write(folder.path());
        let [certificate, key] = ["tls.crt", "tls.key"].map(|it| folder.path().join(it).to_str().unwrap().to_owned());
        let serve = |more: &[&str]| serve(proxy.kubeconfig(), &configuration, more);
        let (service, strict) = (serve(&[]), serve(&["--strict-audience"]));
        let encrypted = serve(&["--tls-cert", &certificate, "--tls-key", &key]);
        let world = Self { cluster, proxy, issuers, mint, service, strict, encrypted, authority, _folder: folder };
        let good = wire::get(&[format!("Authorization: Bearer {}", world.mint.main(json!({ "jti": "first" })))]);
        for service in [&world.service, &world.strict] {
            let ask = async || (wire::send(&service.address, address(0), &good).await.status == 200).then_some(());
            eventually("an answer", ask).await;
        }
        eventually("readiness", async || (world.encrypted.admin("/readyz").status == 200).then_some(())).await;
        assert_eq!(world.reviews(), 0, "the token is checked by the service");
        Some(world)
    }

    fn of(&self, case: &Case) -> &Service {
        if case.is_strict { &self.strict } else { &self.service }
    }

    async fn ask(&self, request: &[u8]) -> Answer {
        wire::send(&self.service.address, address(0), request).await
    }

    /// How often the API server was asked whose token something is.
    fn reviews(&self) -> usize {
        self.proxy.requests().iter().filter(|it| it.path.ends_with("/tokenreviews")).count()
    }

    /// Nothing of a token is in what is told to those who run the service, and nobody was asked where tokens say to
    /// ask.
    fn tells_nothing(&self, cases: &[Case]) {
        let mut told = String::new();
        for service in [&self.service, &self.strict, &self.encrypted] {
            told += &service.log();
            told += &service.admin("/metrics").body;
            told += &service.admin("/readyz?verbose").body;
        }
        assert!(told.contains("A token is refused") && told.contains("catalog"), "something is told");
        // Whatever is a part of a token is within something that looks like one.
        let told_of: HashSet<_> = words(told.as_bytes()).flat_map(|it| it.windows(SAMPLE)).collect();
        let is_told = |it: &&Case| samples(&it.request).any(|it| told_of.contains(it));
        let names: Vec<_> = cases.iter().filter(is_told).map(|it| format!("{}: {}", it.family, it.name)).collect();
        assert!(names.is_empty(), "parts of tokens are told:\n{}", names.join("\n"));
        assert!(!told.contains("admin-token"), "the administrator's token is told");
        let strange = |it: &String| !it.ends_with("/.well-known/openid-configuration") && !it.ends_with("/keys");
        let strange: Vec<_> = self.issuers.asked().into_iter().filter(strange).collect();
        assert_eq!(strange, Vec::<String>::new(), "a token says where keys are");
    }
}

fn serve(kubeconfig: &Path, configuration: &Path, more: &[&str]) -> Service {
    let (kubeconfig, configuration) = (kubeconfig.to_str().unwrap(), configuration.to_str().unwrap());
    let arguments = ["--kubeconfig", kubeconfig, "--authentication-config", configuration, "--log", "trace"];
    Service::start(&[&arguments, more].concat())
}

/// One of its own for each case: tokens that nobody knows are not taken from one address for ever.
fn address(n: u16) -> Ipv4Addr {
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(127, 1 + high, low, 7)
}

/// What is wrong with an answer.
fn unexpected(case: &Case, answer: &Answer) -> Vec<String> {
    let mut wrong = vec![];
    let (status, challenge) = match case.outcome {
        Outcome::Refused | Outcome::Unknown => (401, "Bearer error=\"invalid_token\""),
        Outcome::Missing => (401, "Bearer"),
        Outcome::Good | Outcome::Vouched => (200, ""),
        Outcome::Status(status) => (status, ""),
        Outcome::TooLarge | Outcome::Closed if answer.status == 0 => return wrong,
        Outcome::Closed => (0, ""),
        Outcome::TooLarge => (431, ""),
    };
    let mut expect = |what: &str, expected: &str, found: &str| {
        if expected != found {
            wrong.push(format!("{what} {found:?} instead of {expected:?}"));
        }
    };
    expect("status", &status.to_string(), &answer.status.to_string());
    expect("WWW-Authenticate", challenge, answer.header("www-authenticate"));
    let is_head = case.request.starts_with(b"HEAD");
    // Of a request that is none, nobody reads on.
    let is_silent = is_head || answer.body.is_empty() && matches!(answer.status, 400 | 431);
    if !is_silent && answer.status != 200 {
        expect("Content-Type", "application/problem+json", answer.header("content-type"));
        expect("Cache-Control", "no-store", answer.header("cache-control"));
        let problem: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        expect("status of the problem", &status.to_string(), &problem["status"].to_string());
    }
    let told = [answer.head.as_bytes(), answer.body.as_bytes()];
    let told_of: HashSet<_> = told.into_iter().flat_map(words).flat_map(|it| it.windows(SAMPLE)).collect();
    if samples(&case.request).any(|it| told_of.contains(it)) {
        wrong.push(format!("it tells parts of the token: {}", answer.body));
    }
    wrong
}

/// What looks like a token, or a part of one.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_of_token = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'+' | b'/');
    text.split(move |it| !is_of_token(it)).filter(|it| it.len() >= SAMPLE)
}

/// Parts of what looks like tokens in a request: the middles and the ends.
fn samples(request: &[u8]) -> impl Iterator<Item = &[u8]> {
    // What a request is for is no secret.
    let is_known = |it: &&[u8]| it.ends_with(b"getEventMesh");
    let parts = words(request).filter(move |it| !is_known(it));
    parts.flat_map(|it| [&it[(it.len() - SAMPLE) / 2..][..SAMPLE], &it[it.len() - SAMPLE..]])
}
