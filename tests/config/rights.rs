//! The rights of the service and of its callers: enough, and none too many; and that `doctor` names each that the service
//! lacks.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventmesh_catalog::api::dto::EventMesh;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::kubectl::{kubectl, of_kind, render, yaml};
use super::mesh;
use crate::support::callers::service_account;
use crate::support::cluster::{AuditEvent, Cluster, PATIENCE, eventually};
use crate::support::process::{self, Service};

const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const RBAC: &str = "rbac.authorization.k8s.io";
const NAMESPACE: &str = "eventmesh-catalog";
/// Where callers are at home.
const PORTAL: &str = "portal";
/// What callers are bound to.
const OF_CALLERS: [&str; 2] = ["eventmesh-catalog-caller", "acme-caller"];
/// After how long whatever is asked was asked.
const SETTLED: Duration = Duration::from_secs(10);
/// How many accounts are looked at at a time.
const AT_ONCE: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    group: String,
    /// Or a path, which begins with a slash.
    pub resource: String,
    verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}.{}", self.verb, self.resource, self.group)
    }
}

impl Right {
    fn is_path(&self) -> bool {
        self.resource.starts_with('/')
    }

    /// To find out something about callers, and not about the mesh.
    fn is_about_callers(&self) -> bool {
        self.is_path() || self.verb == "create" || self.group == RBAC
    }

    fn rule(&self) -> Value {
        let Self { group, resource, verb } = self;
        if self.is_path() {
            json!({"nonResourceURLs": [resource], "verbs": [verb]})
        } else {
            json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]})
        }
    }

    /// As `doctor` says it.
    fn in_json(&self) -> Value {
        let Self { group, resource, verb } = self;
        if self.is_path() {
            json!({"path": resource, "verb": verb})
        } else {
            json!({"group": group, "resource": resource, "verb": verb})
        }
    }
}

/// The rights that the rules of a role give.
pub fn rights(role: &Value) -> BTreeSet<Right> {
    let texts = |it: &Value| {
        let texts = it.as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned());
        texts.collect::<Vec<_>>()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        let of_groups = texts(&rule["apiGroups"])
            .into_iter()
            .flat_map(|group| texts(&rule["resources"]).into_iter().map(move |resource| (group.clone(), resource)));
        let paths = texts(&rule["nonResourceURLs"]).into_iter().map(|path| (String::new(), path));
        for (group, resource) in of_groups.chain(paths) {
            let right = |verb| Right { group: group.clone(), resource: resource.clone(), verb };
            rights.extend(texts(&rule["verbs"]).into_iter().map(right));
        }
    }
    rights
}

/// What the controller of the control plane does, which does not run here: fills in roles that are made of others.
async fn aggregate(cluster: &Cluster) {
    let roles = cluster.ask("GET", ROLES, None).await.unwrap();
    let roles = roles["items"].as_array().unwrap();
    for role in roles.iter().filter(|it| !it["aggregationRule"].is_null()) {
        let name = role["metadata"]["name"].as_str().unwrap();
        // Those of Kubernetes are none of our business.
        if !name.starts_with("eventmesh-catalog") {
            continue;
        }
        let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array().unwrap();
        let is_selected = |it: &&Value| {
            let has = |(key, value): (&String, &Value)| it["metadata"]["labels"][key] == *value;
            selectors.iter().any(|it| it["matchLabels"].as_object().unwrap().iter().all(has))
        };
        let selected = roles.iter().filter(is_selected);
        let union: Vec<_> = selected.flat_map(|it| it["rules"].as_array().unwrap()).cloned().collect();
        cluster.ask("PATCH", &format!("{ROLES}/{name}"), Some(&json!({"rules": union}))).await.unwrap();
    }
}

/// An account that may do this, and nothing else.
pub async fn account(cluster: &Cluster, name: &str, rights: impl Iterator<Item = &Right>) -> PathBuf {
    let rules: Vec<_> = rights.map(Right::rule).collect();
    cluster.grant("", name, service_account(NAMESPACE, name), &rules).await;
    let token = cluster.service_account_token(NAMESPACE, name).await;
    cluster.kubeconfig_with(&cluster.server(), &token)
}

/// A cluster with the mesh, and with the service as it is deployed; and what the mesh is to somebody who may read all.
struct World {
    cluster: Cluster,
    mesh: EventMesh,
    /// Of the service.
    rights: BTreeSet<Right>,
    /// Of a caller with the roles for callers.
    token: String,
}

