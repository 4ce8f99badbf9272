//! Callers of the service, with rights in a cluster.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::cluster::Cluster;

/// What tokens for the service are made for.
pub const AUDIENCE: &str = "eventmesh-catalog";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Somebody who is in groups, and whom the API server knows by a token that never ends.
pub struct StaticUser {
    pub token: String,
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
}

/// Each in one of three groups and one of four others.
pub fn static_users() -> impl Iterator<Item = StaticUser> {
    (0..12).map(|n| StaticUser {
        token: format!("caller-{n}-token"),
        name: format!("caller-{n}"),
        uid: format!("uid-{n}"),
        groups: vec![format!("team-{}", n % 3), format!("guild-{}", n % 4)],
    })
}

/// The lines that make them known to an API server.
pub fn users() -> String {
    let line = |it: StaticUser| format!("{},{},{},\"{}\"\n", it.token, it.name, it.uid, it.groups.join(","));
    static_users().map(line).collect()
}

/// A rule of a role.
pub fn rule(verbs: &[&str], group: &str, resource: &str, names: &[&str]) -> Value {
    let mut rule = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    if !names.is_empty() {
        rule["resourceNames"] = json!(names);
    }
    rule
}

/// A service account as a subject.
pub fn service_account(namespace: &str, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
}

/// A pod of the service account of the same name.
pub fn pod(namespace: &str, name: &str) -> Value {
    let spec = json!({"serviceAccountName": name, "containers": [{"name": "a", "image": "example.com/a"}]});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

pub fn group(name: &str) -> Value {
    json!({"kind": "Group", "apiGroup": RBAC, "name": name})
}

pub fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": RBAC, "name": name})
}

/// A role, in a namespace or, without, for the whole cluster.
pub fn role(namespace: &str, name: &str, rules: &[Value]) -> Value {
    object(namespace, "Role", name, json!({"rules": rules}))
}

/// Binds a role of the same name and place to somebody.
pub fn binding(namespace: &str, name: &str, subjects: &[Value]) -> Value {
    let kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
    let role = json!({"apiGroup": RBAC, "kind": kind, "name": name});
    object(namespace, "RoleBinding", name, json!({"roleRef": role, "subjects": subjects}))
}

fn object(namespace: &str, kind: &str, name: &str, mut rest: Value) -> Value {
    let kind = if namespace.is_empty() { format!("Cluster{kind}") } else { kind.to_owned() };
    rest["apiVersion"] = format!("{RBAC}/v1").into();
    rest["kind"] = kind.into();
    rest["metadata"] = json!({"name": name});
    if !namespace.is_empty() {
        rest["metadata"]["namespace"] = namespace.into();
    }
    rest
}

impl Cluster {
    /// Lets somebody do something, in a namespace or, without, everywhere: a role and its binding of this name.
    pub async fn grant(&self, namespace: &str, name: &str, subject: Value, rules: &[Value]) {
        self.apply(&role(namespace, name, rules)).await;
        self.apply(&binding(namespace, name, &[subject])).await;
    }

    /// A token of a service account, which is created if it is missing, for the service.
    pub async fn caller_token(&self, namespace: &str, name: &str) -> String {
        self.token_for(namespace, name, &[AUDIENCE]).await
    }

    /// A token that counts as long as a pod, which is created and runs nowhere.
    pub async fn bound_token(&self, namespace: &str, name: &str) -> String {
        self.caller_token(namespace, name).await;
        let pod = pod(namespace, name);
        self.apply(&pod).await;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let uid = self.ask("GET", &path, None).await.expect("the pod")["metadata"]["uid"].clone();
        let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid});
        self.token_with(namespace, name, &json!({"audiences": [AUDIENCE], "boundObjectRef": bound})).await
    }
}

/// A broker, of which there is something to see.
pub fn broker(namespace: &str, name: &str) -> Value {
    let metadata = json!({"namespace": namespace, "name": name});
    json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": metadata, "spec": {}})
}

/// Lets somebody list brokers.
pub fn brokers() -> Value {
    rule(&["list"], "eventing.knative.dev", "brokers", &[])
}

/// A token that says that it is signed with another key. It is not signed.
pub fn with_key(token: &str, id: &str) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    header["kid"] = id.into();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// A token with other claims, signed with a key as API servers keep it: PKCS#1 in PEM.
pub fn signed(token: &str, key: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut parts = token.split('.');
    let (header, claims) = (parts.next().unwrap(), parts.next().unwrap());
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    change(&mut claims);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let der = STANDARD.decode(key.lines().filter(|it| !it.starts_with('-')).collect::<String>()).unwrap();
    let key = jsonwebtoken::EncodingKey::from_rsa_der(&der);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::RS256).unwrap();
    format!("{message}.{signature}")
}
