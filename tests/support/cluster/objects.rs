//! What is in a cluster: objects are written as they are given, and taken away between two cases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use kube::core::Status;
use serde_json::{Value, json};

use super::{Cluster, eventually};
use crate::support::{documents, test_data};

/// How many requests are under way at a time.
const AT_ONCE: usize = 16;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Of the built-in kinds, those that tests create objects of.
const BUILT_IN: [&str; 16] = [
    "/api/v1/configmaps",
    "/api/v1/pods",
    "/api/v1/secrets",
    "/api/v1/serviceaccounts",
    "/api/v1/services",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/apps/v1/statefulsets",
    "/apis/batch/v1/cronjobs",
    "/apis/batch/v1/jobs",
    "/apis/networking.k8s.io/v1/ingresses",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/roles",
];

/// How the server speaks of a kind.
pub struct Kind {
    plural: String,
    namespaced: bool,
    has_status: bool,
}

impl Kind {
    /// The collection that an object is in.
    fn collection(&self, object: &Value) -> String {
        let root = root(text(object, "/apiVersion"));
        if self.namespaced {
            format!("{root}/namespaces/{}/{}", namespace(object), self.plural)
        } else {
            format!("{root}/{}", self.plural)
        }
    }
}

impl Cluster {
    /// Creates or replaces an object, its status as well if the kind has one of its own. A definition is served when
    /// this ends.
    pub async fn apply(&self, object: &Value) {
        if let Err(error) = self.try_apply(object).await {
            panic!("{} is refused: {error}", title(object));
        }
    }