impl World {
    async fn new() -> Option<Self> {
        let definitions = Cluster::knative_crds()?;
        let cluster = Cluster::start_with_audit().await;
        cluster.apply_all(&[definitions, mesh::definitions()].concat()).await;
        cluster.apply_all(&[mesh::objects(), mesh::roles()].concat()).await;
        let deploy = || kubectl(Some(cluster.kubeconfig()), &["apply", "-k", "config/overlays/default"], "").unwrap();
        deploy();
        aggregate(&cluster).await;
        // Applied again, it takes nothing away, not even until the controller has had a look.
        deploy();
        let mut rights_of_roles = BTreeSet::new();
        for role in of_kind(&render("overlays/default"), "ClusterRole") {
            let path = format!("{ROLES}/{}", role["metadata"]["name"].as_str().unwrap());
            rights_of_roles.extend(rights(&cluster.ask("GET", &path, None).await.unwrap()));
        }
        // Others may give more than what is needed.
        let given: BTreeSet<_> = mesh::roles().iter().flat_map(rights).collect();
        rights_of_roles.retain(|it| !(given.contains(it) && (it.verb == "get" || it.resource == "sinkbinding")));
        if cluster.is_external() {
            rights_of_roles.retain(|it| !it.is_path());
        } else {
            // What all service accounts may, unless somebody takes it away.
            cluster.ask("DELETE", &format!("{BINDINGS}/system:service-account-issuer-discovery"), None).await.unwrap();
        }
        kubectl(Some(cluster.kubeconfig()), &["apply", "-k", "config/callers"], "").unwrap();
        for role in OF_CALLERS {
            let binding = json!({
                "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": role},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                "subjects": [service_account(PORTAL, "backstage")],
            });
            cluster.apply(&binding).await;
        }
        let token = cluster.caller_token(PORTAL, "backstage").await;
        let admin = Service::start(&["--kubeconfig", cluster.kubeconfig().to_str().unwrap(), "--dev-token"]);
        let mesh = admin.mesh();
        Some(Self { cluster, mesh, rights: rights_of_roles, token })
    }

    /// The service with the rights of an account, asked by the caller.
    fn start(&self, kubeconfig: &Path) -> Service {
        let mut service = Service::start(&["--kubeconfig", kubeconfig.to_str().unwrap()]);
        service.token.clone_from(&self.token);
        service
    }
}

/// The kinds that a service reads, by their names, and whether each is kept up to date.
fn kinds(service: &Service) -> Vec<(String, bool, String)> {
    let text = service.admin("/readyz?verbose").body;
    let kind = |line: &str| {
        let (mark, rest) = line.split_once("] ").filter(|(mark, _)| *mark != "[!")?;
        let (name, state) = rest.split_once(": ")?;
        Some((name.to_owned(), mark == "[+", state.to_owned()))
    };
    text.lines().filter_map(kind).collect()
}

/// What is wrong with deciding on callers.
fn problems(service: &Service) -> Vec<String> {
    let text = service.admin("/readyz?verbose").body;
    text.lines().filter_map(|it| it.strip_prefix("[!] ")).map(str::to_owned).collect()
}

