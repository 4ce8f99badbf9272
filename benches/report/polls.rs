//! What a thousand callers take who ask once a second for a mesh that stays the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Size;
use super::asking::{self, Client};
use super::double::Double;
use super::figures::float;
use super::measure::{Measures, Target};
use super::process::{computed, memory, start};

const POLLERS: usize = 1000;
const EVERY: Duration = Duration::from_secs(1);
/// How often it is looked how much the service has computed, and for how long each time.
const WINDOWS: usize = 5;
const WINDOW: Duration = Duration::from_secs(4);
/// Processors.
const TARGET: f64 = 1.0;

pub fn measure(double: &Double, size: &Size, measures: &mut Measures) {
    measures.begin("polls", size.name);
    let (service, _) = start(&double.kubeconfig, &["--dev-token"]);
    let address: SocketAddr = service.address.parse().expect("an address");
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(1).enable_all().build().expect("a runtime");
    let answer = runtime.block_on(asking::ask(address, &service.token, "accept-encoding: zstd\r\n"));
    let headers = format!("accept-encoding: zstd\r\nif-none-match: {}\r\n", answer.etag());
    let unchanged = runtime.block_on(asking::ask(address, &service.token, &headers));
    assert_eq!(unchanged.status, 304);
    let before = memory(&service, "VmRSS");
    let request: Arc<str> = asking::request(&service.token, &headers).into();
    let first = Instant::now() + EVERY;
    for n in 0..POLLERS {
        // All over the second.
        let first = first + EVERY.mul_f64(float(n) / float(POLLERS));
        runtime.spawn(poll(address, request.clone(), first));
    }
    thread::sleep(3 * EVERY);
    let answered = || answers(&service.admin("/metrics").body);
    let mut cores = vec![];
    let mut rates = vec![];
    for _ in 0..WINDOWS {
        let (began, computed_before, answered_before) = (Instant::now(), computed(&service), answered());
        thread::sleep(WINDOW);
        let wall = began.elapsed().as_secs_f64();
        cores.push((computed(&service) - computed_before) / wall);
        rates.push((answered() - answered_before) / wall);
    }
    measures.hold("processors for 1,000 pollers at 1/s, unchanged", "", Target::AtMost(TARGET), cores);
    // One in a hundred may be late because the machine is busy.
    let enough = Target::AtLeast(0.99 * float(POLLERS) / EVERY.as_secs_f64());
    measures.hold("answers to them", "1/s", enough, rates);
    measures.tell("memory for their connections", "MiB", vec![memory(&service, "VmRSS") - before]);
    runtime.shutdown_background();
}

async fn poll(address: SocketAddr, request: Arc<str>, first: Instant) {
    let mut client = Client::connect_small(address).await;
    let mut ticks = interval_at(first, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        client.exchange(&request).await;
    }
}

/// How many answers with 304 the service has given.
fn answers(metrics: &str) -> f64 {
    let lines = metrics.lines().filter(|it| !it.starts_with('#') && it.contains("_requests") && it.contains("\"304\""));
    lines
        .filter(|it| !it.contains("_bucket") && !it.contains("_sum"))
        .filter_map(|it| it.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}