    pub async fn try_apply(&self, object: &Value) -> Result<(), kube::Error> {
        let kind = self.kind(object).await?;
        let collection = kind.collection(object);
        let mut content = object.clone();
        if let Some(metadata) = content["metadata"].as_object_mut() {
            // The server gives them.
            for name in ["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"] {
                metadata.remove(name);
            }
        }
        let definition = is_definition(object);
        if definition && let Some(content) = content.as_object_mut() {
            content.remove("status");
        }
        let path = format!("{collection}/{}", name(object));
        let written = match self.create(&collection, object, &content).await {
            // The definitions of an external cluster are what it works with.
            Err(kube::Error::Api(status)) if status.is_already_exists() && definition && self.is_given(object) => {
                return Ok(());
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => self.replace(&path, &mut content).await?,
            written => {
                let written = written?;
                if self.is_external() {
                    self.applied.lock().unwrap().push(identity(object));
                }
                written
            }
        };
        if definition {
            self.forget_kinds();
            self.is_served(object).await;
            *self.defined.lock().unwrap() = Some(Instant::now());
        } else if kind.has_status && object.get("status").is_some() {
            // Whoever else writes, writes later than this.
            content["metadata"]["resourceVersion"] = written["metadata"]["resourceVersion"].clone();
            self.replace(&format!("{path}/status"), &mut content).await?;
        }
        Ok(())
    }

    /// Whether an external cluster had the object before.
    fn is_given(&self, object: &Value) -> bool {
        self.is_external() && !self.applied.lock().unwrap().contains(&identity(object))
    }

    /// Applies definitions first, then namespaces, then the rest in no order.
    pub async fn apply_all(&self, objects: &[Value]) {
        let is_namespace = |it: &Value| text(it, "/apiVersion") == "v1" && text(it, "/kind") == "Namespace";
        let stage = |it: &Value| if is_definition(it) { 0 } else { 2 - i32::from(is_namespace(it)) };
        for now in 0..3 {
            let objects = objects.iter().filter(|it| stage(it) == now);
            stream::iter(objects).for_each_concurrent(AT_ONCE, |it| self.apply(it)).await;
        }
    }

    /// Deletes an object, if it is there. A definition is gone when this ends.
    pub async fn delete(&self, object: &Value) {
        let kind = match self.kind(object).await {
            // There are no objects of a kind that is not defined.
            Err(error) if is_not_found(&error) => return,
            kind => kind.unwrap_or_else(|error| panic!("{}: {error}", title(object))),
        };
        let path = format!("{}/{}", kind.collection(object), name(object));
        self.remove(&path).await;
        if is_definition(object) {
            self.is_gone(&path).await;
            self.forget_kinds();
        }
    }

    /// Removes all definitions with their objects, and what tests create of built-in kinds. Namespaces stay, empty: no
    /// controller would end them. Of an external cluster only what was applied is removed.
    pub async fn wipe(&self) {
        if self.is_external() {
            let applied = std::mem::take(&mut *self.applied.lock().unwrap());
            let (definitions, others): (Vec<_>, Vec<_>) = applied.iter().partition(|it| is_definition(it));
            for part in [others, definitions] {
                stream::iter(part).for_each_concurrent(AT_ONCE, |it| self.delete(it)).await;
            }
            return;
        }
        let definitions = self.list(DEFINITIONS).await;
        stream::iter(&definitions).for_each_concurrent(AT_ONCE, |it| self.remove_definition(it)).await;
        for it in &definitions {
            self.is_gone(&format!("{DEFINITIONS}/{}", name(it))).await;
        }
        self.forget_kinds();
        for collection in BUILT_IN {
            let objects = self.list(collection).await;
            let objects = objects.iter().filter(|it| !is_of_the_server(it));
            stream::iter(objects).for_each_concurrent(AT_ONCE, |it| self.remove_member(collection, it)).await;
        }
    }

    /// The definitions of Knative, without conversion webhooks: none runs, and with them every read of another version
    /// than the stored one fails.
    pub fn knative_crds() -> Option<Vec<Value>> {
        let mut files = Vec::new();
        for folder in test_data("crds")?.read_dir().unwrap().map(|it| it.unwrap().path()).filter(|it| it.is_dir()) {
            files.extend(folder.read_dir().unwrap().map(|it| it.unwrap().path()));
        }
        files.retain(|it| it.extension().is_some_and(|it| it == "yaml"));
        files.sort();
        let mut definitions: Vec<_> = files.iter().flat_map(|it| documents(it)).collect();
        for it in &mut definitions {
            it["spec"].as_object_mut().expect("a spec").remove("conversion");
        }
        Some(definitions)
    }

    /// Installs [`Self::knative_crds`]. Without test data it does nothing; ask first.
    pub async fn install_knative(&self) {
        self.apply_all(&Self::knative_crds().unwrap_or_default()).await;
    }

    async fn create(&self, collection: &str, object: &Value, content: &Value) -> Result<Value, kube::Error> {
        match self.create_within(collection, object, content).await {
            Err(error) if is_not_found(&error) && collection.contains("/namespaces/") => {
                let namespace = json!({ "metadata": { "name": namespace(object) } });
                match self.ask("POST", "/api/v1/namespaces", Some(&namespace)).await {
                    Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                    created => _ = created?,
                }
                self.create_within(collection, object, content).await
            }
            created => created,
        }
    }

    /// Creates in a namespace that may be missing.
    async fn create_within(&self, collection: &str, object: &Value, content: &Value) -> Result<Value, kube::Error> {
        // The server answers a POST two seconds late as long as the definition is younger than that, but not an apply.
        // That one means something else by null, and replaces.
        let fresh = self.defined.lock().unwrap().is_some_and(|it| it.elapsed() < Duration::from_secs(3));
        if fresh && !is_definition(object) && !has_null(content) {
            let path = format!("{collection}/{}", name(object));
            if self.ask("GET", &path, None).await.is_err_and(|error| is_not_found(&error)) {
                let path = format!("{path}?fieldManager=test&force=true");
                match self.ask("APPLY", &path, Some(content)).await {
                    Err(error) if !is_not_found(&error) => {}
                    created => return created,
                }
            }
        }
        self.ask("POST", collection, Some(content)).await
    }

    /// Replaces what is there, whichever version it has.
    async fn replace(&self, path: &str, content: &mut Value) -> Result<Value, kube::Error> {
        for _ in 0..10 {
            if content["metadata"]["resourceVersion"].is_string() {
                match self.ask("PUT", path, Some(content)).await {
                    Err(kube::Error::Api(status)) if status.is_conflict() => {}
                    replaced => return replaced,
                }
            }
            let found = self.ask("GET", path, None).await?;
            content["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"].clone();
        }
        self.ask("PUT", path, Some(content)).await
    }

    async fn remove(&self, path: &str) {
        let background = json!({ "propagationPolicy": "Background", "gracePeriodSeconds": 0 });
        match self.ask("DELETE", path, Some(&background)).await {
            Err(error) if !is_not_found(&error) => panic!("{path} is not deleted: {error}"),
            _ => {}
        }
    }

    /// No controller takes finalizers away, and with them nothing ends.
    async fn remove_finalizers(&self, path: &str) {
        let none = json!({ "metadata": { "finalizers": null } });
        match self.ask("PATCH", path, Some(&none)).await {
            Err(error) if !is_not_found(&error) => panic!("{path} keeps its finalizers: {error}"),
            _ => {}
        }
    }

    async fn remove_member(&self, collection: &str, object: &Value) {
        let path = member(collection, object);
        if object.pointer("/metadata/finalizers").is_some() {
            self.remove_finalizers(&path).await;
        }
        self.remove(&path).await;
    }

    async fn remove_definition(&self, definition: &Value) {
        // What has been stored can be read in this version without a webhook.
        let stored = versions(definition).find(|it| it["storage"] == true && it["served"] == true);
        if let Some(version) = stored {
            let group = text(definition, "/spec/group");
            let plural = text(definition, "/spec/names/plural");
            let collection = format!("/apis/{group}/{}/{plural}", text(version, "/name"));
            let objects = self.list(&collection).await;
            let kept = objects.iter().filter(|it| it.pointer("/metadata/finalizers").is_some());
            stream::iter(kept)
                .for_each_concurrent(AT_ONCE, async |it| self.remove_finalizers(&member(&collection, it)).await)
                .await;
        }
        self.remove(&format!("{DEFINITIONS}/{}", name(definition))).await;
    }

    async fn is_gone(&self, path: &str) {
        let began = Instant::now();
        let answer = async || {
            // A server that has just begun with a kind fails to list its objects, and does not try again before the
            // definition changes.
            if began.elapsed() > Duration::from_secs(2) {
                let change = json!({ "metadata": { "annotations": { "test": format!("{:?}", began.elapsed()) } } });
                let _ = self.ask("PATCH", path, Some(&change)).await;
            }
            self.ask("GET", path, None).await.err().filter(is_not_found)
        };
        eventually(&format!("the end of {path}"), answer).await;
    }

    /// All objects of a collection, none if there is no such collection.
    pub async fn list(&self, collection: &str) -> Vec<Value> {
        let mut objects = Vec::new();
        let mut token = String::new();
        loop {
            let page = match self.ask("GET", &format!("{collection}?limit=2000&continue={token}"), None).await {
                Err(error) if is_not_found(&error) => return objects,
                page => page.unwrap_or_else(|error| panic!("{collection}: {error}")),
            };
            objects.extend(page["items"].as_array().cloned().unwrap_or_default());
            match text(&page, "/metadata/continue") {
                "" => return objects,
                more => more.clone_into(&mut token),
            }
        }
    }

    /// Waits until the kind can be listed in all its versions and is known to clients.
    async fn is_served(&self, definition: &Value) {
        let group = text(definition, "/spec/group");
        let plural = text(definition, "/spec/names/plural");
        let path = format!("{DEFINITIONS}/{}", name(definition));
        let established = async || {
            let found = self.ask("GET", &path, None).await.ok()?;
            let conditions = found.pointer("/status/conditions")?.as_array()?;
            conditions.iter().any(|it| it["type"] == "Established" && it["status"] == "True").then_some(())
        };
        eventually(&format!("{}, established", title(definition)), established).await;
        for version in versions(definition).filter(|it| it["served"] == true) {
            let root = format!("/apis/{group}/{}", text(version, "/name"));
            let listed = async || {
                // From the cache, which is the last to begin.
                let path = format!("{root}/{plural}?limit=1&resourceVersion=0");
                let listed = self.ask("GET", &path, None).await;
                // A missing webhook is another matter.
                (!listed.is_err_and(|error| is_not_found(&error))).then_some(())
            };
            eventually(&format!("a list of {root}/{plural}"), listed).await;
            let known = async || {
                let known = self.ask("GET", &root, None).await.ok()?;
                known["resources"].as_array()?.iter().any(|it| it["name"] == plural).then_some(())
            };
            eventually(&format!("{plural} among {root}"), known).await;
        }
    }

    /// The kind of an object, asked once.
    async fn kind(&self, object: &Value) -> Result<Arc<Kind>, kube::Error> {
        let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        let key = (version.to_owned(), kind.to_owned());
        if let Some(kind) = self.kinds.lock().unwrap().get(&key) {
            return Ok(kind.clone());
        }
        let found = self.ask("GET", &root(version), None).await?;
        let resources = found["resources"].as_array().cloned().unwrap_or_default();
        let mut kinds = self.kinds.lock().unwrap();
        for it in resources.iter().filter(|it| !text(it, "/name").contains('/')) {
            let plural = text(it, "/name").to_owned();
            let status = format!("{plural}/status");
            let has_status = resources.iter().any(|it| it["name"] == status.as_str());
            let kind = Kind { plural, namespaced: it["namespaced"] == true, has_status };
            kinds.insert((version.to_owned(), text(it, "/kind").to_owned()), Arc::new(kind));
        }
        kinds.get(&key).cloned().ok_or_else(|| {
            let message = format!("the server does not know the kind {kind} in {version}");
            kube::Error::Api(Status::failure(&message, "NotFound").with_code(404).boxed())
        })
    }

    pub(super) fn forget_kinds(&self) {
        self.kinds.lock().unwrap().clear();
    }
}

/// Where the kinds of an API version are.
fn root(version: &str) -> String {
    let below = if version.contains('/') { "apis" } else { "api" };
    format!("/{below}/{version}")
}

/// The path of an object that a collection over all namespaces listed.
fn member(collection: &str, object: &Value) -> String {
    match text(object, "/metadata/namespace") {
        "" => format!("{collection}/{}", name(object)),
        namespace => {
            let (root, plural) = collection.rsplit_once('/').expect("a collection");
            format!("{root}/namespaces/{namespace}/{plural}/{}", name(object))
        }
    }
}

/// Did the server make it for itself?
fn is_of_the_server(object: &Value) -> bool {
    text(object, "/metadata/namespace").starts_with("kube-")
        || object.pointer("/metadata/labels/kubernetes.io~1bootstrapping").is_some()
        || name(object) == "kube-root-ca.crt"
        || (namespace(object) == "default" && name(object) == "kubernetes")
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}

fn is_definition(object: &Value) -> bool {
    text(object, "/kind") == "CustomResourceDefinition"
}

fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    definition.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten()
}

/// What is needed to delete it.
fn identity(object: &Value) -> Value {
    let metadata = json!({ "name": name(object), "namespace": namespace(object) });
    json!({ "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata })
}

fn title(object: &Value) -> String {
    let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    format!("{version} {kind} {}/{}", text(object, "/metadata/namespace"), name(object))
}

fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

fn namespace(object: &Value) -> &str {
    match text(object, "/metadata/namespace") {
        "" => "default",
        namespace => namespace,
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