pub fn doctor(kubeconfig: &Path, more: &[&str]) -> (Option<i32>, String) {
    let output = process::run(&[&["doctor", "--kubeconfig", kubeconfig.to_str().unwrap()], more].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout) + &text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_may_do_what_it_has_to_and_nothing_else() {
    let Some(world) = World::new().await else { return };
    let World { cluster, mesh, rights, .. } = &world;
    let token = cluster.service_account_token(NAMESPACE, "eventmesh-catalog").await;
    let kubeconfig = cluster.kubeconfig_with(&cluster.server(), &token);

    let (code, text) = doctor(&kubeconfig, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("[-]") && text.ends_with("# Nothing is missing.\n"), "{text}");
    assert!(!text.contains(&token), "{text}");
    let named = ["--service-account", "eventmesh-catalog/eventmesh-catalog"];
    assert_eq!(doctor(cluster.kubeconfig(), &named), (code, text), "asked by somebody else");

    let service = world.start(&kubeconfig);
    assert_eq!(service.mesh(), *mesh, "to a caller with the role for callers");
    let all_live = || async { Some(kinds(&service)).filter(|it| it.iter().all(|(_, live, _)| *live)) };
    eventually("all kinds", all_live).await;
    let no_problem = || async { problems(&service).is_empty().then_some(()) };
    eventually("all that is asked about callers", no_problem).await;
    if cluster.is_external() {
        return;
    }
    let user = "system:serviceaccount:eventmesh-catalog:eventmesh-catalog";
    let began = Instant::now();
    loop {
        let mut events = cluster.audit();
        events.retain(|it| it.user == user && !it.resource.starts_with("selfsubject") && !it.resource.is_empty());
        assert!(events.iter().all(|it| it.code < 300), "{events:?}");
        let right = |it: AuditEvent| Right { group: it.group, resource: it.resource, verb: it.verb };
        let asked: BTreeSet<_> = events.into_iter().map(right).collect();
        // Paths are not told from others here.
        let rights: BTreeSet<_> = rights.iter().filter(|it| !it.is_path()).cloned().collect();
        if asked == rights {
            break;
        }
        // The last watches may not be in the log yet.
        assert!(began.elapsed() < SETTLED, "not used: {:?}, not given: {:?}", &rights - &asked, &asked - &rights);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(service.mesh(), *mesh);
    let logged = service.log();
    assert!(!logged.contains(&token) && !logged.contains(&world.token), "{logged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_need_all_of_their_role() {
    let Some(world) = World::new().await else { return };
    let World { cluster, mesh, .. } = &world;
    let mut of_callers = BTreeSet::new();
    for role in OF_CALLERS {
        of_callers.extend(rights(&cluster.ask("GET", &format!("{ROLES}/{role}"), None).await.unwrap()));
    }
    assert!(of_callers.len() > 20, "{of_callers:?}");
    let mut callers = vec![];
    for (n, missing) in of_callers.iter().enumerate() {
        let name = format!("caller-without-{n}");
        let rules: Vec<_> = of_callers.iter().filter(|it| *it != missing).map(Right::rule).collect();
        cluster.grant("", &name, service_account(PORTAL, &name), &rules).await;
        callers.push((missing, cluster.caller_token(PORTAL, &name).await));
    }
    let mut service = world.start(cluster.kubeconfig());
    assert_eq!(service.mesh(), *mesh);
    for (missing, token) in callers {
        service.token = token;
        let seen = service.mesh();
        assert_ne!(seen, *mesh, "{missing} makes a difference");
        assert!(seen.brokers.len() + seen.event_types.len() > 0, "{missing} is not all that there is");
    }

    // In a namespace, the role shows that namespace.
    for role in OF_CALLERS {
        let binding = json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding", "metadata": {"namespace": "shop", "name": role},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [service_account(PORTAL, "shop")],
        });
        cluster.apply(&binding).await;
    }
    service.token = cluster.caller_token(PORTAL, "shop").await;
    // All of it is in one namespace. The server has to hear of the bindings.
    eventually("the mesh of a namespace", async || (service.mesh() == *mesh).then_some(())).await;
    service.token = cluster.caller_token(PORTAL, "nobody").await;
    let nothing = service.mesh();
    assert!(nothing.event_types.is_empty() && nothing.brokers.is_empty() && nothing.sources.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_of_its_rights_something_is_missing() {
    let Some(world) = World::new().await else { return };
    let World { cluster, rights, .. } = &world;
    assert!(rights.len() > 50, "{rights:?}");
    // All at first: when the last is there, the server has seen the others.
    let mut cases = vec![];
    for (n, missing) in rights.iter().enumerate() {
        let name = format!("without-{n}");
        let kubeconfig = account(cluster, &name, rights.iter().filter(|it| *it != missing)).await;
        let of = if missing.is_about_callers() { None } else { Some(kind(cluster, missing).await) };
        cases.push(Case { missing: missing.clone(), of, account: name, kubeconfig });
    }
    let world = Arc::new(world);
    let checks = cases.into_iter().map(async |case| {
        let world = world.clone();
        let check = tokio::task::spawn_blocking(move || {
            case.service_tells(&world);
            tokio::runtime::Handle::current().block_on(case.doctor_mends(&world.cluster));
        });
        // What fails has said so.
        check.await.is_ok()
    });
    let passed: Vec<_> = stream::iter(checks).buffer_unordered(AT_ONCE).collect().await;
    assert!(passed.iter().all(|it| *it));
}

/// The kind that a right is for, as the service calls it.
async fn kind(cluster: &Cluster, right: &Right) -> String {
    let versions = match &*right.group {
        "" => vec!["/api/v1".to_owned()],
        group => {
            let found = cluster.ask("GET", &format!("/apis/{group}"), None).await.unwrap();
            let versions = found["versions"].as_array().unwrap();
            versions.iter().map(|it| format!("/apis/{}", it["groupVersion"].as_str().unwrap())).collect()
        }
    };
    for version in versions {
        let found = cluster.ask("GET", &version, None).await.unwrap();
        let mut resources = found["resources"].as_array().unwrap().iter();
        if let Some(resource) = resources.find(|it| it["name"] == *right.resource) {
            let kind = resource["kind"].as_str().unwrap();
            return if right.group.is_empty() { kind.to_owned() } else { format!("{kind}.{}", right.group) };
        }
    }
    panic!("nothing is served that is called {}", right.resource);
}

/// An account that lacks one right.
struct Case {
    missing: Right,
    /// The kind that the right is for, unless it is about callers.
    of: Option<String>,
    account: String,
    kubeconfig: PathBuf,
}

impl Case {
    fn service_tells(&self, world: &World) {
        let service = world.start(&self.kubeconfig);
        match &self.of {
            Some(of) => self.tells_of_kind(of, &service, &world.mesh),
            None => self.tells_of_callers(&service, &world.mesh),
        }
    }

    /// Exactly this kind cannot be read or kept up to date, and an answer is whole or it is told what it lacks.
    fn tells_of_kind(&self, of: &str, service: &Service, whole: &EventMesh) {
        let Self { missing, .. } = self;
        let began = Instant::now();
        let told = loop {
            let seen = kinds(service);
            let wrong: Vec<_> = seen.iter().filter(|(_, live, _)| !live).collect();
            match &*wrong {
                [(name, _, state)] if name == of && !state.starts_with("listing") => break state.clone(),
                _ => assert!(began.elapsed() < PATIENCE, "without {missing}: {seen:?}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        match (&*missing.verb, told.split([' ', ':']).next().unwrap()) {
            ("watch", "not") => assert_eq!(service.mesh(), *whole, "{missing}: {told}"),
            ("list", "left") => assert_ne!(service.mesh(), *whole, "{missing} makes a difference: {told}"),
            // Without it, there is no mesh.
            ("list", "cannot") => assert_eq!(service.get("/v1/getEventMesh", &[]).status, 503, "{missing}: {told}"),
            _ => panic!("{missing}: {told}"),
        }
    }

    /// Nobody is answered, or it is told that changes are not heard of. All kinds are read.
    fn tells_of_callers(&self, service: &Service, whole: &EventMesh) {
        let Self { missing, .. } = self;
        process::eventually("all kinds", || {
            let seen = kinds(service);
            (seen.len() > 10 && seen.iter().all(|(_, live, _)| *live)).then_some(())
        });
        if missing.verb == "create" {
            let answer = service.get("/v1/getEventMesh", &[]);
            assert_eq!(answer.status, 503, "{missing}: {}", answer.body);
            assert!(answer.body.contains("cannot be found out now"), "{missing}: {}", answer.body);
            assert!(!answer.header("retry-after").is_empty(), "{missing}");
            let told = format!("A caller cannot be reviewed: refused: {}.{}", missing.resource, missing.group);
            process::eventually("a line in the log", || service.log().contains(&told).then_some(()));
            return;
        }
        assert_eq!(service.mesh(), *whole, "{missing}");
        let (told, logged) = if missing.is_path() {
            let told = "the tokens of the cluster cannot be checked here: ";
            (told.to_owned(), told.to_owned())
        } else {
            let what = format!("hanges of {} are not heard of", missing.resource);
            (format!("c{what}: refused"), format!("C{what}"))
        };
        process::eventually(&format!("a problem without {missing}"), || {
            let problems = problems(service);
            matches!(&*problems, [it] if it.starts_with(&told)).then_some(())
        });
        assert!(service.log().contains(&logged), "{missing}: {}", service.log());
    }

    /// `doctor` names exactly what is missing, and what it prints grants it.
    async fn doctor_mends(&self, cluster: &Cluster) {
        let Self { missing, account, kubeconfig, .. } = self;
        let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
        let (code, text) = doctor(kubeconfig, &["--format", "json"]);
        let report: Value = serde_json::from_str(&text).unwrap();
        let expected = json!([missing.in_json()]);
        assert_eq!(
            (code, &report["missing"], &report["user"]),
            (Some(1), &expected, &json!(user)),
            "{missing}: {text}"
        );
        let wrong = |of: &str| report[of].as_array().unwrap().iter().filter(|it| it["ok"] == false).count();
        let of_callers = usize::from(missing.is_about_callers());
        assert_eq!((wrong("kinds"), wrong("callers")), (1 - of_callers, of_callers), "{missing}: {text}");

        let (code, text) = doctor(kubeconfig, &[]);
        assert_eq!(code, Some(1));
        let granted = yaml(&text);
        assert_eq!(granted.iter().flat_map(rights).collect::<BTreeSet<_>>(), [missing.clone()].into(), "{text}");
        cluster.apply_all(&granted).await;
        let mended = async || Some(doctor(kubeconfig, &[])).filter(|(code, _)| *code == Some(0));
        eventually(&format!("the right to {missing}"), mended).await;
    }
}
