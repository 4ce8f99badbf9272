//! Who asks: some who stay, each with other rights, and a crowd that comes and goes with its roles.

use std::collections::BTreeSet;
use std::time::Instant;

use eventmesh_catalog::api::dto::EventMesh;
use eventmesh_catalog::mesh::grant::{Rights, Scope};
use eventmesh_catalog::mesh::{Grant, GroupKind};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::polls::{Board, SMALL, count, only};
use crate::support::callers::{role, rule, service_account};
use crate::support::cluster::{Cluster, PATIENCE};
use crate::support::polling::Caller;

const HOME: &str = "callers";
const RBAC: &str = "rbac.authorization.k8s.io";
/// Roles that are bound.
const EVERYTHING: &str = "soak-everything";
const TYPES: &str = "soak-types";
const SERVICES: &str = "soak-services";
/// How many of a crowd are written at a time.
const AT_ONCE: usize = 8;
const MESH: &str = "/v1/getEventMesh";

/// Somebody who stays, and what that one may see.
pub struct Standing {
    pub name: &'static str,
    pub token: String,
    pub grant: Grant,
}

/// Writes roles, bindings and accounts, and gives who may do what.
pub async fn standing(cluster: &Cluster, teams: &[String]) -> Vec<Standing> {
    let eventing = "eventing.knative.dev";
    let types = ["brokers", "eventtypes", "triggers"].map(|it| rule(&["list"], eventing, it, &[]));
    let services = ["", "serving.knative.dev"].map(|it| rule(&["get"], it, "services", &[]));
    cluster.apply(&role("", EVERYTHING, &[rule(&["get", "list"], "*", "*", &[])])).await;
    cluster.apply(&role("", TYPES, &types)).await;
    cluster.apply(&role("", SERVICES, &services)).await;

    let (first, few) = (&teams[0], &teams[..teams.len().min(5)]);
    bind(cluster, "", "portal", EVERYTHING, HOME).await;
    bind(cluster, SMALL, "shop", EVERYTHING, HOME).await;
    for team in few {
        bind(cluster, team, "team", EVERYTHING, HOME).await;
    }
    bind(cluster, "", "types", TYPES, HOME).await;
    bind(cluster, first, "types", SERVICES, HOME).await;

    let only = |them: &[String]| Scope::Namespaces(them.iter().cloned().collect());
    let kinds = |them: &[(&str, &str)], scope: Scope| Rights {
        kinds: them.iter().map(|(group, kind)| (GroupKind::new(*group, *kind), scope.clone())).collect(),
        ..Rights::default()
    };
    let seen = [(eventing, "Broker"), (eventing, "EventType"), (eventing, "Trigger")];
    let linked = [("", "Service"), ("serving.knative.dev", "Service")];
    let types = Grant {
        list: kinds(&seen, Scope::Everywhere),
        get: kinds(&linked, only(std::slice::from_ref(first))),
        is_whole: false,
    };
    let grants = [
        ("portal", Grant::everything()),
        ("shop", Grant::scoped(only(&[SMALL.to_owned()]))),
        ("team", Grant::scoped(only(few))),
        ("types", types),
        ("nobody", Grant::default()),
    ];
    let mut standing = vec![];
    for (name, grant) in grants {
        standing.push(Standing { name, token: cluster.caller_token(HOME, name).await, grant });
    }
    standing
}

/// Binds a role for the whole cluster, or for a namespace, to a service account.
async fn bind(cluster: &Cluster, namespace: &str, account: &str, role: &str, home: &str) {
    cluster.apply(&binding(namespace, account, role, home)).await;
}

fn binding(namespace: &str, account: &str, role: &str, home: &str) -> Value {
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let mut metadata = json!({"name": format!("{account}-{role}")});
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [service_account(home, account)],
    })
}

/// Where a newcomer may look.
enum Rank {
    Whole,
    OneNamespace,
    TypesOfOneNamespace,
}

