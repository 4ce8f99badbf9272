//! An API server that does nothing but review: each token is that of a caller of the same name, with the rules that the
//! test gave to that caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use eventmesh_catalog::access::questions::{Question, Verb};
use eventmesh_catalog::kubernetes::server::{Connection, Server};
use serde_json::{Value, json};

use super::support::rules::{Rules, kinds, plural};

/// The rules of each caller.
pub type Callers = Arc<Mutex<HashMap<String, Rules>>>;

/// Starts one, and says how to ask it.
pub async fn start(callers: Callers) -> Server {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(token))
        .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(access))
        .with_state(callers);
    tokio::spawn(async { axum::serve(listener, router).await });
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubeconfig.to_string()).unwrap();
    let connection = Connection { kubeconfig: Some(file.path().to_owned()), context: None };
    Server::new(&connection).await.unwrap()
}

async fn token(State(callers): State<Callers>, body: Bytes) -> impl IntoResponse {
    let mut review: Value = serde_json::from_slice(&body).unwrap();
    let token = text(&review["spec"]["token"]);
    let is_known = callers.lock().unwrap().contains_key(&token);
    let audiences = review["spec"]["audiences"].clone();
    review["status"] = json!({"authenticated": is_known, "user": {"username": token}, "audiences": audiences});
    reviewed(&review)
}

async fn access(State(callers): State<Callers>, body: Bytes) -> impl IntoResponse {
    let mut review: Value = serde_json::from_slice(&body).unwrap();
    let asked = &review["spec"]["resourceAttributes"];
    let (group, resource) = (text(&asked["group"]), text(&asked["resource"]));
    let of = kinds().find(|it| *it.group == group && plural(it) == resource);
    let given = |it: &Value| Some(text(it)).filter(|it| !it.is_empty()).map(Into::into);
    let question = of.map(|of| Question {
        verb: if asked["verb"] == "list" { Verb::List } else { Verb::Get },
        of,
        namespace: given(&asked["namespace"]),
        name: given(&asked["name"]),
    });
    let callers = callers.lock().unwrap();
    let rules = callers.get(&text(&review["spec"]["user"]));
    let allowed = question.is_some_and(|it| rules.is_some_and(|rules| rules.may(&it)));
    drop(callers);
    review["status"] = json!({"allowed": allowed});
    reviewed(&review)
}

fn reviewed(review: &Value) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], review.to_string())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
