//! Callers of the service, with rights in a cluster.

use serde_json::{Value, json};

use super::cluster::Cluster;

/// What tokens for the service are made for.
pub const AUDIENCE: &str = "eventmesh-catalog";
const RBAC: &str = "rbac.authorization.k8s.io";

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
}
