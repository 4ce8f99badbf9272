//! The HTTP contract: the router in process, requests in, answers out.

mod support;

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use eventmesh_catalog::access::{Access, Token};
use eventmesh_catalog::api::dto::EventMesh;
use eventmesh_catalog::api::edge::{Edge, Edged, MAX_BODY, MAX_HEADERS, MAX_URI, Observer};
use eventmesh_catalog::api::error::Problem;
use eventmesh_catalog::api::render::Bodies;
use eventmesh_catalog::api::{self, Api};
use eventmesh_catalog::index::status::{KindStatus, Reads, State, Status};
use eventmesh_catalog::index::{self, Batch};
use eventmesh_catalog::mesh::{Grant, GroupKind, Update};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

const TOKEN: &str = "a-good-token";
const MESH: &str = "/v1/getEventMesh";

const SHOP: &str = "
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: orders, namespace: shop, labels: {team: checkout}}
spec: {}
---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {name: placed, namespace: shop, labels: {team: checkout}}
spec:
  type: shop.order.placed
  reference: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: orders}
---
apiVersion: eventing.knative.dev/v1beta2
kind: EventType
metadata: {name: shipped, namespace: logistics}
spec: {type: shop.order.shipped}
";

struct Service {
    router: Edged,
    feed: index::Feed,
    reader: index::Reader,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Service {
    /// Knows the token, and nothing of the mesh yet.
    fn empty() -> Self {
        Self::observed(Arc::new(|_, _, _, _| {}))
    }

    fn observed(observer: Observer) -> Self {
        let (feed, indexer, reader) = index::channel();
        tokio::spawn(indexer.run());
        let access = Arc::new(Access::new(None, Some(&Token::new(TOKEN)), None));
        let api = Api { reader: reader.clone(), access, bodies: Bodies::default() };
        let router = api::router(api, Edge::new("test", observer));
        Self { router, feed, reader }
    }

    async fn with(yaml: &str) -> Self {
        let service = Self::empty();
        service.apply(yaml).await;
        service
    }

    /// Says how the origin stands, and waits until that is known.
    async fn report(&self, status: Status) {
        let before = self.reader.status();
        let complete = self.reader.latest().is_complete();
        self.feed.send(Batch { updates: vec![], complete, status: Some(status) }).await.unwrap();
        while Arc::ptr_eq(&before, &self.reader.status()) {
            tokio::task::yield_now().await;
        }
    }

    /// Adds objects and waits until they are published.
    async fn apply(&self, yaml: &str) {
        let before = self.reader.latest().revision();
        let updates = support::resources(yaml).into_iter().map(Update::Upsert).collect();
        self.feed.send(Batch { updates, complete: true, status: None }).await.unwrap();
        while self.reader.latest().revision() == before {
            tokio::task::yield_now().await;
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, uri: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request(Method::GET, uri, headers)).await
    }
}

/// A request with a good token and these headers.
fn request(method: Method, uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(uri);
    builder = builder.header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::empty()).unwrap()
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.request_id, self.header("x-request-id"));
        problem
    }

    fn mesh(&self) -> EventMesh {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[tokio::test]
async fn the_answer_is_the_view() {
    let service = Service::with(SHOP).await;
    let answer = service.get(MESH, &[]).await;
    let expected = support::answer(&support::snapshot(support::resources(SHOP)), &Grant::everything());
    assert_eq!(answer.mesh(), expected);
    assert_eq!(answer.body, serde_json::to_vec(&expected).unwrap(), "no blank, no other order");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.header("vary"), "Authorization, Accept, Accept-Encoding");
}

