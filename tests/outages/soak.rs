//! A service for as long as it takes to see whether anything grows, slows down or goes wrong: the mesh changes, callers
//! come and go with their roles, the API server is restarted, and some ask all the time.
//!
//! Again and again everything rests for a moment; then what each may see is worked out from what the API server holds, and
//! every answer has to be just that. In between no answer may be short, or show what never was.
//!
//! `make soak` runs it for half an hour with 10,000 objects, or for `EVENTMESH_SOAK_MINUTES`; a few seconds of it are run
//! with all other tests. `EVENTMESH_SOAK_SEED` makes it another run.

#[path = "soak/callers.rs"]
mod callers;
#[path = "soak/check.rs"]
mod check;
#[path = "soak/churn.rs"]
mod churn;
#[path = "soak/polls.rs"]
mod polls;
#[path = "soak/report.rs"]
mod report;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use tokio::task::JoinHandle;

use self::callers::{Standing, crowd, standing};
use self::check::Checker;
use self::churn::{Churn, passing_kind};
use self::polls::{Board, Habit, Looks};
use self::report::{Counts, Phases, Report, Usage};
use super::MESH;
use super::support::cluster::{Cluster, eventually};
use super::support::generate::{Arguments, M, generate};
use super::support::history::{definition, round};
use super::support::not_run;
use super::support::polling::{Caller, ENCODINGS};
use super::support::process::Service;
use super::support::proxy::Proxy;

/// What a run is made of.
struct Plan {
    size: Arguments,
    seed: u64,
    /// None: a miniature.
    length: Option<Duration>,
    /// How long the mesh changes, and how long it rests, in each row.
    churn: Duration,
    rest: Duration,
    /// Of one row in so many.
    restart: usize,
    crowd: usize,
}

impl Plan {
    fn from_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|it| it.parse::<u64>().expect("a number"));
        let seed = number("EVENTMESH_SOAK_SEED").unwrap_or(1);
        let seconds = Duration::from_secs;
        match number("EVENTMESH_SOAK_MINUTES") {
            Some(minutes) => Self {
                size: M,
                seed,
                length: Some(seconds(60 * minutes)),
                churn: seconds(25),
                rest: seconds(20),
                restart: 3,
                crowd: 100,
            },
            None => Self {
                size: Arguments {
                    namespaces: 4,
                    brokers: 6,
                    event_types: 40,
                    triggers: 40,
                    subscribers: 20,
                    channels: 4,
                    subscriptions: 4,
                    sources: 4,
                    seed: 1,
                },
                seed,
                length: None,
                churn: seconds(3),
                rest: seconds(1),
                restart: 2,
                crowd: 10,
            },
        }
    }

    fn goes_on(&self, report: &Report, rows: usize) -> bool {
        self.length.map_or(rows < 2, |it| report.age() < it)
    }
}

/// A cluster, the way to it, and the service at the end of the way, which is asked all the time.
struct World {
    pollers: Vec<JoinHandle<()>>,
    usage: Arc<Mutex<Vec<Usage>>>,
    board: Board,
    service: Service,
    /// Another one, which asks nothing about callers.
    unreviewed: Service,
    proxy: Proxy,
    cluster: Cluster,
    standing: Arc<[Standing]>,
    teams: Vec<String>,
    churn: Churn,
    checker: Checker,
    counts: Counts,
    newcomers: usize,
}

impl World {
    async fn new(plan: &Plan) -> Self {
        let cluster = Cluster::start().await;
        let objects = generate(&plan.size);
        let began = Instant::now();
        cluster.apply_all(&objects).await;
        cluster.apply(&definition("v1")).await;
        cluster.apply_all(&round(0)).await;
        println!("{} objects written in {:.0?}", objects.len(), began.elapsed());
        let teams: Vec<_> = (0..plan.size.namespaces).map(|it| format!("team-{it:03}")).collect();
        let standing: Arc<[_]> = standing(&cluster, &teams).await.into();
        let proxy = Proxy::start(&cluster).await;
        let service = Service::start(&["--kubeconfig", proxy.kubeconfig().to_str().unwrap()]);
        let unreviewed = Service::start(&["--kubeconfig", cluster.kubeconfig().to_str().unwrap(), "--dev-token"]);
        for it in [&service, &unreviewed] {
            eventually("a whole mesh", async || (it.admin("/readyz").status == 200).then_some(())).await;
        }
        let churn = Churn::new(plan.seed, &objects);
        let mut world = Self {
            pollers: vec![],
            usage: Arc::default(),
            board: Board::default(),
            checker: Checker::new(&service.address, standing.clone()),
            service,
            unreviewed,
            proxy,
            cluster,
            standing,
            teams,
            churn,
            counts: Counts::default(),
            newcomers: 0,
        };
        // Before anybody asks, everybody's rights count.
        world.check("the start").await;
        let lasting = Arc::new(world.churn.lasting(&objects));
        world.start_polling(lasting).await;
        world
    }

