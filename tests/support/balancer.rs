//! One address for several replicas, as a Service of Kubernetes is: connections go to one after the other, and nobody looks
//! into them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// It ends when it is dropped, and its connections with it.
pub struct Balancer {
    pub address: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    replicas: Vec<String>,
    next: usize,
    /// How many connections went to each, those included that it did not take.
    connections: BTreeMap<String, usize>,
    refused: Vec<String>,
}

impl Balancer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::<Mutex<State>>::default();
        let task = tokio::spawn(accept(listener, state.clone()));
        Self { address, state, task }
    }

    /// New connections go there as well.
    pub fn add(&self, replica: &str) {
        self.state.lock().unwrap().replicas.push(replica.to_owned());
    }

    /// No new connections go there; those that are there go on.
    pub fn remove(&self, replica: &str) {
        self.state.lock().unwrap().replicas.retain(|it| it != replica);
    }

    pub fn connections(&self) -> BTreeMap<String, usize> {
        self.state.lock().unwrap().connections.clone()
    }

    /// The connections that a replica did not take.
    pub fn refused(&self) -> Vec<String> {
        self.state.lock().unwrap().refused.clone()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                let replica = state.lock().unwrap().turn();
                connections.spawn(pass(client, replica, state.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl State {
    /// Whose turn it is.
    fn turn(&mut self) -> Option<String> {
        self.next += 1;
        let replica = self.replicas.get(self.next % self.replicas.len().max(1))?.clone();
        *self.connections.entry(replica.clone()).or_default() += 1;
        Some(replica)
    }
}

async fn pass(mut client: TcpStream, replica: Option<String>, state: Arc<Mutex<State>>) {
    let Some(replica) = replica else { return };
    let _ = client.set_nodelay(true);
    match TcpStream::connect(&replica).await {
        Ok(mut stream) => {
            let _ = stream.set_nodelay(true);
            let _ = tokio::io::copy_bidirectional(&mut client, &mut stream).await;
        }
        Err(error) => state.lock().unwrap().refused.push(format!("{replica}: {error}")),
    }
}