#[tokio::test]
async fn without_a_good_token_there_is_only_the_document() {
    let service = Service::with(SHOP).await;
    let long = format!("Bearer {}", "a".repeat(17 * 1024));
    let cases: [(&[&str], &str); 12] = [
        (&[], "Bearer"),
        (&["Bearer"], "Bearer"),
        (&["Bearer "], "Bearer"),
        (&["Basic YTpi"], "Bearer"),
        (&["Bearer a b"], "Bearer error=\"invalid_token\""),
        (&["Bearer a,b"], "Bearer error=\"invalid_token\""),
        (&["Bearer a=b"], "Bearer error=\"invalid_token\""),
        (&[&long], "Bearer error=\"invalid_token\""),
        (&["Bearer a-good-token", "Bearer a-good-token"], "Bearer error=\"invalid_token\""),
        (&["Bearer a-good-toke"], "Bearer error=\"invalid_token\""),
        (&["Bearer a-good-tokenn"], "Bearer error=\"invalid_token\""),
        (&["Bearer A-GOOD-TOKEN"], "Bearer error=\"invalid_token\""),
    ];
    for (lines, challenge) in cases {
        for (method, uri) in
            [("GET", MESH), ("HEAD", MESH), ("POST", MESH), ("GET", "/"), ("GET", "/nothing"), ("GET", "/v1/")]
        {
            let mut builder = Request::builder().method(method).uri(uri);
            for line in lines {
                builder = builder.header(header::AUTHORIZATION, *line);
            }
            let answer = service.send(builder.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {uri} {lines:.40?}");
            assert_eq!(answer.header("www-authenticate"), challenge, "{method} {uri} {lines:.40?}");
            if method != "HEAD" {
                answer.problem();
            }
        }
    }
    for line in ["bearer a-good-token", "BEARER   a-good-token"] {
        let with = Request::builder().uri(MESH).header(header::AUTHORIZATION, line);
        service.send(with.body(Body::empty()).unwrap()).await.mesh();
    }
    let nothing = Request::builder().uri("/docs/nothing").body(Body::empty()).unwrap();
    assert_eq!(service.send(nothing).await.problem().status, 404);
    for uri in ["/openapi.json", "/docs/"] {
        let without = Request::builder().uri(uri).body(Body::empty()).unwrap();
        assert_eq!(service.send(without).await.status, StatusCode::OK, "{uri}");
    }
}

/// Method, URI and header fields; status and a part of the detail.
type Refused<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16, &'a str);

#[tokio::test]
async fn what_cannot_be_answered_is_a_problem_that_says_what_to_do() {
    let service = Service::with(SHOP).await;
    let long_uri = format!("{MESH}?labelSelector={}", "a".repeat(MAX_URI));
    let long_header = "a".repeat(MAX_HEADERS);
    let long_body = (MAX_BODY + 1).to_string();
    let cases: [Refused<'_>; 16] = [
        ("GET", "/", &[], 404, "There is nothing here"),
        ("GET", "/v1/getEventMesh/", &[], 404, "There is nothing here"),
        ("POST", MESH, &[], 405, "Only GET and HEAD"),
        ("DELETE", MESH, &[], 405, "Only GET and HEAD"),
        ("OPTIONS", MESH, &[], 405, "Only GET and HEAD"),
        ("POST", "/openapi.json", &[], 405, "Only GET and HEAD"),
        ("GET", MESH, &[("accept", "text/html")], 406, "application/json"),
        ("GET", MESH, &[("accept-encoding", "identity;q=0")], 406, "None of the accepted encodings"),
        ("GET", MESH, &[("content-length", &long_body)], 413, "more than 16384 bytes"),
        ("GET", &long_uri, &[], 414, "longer than 8192 bytes"),
        ("GET", MESH, &[("x-long", &long_header)], 431, "larger than 32768 bytes"),
        ("GET", "/v1/getEventMesh?labelSelector=a%20b", &[], 400, "found `b` at character 3"),
        ("GET", "/v1/getEventMesh?labelSelector=a&labelSelector=b", &[], 400, "given twice"),
        ("GET", "/v1/getEventMesh?labelselector=a", &[], 400, "`labelselector` is not a parameter"),
        ("GET", "/v1/getEventMesh?namespace=", &[], 400, "`` is not the name of a namespace"),
        ("GET", "/v1/getEventMesh?namespace=A_b", &[], 400, "`A_b` is not the name of a namespace"),
    ];
    for (method, uri, headers, status, detail) in cases {
        let answer = service.send(request(method.parse().unwrap(), uri, headers)).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {uri:.60} {:.80}", String::from_utf8_lossy(&answer.body));
        let problem = answer.problem();
        assert!(problem.detail.contains(detail), "{method} {uri:.60}: {}", problem.detail);
        if status == 405 {
            assert_eq!(answer.header("allow").replace(' ', ""), "GET,HEAD", "{method} {uri}");
        }
    }
}

#[tokio::test]
async fn answers_are_counted_by_routes_and_not_by_what_callers_write() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let service = Service::observed(Arc::new(move |method, route, status, _| {
        told.send(format!("{method} {route} {}", status.as_u16())).unwrap();
    }));
    service.apply(SHOP).await;
    for (method, uri, expected) in [
        ("GET", MESH, "GET /v1/getEventMesh 200"),
        ("GET", "/v1/getEventMesh?namespace=shop", "GET /v1/getEventMesh 200"),
        ("HEAD", MESH, "HEAD /v1/getEventMesh 200"),
        ("POST", MESH, "POST /v1/getEventMesh 405"),
        ("GET", "/v1/getEventMesh?a", "GET /v1/getEventMesh 400"),
        ("GET", "/openapi.json", "GET /openapi.json 200"),
        ("GET", "/docs/", "GET /docs 200"),
        ("GET", "/docs/swagger-ui.css", "GET /docs 200"),
        ("GET", "/docs/made-up", "GET /docs 404"),
        ("GET", "/docs-made-up", "GET none 404"),
        ("GET", "/v1/getEventMesh/", "GET none 404"),
        ("GET", "/made-up", "GET none 404"),
    ] {
        service.send(request(method.parse().unwrap(), uri, &[])).await;
        assert_eq!(heard.recv().await.unwrap(), expected, "{method} {uri}");
    }
}