/// So many come, look, and go again.
pub async fn crowd(cluster: &Cluster, address: &str, board: &Board, teams: &[String], (first, size): (usize, usize)) {
    let come = |n: usize| async move {
        let (name, team) = (format!("newcomer-{n}"), &teams[n % teams.len()]);
        // Those who see but a namespace make the API server decide on all others, one by one.
        let (rank, bound) = match n % 10 {
            0 => (Rank::OneNamespace, binding(team, &name, EVERYTHING, HOME)),
            1 => (Rank::TypesOfOneNamespace, binding(team, &name, TYPES, HOME)),
            _ => (Rank::Whole, binding("", &name, EVERYTHING, HOME)),
        };
        let token = cluster.caller_token(HOME, &name).await;
        cluster.apply(&bound).await;
        (name, team, rank, bound, token)
    };
    let crowd: Vec<_> = stream::iter(first..first + size).map(come).buffered(AT_ONCE).collect().await;
    for (name, team, rank, _, token) in &crowd {
        let mut caller = Caller::new(address, token);
        let Some(etag) =
            until(&mut caller, board, name, "", |mesh| !mesh.brokers.is_empty(), |mesh| may_see(rank, team, mesh))
                .await
        else {
            continue;
        };
        // What did not change is known now.
        let _ = until(&mut caller, board, name, &etag, |_| true, |mesh| may_see(rank, team, mesh)).await;
    }
    stream::iter(&crowd).for_each_concurrent(AT_ONCE, |(_, _, _, bound, _)| cluster.delete(bound)).await;
    // Soon there is nothing for them to see.
    if let Some((name, _, _, _, token)) = crowd.first() {
        let mut caller = Caller::new(address, token);
        let _ = until(&mut caller, board, name, "", |mesh| count(mesh) == 0, |_| None).await;
    }
    let accounts = crowd.iter().map(|(name, ..)| {
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": HOME, "name": name}})
    });
    stream::iter(accounts).for_each_concurrent(AT_ONCE, async |it| cluster.delete(&it).await).await;
}

/// What is wrong with an answer to somebody of this rank.
fn may_see(rank: &Rank, team: &str, mesh: &EventMesh) -> Option<String> {
    if matches!(rank, Rank::Whole) {
        return None;
    }
    let mut own = mesh.clone();
    only(&mut own, team);
    if count(&own) < count(mesh) {
        return Some(format!("{} items of others than {team}", count(mesh) - count(&own)));
    }
    if matches!(rank, Rank::TypesOfOneNamespace) {
        let others = mesh.sources.len() + mesh.subscribables.len();
        // A consumer is a subscriber, of which none may be got.
        let consumers: BTreeSet<_> = mesh.event_types.iter().flat_map(|it| &it.consumed_by).collect();
        if others + consumers.len() > 0 {
            return Some(format!("{others} items of other kinds, {} consumers", consumers.len()));
        }
    }
    None
}

/// Asks until the answer is the one that is waited for, and holds each against what may be seen. Gives its tag.
async fn until(
    caller: &mut Caller,
    board: &Board,
    name: &str,
    known: &str,
    is_it: impl Fn(&EventMesh) -> bool,
    complaint: impl Fn(&EventMesh) -> Option<String>,
) -> Option<String> {
    let began = Instant::now();
    let mut headers = vec![("accept-encoding", "identity")];
    headers.extend((!known.is_empty()).then_some(("if-none-match", known)));
    loop {
        let asked = Instant::now();
        match caller.request(MESH, &headers).await {
            Ok(answer) if answer.status() == 304 => {
                board.samples.lock().unwrap().answers += 1;
                return Some(known.to_owned());
            }
            Ok(answer) if answer.status() == 200 => {
                board.samples.lock().unwrap().answers += 1;
                let mesh: EventMesh = serde_json::from_slice(answer.body()).expect("the mesh as JSON");
                if let Some(complaint) = complaint(&mesh) {
                    board.wrong(format!("{name}: {complaint}"));
                    return None;
                }
                if is_it(&mesh) {
                    return Some(crate::support::polling::header(&answer, "etag").to_owned());
                }
            }
            Ok(answer) => board.refused(name, asked, &answer),
            Err(error) if error.is_canceled() || error.is_closed() => {}
            Err(error) => board.unexpected(format!("{name}: {error:?}")),
        }
        if began.elapsed() > PATIENCE {
            board.wrong(format!("{name}: the answer is not the one that is waited for"));
            return None;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
