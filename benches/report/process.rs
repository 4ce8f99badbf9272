//! The service as a process of its own: started, waited for, and what Linux tells of it.

use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::client::{Http, connect};
use super::support::process::{Service, get};

/// A service that has read everything, and how long that took.
pub fn start(kubeconfig: &Path, arguments: &[&str]) -> (Service, Duration) {
    let began = Instant::now();
    let service = Service::start(&[&["--kubeconfig", kubeconfig.to_str().expect("text")], arguments].concat());
    await_ready(&service);
    (service, began.elapsed())
}

pub fn await_ready(service: &Service) {
    let began = Instant::now();
    while get(&service.admin, "/readyz", &[]).status != 200 {
        assert!(began.elapsed() < PATIENCE, "the service is not ready: {}", service.log());
        thread::sleep(Duration::from_millis(5));
    }
}

/// A connection as its owner, who may see everything.
pub fn connect_to(service: &Service) -> Http<TcpStream> {
    connect(&service.address, &service.token)
}

/// Reads all of an answer; returns how many bytes it has. On a slow machine it may not be ready in time for the first who
/// asks.
pub fn view(service: &Service, encoding: &str) -> usize {
    let began = Instant::now();
    loop {
        match connect_to(service).skim("/v1/getEventMesh", &format!("accept-encoding: {encoding}\r\n")) {
            (200, size) => return size,
            (status, _) => assert!(status == 503 && began.elapsed() < PATIENCE, "{status}"),
        }
    }
}

/// MiB of memory: `VmRSS` is what is held, `VmHWM` the most that ever was.
pub fn memory(service: &Service, what: &str) -> f64 {
    let path = format!("/proc/{}/status", service.pid());
    let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let line = status.lines().find_map(|it| it.strip_prefix(what)?.strip_prefix(':')).expect("a line");
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes / 1024.0
}

/// Seconds of all processors that it has used.
pub fn computed(service: &Service) -> f64 {
    let path = format!("/proc/{}/stat", service.pid());
    let stat = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // The name of the program, in parentheses, may hold spaces.
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    // Linux shows hundredths of a second to programs, whatever it counts itself.
    (ticks(11) + ticks(12)) / 100.0
}