#[tokio::test]
async fn nothing_is_answered_before_the_catalog_is_complete() {
    let service = Service::empty();
    let answer = service.get(MESH, &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "2");
    answer.problem();
    service.apply(SHOP).await;
    service.get(MESH, &[]).await.mesh();
}

#[tokio::test]
async fn who_waits_is_told_for_what_but_not_whom_others_name() {
    let service = Service::empty();
    let kind = |of: GroupKind, defined, state| KindStatus { of, defined, place: None, state, reads: Reads::default() };
    let waiting = State::Missing { why: "secret reasons".into() };
    let kinds = vec![
        kind(GroupKind::new("eventing.knative.dev", "Broker"), true, State::Live),
        kind(GroupKind::new("eventing.knative.dev", "Trigger"), true, State::Listing { seen: 7, expected: Some(9) }),
        kind(GroupKind::new("hidden.example.com", "Robot"), false, waiting),
    ];
    service.report(Status { kinds, ..Status::default() }).await;
    let problem = service.get(MESH, &[]).await.problem();
    let told = "1 of 2 kinds read, waiting for Trigger.eventing.knative.dev, kinds of subscribers;";
    assert!(problem.detail.contains(told), "{}", problem.detail);
}

#[tokio::test]
async fn an_answer_that_is_old_says_so_and_one_that_is_too_old_is_none() {
    let service = Service::with(SHOP).await;
    assert!(!service.get(MESH, &[]).await.headers.contains_key("eventmesh-stale-seconds"));
    let tag = service.get(MESH, &[]).await.header("etag").to_owned();
    let old =
        |seconds| Status { stale_since: Instant::now().checked_sub(Duration::from_secs(seconds)), ..Status::default() };
    service.report(old(90)).await;
    for (headers, status) in [(vec![], StatusCode::OK), (vec![("if-none-match", &*tag)], StatusCode::NOT_MODIFIED)] {
        let answer = service.get(MESH, &headers).await;
        assert_eq!((answer.status, answer.header("eventmesh-stale-seconds")), (status, "90"));
    }
    service.report(old(3601)).await;
    let answer = service.get(MESH, &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "2");
    assert!(answer.problem().detail.contains("was last up to date 3601 s ago"));
    service.report(Status::default()).await;
    service.get(MESH, &[]).await.mesh();
}

