//! The proxy of the tests: what passes it is recorded, and each fault does what it says.

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use support::cluster::{Cluster, PATIENCE, client};
use support::proxy::{Fault, How, Proxy};

const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

/// A server with one map, and the way to it.
struct World {
    cluster: Cluster,
    proxy: Proxy,
    client: Client,
}

/// A watch that has begun.
struct Watch {
    body: Body,
    text: String,
}

impl World {
    async fn new() -> Self {
        let cluster = Cluster::start().await;
        cluster.apply(&map("first")).await;
        let proxy = Proxy::start(&cluster).await;
        let client = client(proxy.kubeconfig()).await;
        Self { cluster, proxy, client }
    }

    async fn ask(&self, path: &str) -> Result<Response<Body>, kube::Error> {
        ask(&self.client, path).await
    }

    /// The body of an answer, or how far it came.
    async fn read(&self, path: &str) -> Result<String, String> {
        let mut watch =
            Watch { body: self.ask(path).await.map_err(|_| String::new())?.into_body(), text: String::new() };
        while let Some(piece) = watch.piece().await.map_err(|()| watch.text.clone())? {
            let _ = piece;
        }
        Ok(watch.text)
    }

    async fn watch(&self) -> Watch {
        let answer = self.ask(&format!("{MAPS}?watch=true")).await.expect("a watch");
        Watch { body: answer.into_body(), text: String::new() }
    }
}

impl Watch {
    /// An error if the connection broke.
    async fn piece(&mut self) -> Result<Option<Bytes>, ()> {
        let Some(frame) = self.body.frame().await else { return Ok(None) };
        let piece = frame.map_err(|_| ())?.into_data().unwrap_or_default();
        self.text.push_str(&String::from_utf8_lossy(&piece));
        Ok(Some(piece))
    }

    /// Reads until the text is there; false if the stream ended.
    async fn shows(&mut self, text: &str) -> bool {
        let shown = async {
            while !self.text.contains(text) {
                if !matches!(self.piece().await, Ok(Some(_))) {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(PATIENCE, shown).await.expect("an event or an end")
    }

    /// Reads to the end; true if it was a break.
    async fn breaks(&mut self) -> bool {
        let end = async {
            loop {
                match self.piece().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return false,
                    Err(()) => return true,
                }
            }
        };
        tokio::time::timeout(PATIENCE, end).await.expect("an end")
    }
}

async fn ask(client: &Client, path: &str) -> Result<Response<Body>, kube::Error> {
    client.send(Request::get(path).body(Body::empty()).unwrap()).await
}

fn map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "namespace": "shop", "name": name } })
}

