//! Two meshes that differ only in what a caller does not see give the caller the same answers, to the byte
//! (`semantics.md` 7.2).

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use eventmesh_catalog::access::tokens::Settings;
use eventmesh_catalog::access::{Access, Cluster};
use eventmesh_catalog::api::edge::{Edge, Edged};
use eventmesh_catalog::api::render::Bodies;
use eventmesh_catalog::api::{self, Api};
use eventmesh_catalog::index::status::{KindStatus, Reads, State as Reading, Status};
use eventmesh_catalog::index::{self, Batch};
use eventmesh_catalog::kubernetes::server::Server;
use eventmesh_catalog::mesh::{Resource, Update};
use eventmesh_catalog::origins::kubernetes::kinds::known_definitions;
use http_body_util::BodyExt as _;
use proptest::collection::vec;
use proptest::prelude::*;
use tower::ServiceExt as _;

use super::reviewer::{self, Callers};
use super::support::meshes::{self, Mesh, State, mesh};
use super::support::property::check;
use super::support::rules::{Rules, places, rules};

const QUERIES: [&str; 4] =
    ["", "?labelSelector=tier%3Dgold", "?namespace=a&namespace=b", "?namespace=a-b&labelSelector=!tier"];
const ENCODINGS: [&str; 4] = ["identity", "zstd", "br", "gzip"];

/// The router, as the process puts it together, of a mesh.
struct Service {
    router: Edged,
    feed: index::Feed,
    reader: index::Reader,
}

type Answer = (StatusCode, HeaderMap, Vec<u8>);

impl Service {
    async fn of(mesh: &Mesh, server: &Server) -> Self {
        let (feed, indexer, reader) = index::channel();
        tokio::spawn(indexer.run());
        let lifetime = std::time::Duration::from_mins(1);
        let settings = Settings { audience: "eventmesh-catalog".into(), is_strict: true, lifetime };
        let cluster = Cluster::new(server.clone(), vec![], settings, [0; 32]);
        let access = Arc::new(Access::new(None, None, Some(cluster)));
        let api = Api { reader: reader.clone(), access, bodies: Bodies::default() };
        let router = api::router(api, Edge::new("test", Arc::new(|_, _, _, _| {})));
        let service = Self { router, feed, reader };
        let resources = known_definitions().into_iter().chain(mesh.resources());
        service.apply(resources.map(Update::Upsert).collect(), &mesh.resources()).await;
        service
    }

    /// Tells of changes, and waits until all of them count.
    async fn apply(&self, updates: Vec<Update>, all: &[Arc<Resource>]) {
        let kind = |(of, place)| KindStatus {
            of,
            defined: true,
            place: Some(place),
            state: Reading::Live,
            reads: Reads::default(),
        };
        let kinds = places(all).into_iter().map(kind).collect();
        let before = self.reader.status();
        let status = Some(Status { kinds, ..Status::default() });
        self.feed.send(Batch { updates, complete: true, status }).await.unwrap();
        while Arc::ptr_eq(&before, &self.reader.status()) {
            tokio::task::yield_now().await;
        }
    }

    async fn get(&self, token: &str, query: &str, encoding: &str, known: Option<&str>) -> Answer {
        let uri = format!("/v1/getEventMesh{query}");
        let request = Request::get(uri)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::ACCEPT_ENCODING, encoding)
            .header("x-request-id", "the-same");
        let request = known.into_iter().fold(request, |it, known| it.header(header::IF_NONE_MATCH, known));
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    /// The answers to all questions, and those to one who has them already.
    async fn answers(&self, token: &str) -> Vec<(String, Answer)> {
        let mut answers = vec![];
        for (query, encoding) in QUERIES.iter().flat_map(|query| ENCODINGS.map(|it| (query, it))) {
            let first = self.get(token, query, encoding, None).await;
            let tag = first.1.get(header::ETAG).map(|it| it.to_str().unwrap().to_owned());
            let again = self.get(token, query, encoding, tag.as_deref()).await;
            answers.push((format!("{query} {encoding}"), first));
            answers.push((format!("{query} {encoding} again"), again));
        }
        answers
    }
}

/// Another mesh for the same caller: all changes are made that are of hidden objects alone. Definitions count as seen.
fn changed(mesh: &Mesh, changes: &[meshes::Change], rules: &Rules) -> (Mesh, Vec<Update>) {
    let mut state = State::new(mesh);
    let mut touched = BTreeSet::new();
    for change in changes {
        let mut next = state.clone();
        let Some(key) = next.make(change) else { continue };
        let is_definition = &*key.of.kind == "CustomResourceDefinition";
        if !is_definition && !rules.lists(&key) && !rules.gets(&key) && next.0 != state.0 {
            touched.insert(key);
            state = next;
        }
    }
    let mesh = state.mesh();
    let resources = mesh.resources();
    let update = |key| match resources.iter().find(|it| it.key == key) {
        Some(it) => Update::Upsert(it.clone()),
        None => Update::Remove(key),
    };
    (mesh.clone(), touched.into_iter().map(update).collect())
}

#[test]
fn what_is_hidden_changes_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let callers = Callers::default();
    let server = runtime.block_on(reviewer::start(callers.clone()));
    let (cases, counts) = (Cell::new(0), Cell::new([0; 3]));
    let changes = vec(meshes::change(), 1..40);
    check("leaks", 150, (mesh(10..60), changes, rules(), any::<bool>()), |(mesh, changes, rules, afresh)| {
        let token = format!("caller-{}", cases.replace(cases.get() + 1));
        callers.lock().unwrap().insert(token.clone(), rules.clone());
        let (other, updates) = changed(&mesh, &changes, &rules);
        let hidden = updates.len();
        let (before, after) = runtime.block_on(async {
            let one = Service::of(&mesh, &server).await;
            let before = one.answers(&token).await;
            // What was answered before is at hand, or nothing is.
            let two = if afresh { Service::of(&other, &server).await } else { one };
            if !afresh {
                two.apply(updates, &other.resources()).await;
            }
            (before, two.answers(&token).await)
        });
        for ((query, before), (_, after)) in before.iter().zip(&after) {
            let status = if query.ends_with("again") { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
            if before.0 != status || before != after {
                let [before, after] = [before, after].map(|it| (&it.0, &it.1, String::from_utf8_lossy(&it.2)));
                return Err(format!("{query}\nbefore {before:#?}\nafter {after:#?}\nin {other:?}"));
            }
        }
        let [objects, others, shown] = counts.get();
        let is_shown = before[0].1.2.windows(4).any(|it| it == b"\"uid");
        counts.set([objects + hidden, others + usize::from(hidden > 0), shown + usize::from(is_shown)]);
        Ok(())
    });
    let [objects, others, shown] = counts.get();
    println!("{objects} hidden objects differ in {others} meshes, {shown} callers see something");
    assert!(objects > 500 && others > 80 && shown > 50, "much is hidden and much is seen");
}