#[tokio::test]
async fn an_unchanged_mesh_is_not_sent_again() {
    let service = Service::with(SHOP).await;
    let first = service.get(MESH, &[]).await;
    let tag = first.header("etag").to_owned();
    let opaque = tag.trim_matches('"');
    assert!(tag.starts_with('"') && opaque.len() == 32, "{tag} is strong");
    let known = [
        tag.clone(),
        format!("W/{tag}"),
        "*".into(),
        format!("\"other\", {tag}"),
        format!("\"{opaque}-gzip\""),
        format!("W/\"{opaque}-zstd\""),
    ];
    for known in known {
        let answer = service.get(MESH, &[("if-none-match", &known)]).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(answer.header("etag"), tag);
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        assert_eq!(answer.header("vary"), first.header("vary"));
        assert!(answer.body.is_empty());
    }
    service.get(MESH, &[("if-none-match", "\"other\"")]).await.mesh();

    service
        .apply("{apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {name: new, namespace: shop}, spec: {}}")
        .await;
    let changed = service.get(MESH, &[("if-none-match", &tag)]).await;
    assert_eq!(changed.mesh().brokers.len(), 2);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn equal_content_has_equal_tags_whoever_serves_it() {
    let parts: Vec<_> = SHOP.split("---").collect();
    let (one, other) = (Service::with(SHOP).await, Service::empty());
    for part in parts.iter().rev() {
        other.apply(part).await;
    }
    let (one, other) = (one.get(MESH, &[]).await, other.get(MESH, &[]).await);
    assert_eq!(one.body, other.body);
    assert_eq!(one.header("etag"), other.header("etag"));
}

#[tokio::test]
async fn every_encoding_holds_the_same_content_under_its_own_tag() {
    let service = Service::with(SHOP).await;
    let plain = service.get(MESH, &[]).await;
    let opaque = plain.header("etag").trim_matches('"').to_owned();
    for encoding in ["zstd", "br", "gzip"] {
        let answer = service.get(MESH, &[("accept-encoding", encoding)]).await;
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_eq!(answer.header("etag"), format!("\"{opaque}-{encoding}\""));
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        let mut decoded = Vec::new();
        match encoding {
            "zstd" => decoded = zstd::decode_all(&*answer.body).unwrap(),
            "br" => _ = brotli::Decompressor::new(&*answer.body, 4096).read_to_end(&mut decoded).unwrap(),
            _ => _ = flate2::read::GzDecoder::new(&*answer.body).read_to_end(&mut decoded).unwrap(),
        }
        assert_eq!(decoded, plain.body, "{encoding}");
        let known = [("accept-encoding", encoding), ("if-none-match", plain.header("etag"))];
        assert_eq!(service.get(MESH, &known).await.status, StatusCode::NOT_MODIFIED);
    }
}

#[tokio::test]
async fn head_tells_what_get_would() {
    let service = Service::with(SHOP).await;
    let get = service.get(MESH, &[]).await;
    let head = service.send(request(Method::HEAD, MESH, &[])).await;
    assert_eq!(head.status, StatusCode::OK);
    assert!(head.body.is_empty());
    for name in ["etag", "content-type", "content-length", "cache-control", "vary"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    let unchanged = service.send(request(Method::HEAD, MESH, &[("if-none-match", get.header("etag"))])).await;
    assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_sensible_request_id_is_kept_and_another_made() {
    let service = Service::with(SHOP).await;
    assert_eq!(service.get(MESH, &[("x-request-id", "poll-42")]).await.header("x-request-id"), "poll-42");
    let mut made = vec![];
    for senseless in ["", "a b", &"x".repeat(129)] {
        made.push(service.get("/", &[("x-request-id", senseless)]).await.header("x-request-id").to_owned());
    }
    made.dedup();
    assert!(made.len() == 3 && made.iter().all(|it| it.starts_with("test-")), "{made:?}");
}

#[tokio::test]
async fn a_query_selects_items() {
    let service = Service::with(SHOP).await;
    let names = |mesh: EventMesh| {
        let types = mesh.event_types.into_iter().map(|it| it.meta.name);
        types.chain(mesh.brokers.into_iter().map(|it| it.meta.name)).collect::<Vec<_>>()
    };
    let cases: [(&str, &[&str]); 5] = [
        ("", &["shipped", "placed", "orders"]),
        ("?labelSelector=team%3Dcheckout", &["placed", "orders"]),
        ("?namespace=logistics", &["shipped"]),
        ("?namespace=logistics&namespace=shop&labelSelector=!team", &["shipped"]),
        ("?namespace=other", &[]),
    ];
    for (query, expected) in cases {
        let answer = service.get(&format!("{MESH}{query}"), &[]).await;
        assert_eq!(names(answer.mesh()), expected, "{query}");
    }
    let all = service.get(MESH, &[]).await;
    let same = service.get(&format!("{MESH}?namespace=logistics&namespace=shop"), &[]).await;
    assert_eq!(all.header("etag"), same.header("etag"), "equal content, equal tag");
}