fn maps() -> impl Fn(How) -> Fault {
    |how| Fault::new(how).group("").resource("configmaps")
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_recorded_as_the_server_understands_them() {
    let world = World::new().await;
    let mut watch = world.watch().await;
    assert!(watch.shows("first").await);
    for path in [
        &format!("{MAPS}?limit=1"),
        &format!("{MAPS}/first"),
        "/api/v1/namespaces",
        "/api/v1/namespaces/shop",
        "/apis/apps/v1/deployments?watch=0",
        "/apis",
    ] {
        assert_eq!(world.ask(path).await.unwrap().status(), 200, "{path}");
    }
    let seen = world.proxy.requests();
    let seen: Vec<_> = seen
        .iter()
        .map(|it| format!("{} {}/{} {}/{} {}", it.verb, it.group, it.resource, it.namespace, it.name, it.query))
        .collect();
    let expected = [
        "watch /configmaps shop/ watch=true",
        "list /configmaps shop/ limit=1",
        "get /configmaps shop/first ",
        "list /namespaces / ",
        "get /namespaces /shop ",
        "list apps/deployments / watch=0",
        "other / / ",
    ];
    assert_eq!(seen, expected);
    world.proxy.forget();
    assert_eq!(world.proxy.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_passed_on() {
    let world = World::new().await;
    let proxy = Proxy::start_as(&world.cluster, "nobody").await;
    let nobody = client(proxy.kubeconfig()).await;
    assert_eq!(ask(&nobody, MAPS).await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_break() {
    let world = World::new().await;
    let mut watch = world.watch().await;
    assert!(watch.shows("first").await);
    world.proxy.inject(Fault::new(How::Refuse));
    assert!(watch.breaks().await);
    assert!(world.ask(MAPS).await.is_err());
    world.proxy.heal();
    assert_eq!(world.ask(MAPS).await.unwrap().status(), 200);

    let mut watch = world.watch().await;
    assert!(watch.shows("first").await);
    world.proxy.inject(maps()(How::Refuse).verb("list").times(1));
    assert!(world.ask(MAPS).await.is_err());
    assert_eq!(world.ask(MAPS).await.unwrap().status(), 200, "once was enough");
    world.cluster.apply(&map("second")).await;
    assert!(watch.shows("second").await, "no fault for watches");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_goes_on_or_does_not() {
    let world = Arc::new(World::new().await);
    for resume in [true, false] {
        let (first, second) = (format!("{resume}-first"), format!("{resume}-second"));
        let mut watch = world.watch().await;
        assert!(watch.shows("\"first\"").await);
        world.proxy.inject(Fault::new(How::Hang { resume }));
        let seen = world.proxy.requests().len();
        let list = tokio::spawn({
            let world = world.clone();
            async move { world.ask(MAPS).await.map(|it| it.status()) }
        });
        support::cluster::eventually("a request", || async { (world.proxy.requests().len() > seen).then_some(()) })
            .await;
        world.cluster.apply(&map(&first)).await;
        world.proxy.heal();
        let fresh = client(world.proxy.kubeconfig()).await;
        assert_eq!(ask(&fresh, MAPS).await.unwrap().status(), 200);
        world.cluster.apply(&map(&second)).await;
        if resume {
            assert!(watch.shows(&first).await && watch.shows(&second).await);
            assert_eq!(list.await.unwrap().unwrap(), 200);
        } else {
            // A new watch has seen both, and the old one nothing.
            let mut fresh = Watch {
                body: ask(&fresh, &format!("{MAPS}?watch=true")).await.unwrap().into_body(),
                text: String::new(),
            };
            assert!(fresh.shows(&first).await && fresh.shows(&second).await);
            let nothing = tokio::time::timeout(Duration::from_millis(50), watch.piece()).await;
            assert!(nothing.is_err());
            assert!(!list.is_finished());
            list.abort();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_are_whole() {
    let world = World::new().await;
    world.proxy.inject(maps()(How::Slow(Duration::from_millis(10))));
    let text = world.read(MAPS).await.unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_cut() {
    let world = World::new().await;
    let mut watch = world.watch().await;
    assert!(watch.shows("first").await);
    let before = watch.text.len();
    world.proxy.inject(maps()(How::Cut { after: 10 }));
    assert_eq!(world.read(MAPS).await.unwrap_err().len(), 10);
    world.cluster.apply(&map("second")).await;
    assert!(watch.breaks().await);
    assert!(watch.text.len() > before && !watch.text.ends_with('\n'), "in the middle of an event: {}", watch.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_made_up() {
    let world = World::new().await;
    world.proxy.inject(maps()(How::Status { code: 429, retry_after: Some(7), body: None }).times(1));
    let answer = world.ask(MAPS).await.unwrap();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
    world.proxy.inject(maps()(How::status(410)).times(1));
    let error = world.client.request_text(Request::get(MAPS).body(Vec::new()).unwrap()).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 410 && status.reason == "Expired"), "{error}");

    world.proxy.inject(maps()(How::Gone));
    let mut watch = world.watch().await;
    assert!(!watch.breaks().await);
    let event: Value = serde_json::from_str(&watch.text).unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(world.ask(MAPS).await.unwrap().status(), 200, "not for lists");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_rewritten() {
    let world = World::new().await;
    let mut watch = world.watch().await;
    assert!(watch.shows("first").await && watch.text.ends_with('\n'));
    world.proxy.inject(maps()(How::lines(|line| vec!["garbage".into(), line.into(), line.into()])));
    world.proxy.inject(maps()(How::body(|mut it| {
        it.reverse();
        it
    })));
    world.cluster.apply(&map("second")).await;
    assert!(watch.shows("second").await);
    let lines: Vec<_> = watch.text.lines().filter(|it| it.contains("second") || *it == "garbage").collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((lines[0], lines[1]), ("garbage", lines[2]));
    assert!(world.read(MAPS).await.unwrap().starts_with('}') || world.read(MAPS).await.unwrap().starts_with("\n}"));
    world.proxy.heal();
    assert!(world.read(MAPS).await.unwrap().starts_with('{'));
    world.cluster.apply(&map("third")).await;
    assert!(watch.shows("third").await);
    assert!(!watch.text.contains("garbage\n{\"type\":\"ADDED\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"third\""));
}