    async fn start_polling(&mut self, lasting: Arc<BTreeSet<(String, String)>>) {
        let ms = Duration::from_millis;
        let (short, long) = (ms(100), ms(1000));
        let one: &[&str] = &["gzip"];
        let habit = |path, encodings, conditional, rest, looks| Habit {
            path,
            encodings,
            conditional,
            rest,
            looks,
            reviewed: true,
        };
        let selected = "/v1/getEventMesh?namespace=team-000&labelSelector=domain%3Dorder";
        let habits = [
            ("portal", habit(MESH, one, true, short, Looks::Whole(lasting.clone()))),
            ("portal", habit(MESH, &ENCODINGS, true, short, Looks::Tags)),
            ("portal", habit(MESH, &ENCODINGS, false, ms(500), Looks::Tags)),
            ("portal", habit(selected, one, false, ms(500), Looks::Tags)),
            ("shop", habit(MESH, one, true, ms(250), Looks::Small)),
            ("team", habit(MESH, &ENCODINGS, true, long, Looks::Tags)),
            ("types", habit(MESH, &ENCODINGS, true, long, Looks::Tags)),
            ("nobody", habit(MESH, one, true, long, Looks::Nothing)),
        ];
        for (who, habit) in habits {
            let it = self.standing.iter().find(|it| it.name == who).expect("one of those who stay");
            let address = &self.service.address;
            self.pollers.push(self.board.poll(it.name, address, &it.token, habit, &round(0)));
        }
        // Whoever needs no review has an answer, whether or not the API server has one.
        let habit = Habit { reviewed: false, ..habit(MESH, one, true, ms(250), Looks::Whole(lasting)) };
        let (address, token) = (&self.unreviewed.address, &self.unreviewed.token);
        self.pollers.push(self.board.poll("developer", address, token, habit, &round(0)));
        let portal = &self.standing[0];
        let whole =
            Caller::new(&self.service.address, &portal.token).request(MESH, &[("accept-encoding", "gzip")]).await;
        let bare = bare(whole.expect("an answer").into_body()).await;
        self.pollers.push(self.board.poll_bare(&bare, "/", short));
        self.pollers.push(self.board.poll_bare(&bare, "/body", ms(500)));
        self.pollers.push(tokio::spawn(watch(self.service.pid(), self.usage.clone())));
    }

    /// One row.
    async fn go_on(&mut self, plan: &Plan, row: usize, report: &mut Report) {
        let began = Instant::now();
        let passing = passing_kind();
        self.cluster.apply_all(&passing).await;
        let written = self.churn.writes;
        let changing = async {
            while began.elapsed() < plan.churn {
                self.churn.step(&self.cluster, &self.board.histories).await;
            }
        };
        let coming =
            crowd(&self.cluster, &self.service.address, &self.board, &self.teams, (self.newcomers, plan.crowd));
        tokio::join!(changing, coming);
        let busy = self.used();
        self.newcomers += plan.crowd;
        if row % plan.restart == plan.restart - 1 {
            self.restart(row / plan.restart).await;
        }
        self.check(&format!("row {row}")).await;
        // What is there for a while does not matter to what stays.
        self.cluster.delete(&passing[1]).await;
        self.cluster.delete(&passing[0]).await;
        tokio::time::sleep(plan.rest).await;
        self.counts.writes += self.churn.writes - written;
        self.counts.newcomers += plan.crowd;
        self.counts.lists = self.proxy.requests().iter().filter(|it| it.verb == "list").count();
        self.proxy.forget();
        let samples = std::mem::take(&mut *self.board.samples.lock().unwrap());
        let usage = Phases { busy, resting: self.used() };
        report.add(usage, samples, std::mem::take(&mut self.counts));
    }

    /// What the service took since this was asked last.
    fn used(&self) -> Vec<Usage> {
        std::mem::take(&mut *self.usage.lock().unwrap())
    }

    async fn restart(&mut self, n: usize) {
        self.board.goes_away();
        if n.is_multiple_of(2) {
            self.cluster.kill().await;
        }
        self.cluster.restart().await;
        self.board.is_back();
        self.counts.restarts += 1;
        for _ in 0..20 {
            self.churn.step(&self.cluster, &self.board.histories).await;
        }
    }

    /// Holds what everybody is answered now against what it should be.
    async fn check(&mut self, when: &str) {
        self.board.paused.store(true, Ordering::Relaxed);
        self.counts.checked += self.checker.check(&self.cluster, &self.board, when).await;
        self.board.paused.store(false, Ordering::Relaxed);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.pollers.iter().for_each(JoinHandle::abort);
    }
}

/// What the service takes, once a second.
async fn watch(process: u32, usage: Arc<Mutex<Vec<Usage>>>) {
    loop {
        usage.lock().unwrap().push(Usage::of(process));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Routes that always answer the same, on the same machine at the same time: next to nothing, and as much as the mesh.
async fn bare(body: Bytes) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().route("/", get(|| async { "" })).route("/body", get(|| async move { body.clone() }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_stays_as_it_is_for_a_long_time() {
    let plan = Plan::from_environment();
    println!("seed {}, {:?}", plan.seed, plan.size);
    let mut world = World::new(&plan).await;
    if world.cluster.is_external() {
        not_run("a check that restarts its API server");
        return;
    }
    let mut report = Report::begin();
    let mut row = 0;
    while plan.goes_on(&report, row) {
        world.go_on(&plan, row, &mut report).await;
        row += 1;
    }
    assert!(report.is_good(), "seed {}: something was wrong, or grew", plan.seed);
}
