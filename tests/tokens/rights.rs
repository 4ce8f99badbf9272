//! What those see whose token is good: what is granted to the name and the groups that the token gives them, and
//! nothing that a request says besides.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::World;
use super::case::{Mint, with};
use super::controls::{HOME, READER, backstage};
use super::wire::{Answer, get};
use crate::support::callers::{group, rule, service_account, user};
use crate::support::cluster::{Cluster, eventually};

const NAMESPACES: [&str; 4] = ["ops", "plain", "secret", "shop"];

/// A broker in each namespace, and those who may see it.
pub async fn prepare(cluster: &Cluster) {
    let brokers = NAMESPACES.map(|it| {
        json!({
            "apiVersion": "eventing.knative.dev/v1",
            "kind": "Broker",
            "metadata": { "namespace": it, "name": "default" },
        })
    });
    cluster.apply_all(&brokers).await;
    let rules = [rule(&["list"], "eventing.knative.dev", "brokers", &[])];
    for (namespace, subject) in [
        ("shop", user("oidc:ann")),
        ("shop", service_account(HOME, READER)),
        ("shop", user("backstage:user:default/jane")),
        ("ops", group("oidc:dev")),
        ("ops", group("backstage:group:default/team-a")),
        // Nobody gets there but those who have nothing before their names.
        ("plain", user("ann")),
        ("plain", group("dev")),
        // Nobody gets there at all.
        ("secret", user("admin")),
        ("secret", user("system:admin")),
        ("secret", group("masters")),
        ("secret", user("oidc:system:serviceaccount:callers:reader")),
    ] {
        let name = subject["name"].as_str().unwrap().replace([':', '/'], "-");
        cluster.grant(namespace, &name, subject, &rules).await;
    }
}

/// Who has which rights.
fn people(mint: &Mint) -> Vec<(&'static str, String, &'static [&'static str])> {
    let of = |issuer: &str, mut more: Value| {
        more["iss"] = mint.issuer(issuer).into();
        mint.main(more)
    };
    vec![
        ("ann", of("main", json!({})), &["shop"]),
        ("ann of dev", of("main", json!({ "groups": ["dev"] })), &["ops", "shop"]),
        ("bob", of("main", json!({ "sub": "bob" })), &[]),
        ("bob of dev", of("main", json!({ "sub": "bob", "groups": "dev" })), &["ops"]),
        ("bob of a group with its prefix", of("main", json!({ "sub": "bob", "groups": ["oidc:dev"] })), &[]),
        (
            "bob of groups under another name",
            of("main", json!({ "sub": "bob", "roles": ["dev"], "Groups": ["dev"] })),
            &[],
        ),
        ("a name with its prefix", of("main", json!({ "sub": "oidc:ann" })), &[]),
        ("a name in upper case", of("main", json!({ "sub": "ANN" })), &[]),
        ("a name with a blank", of("main", json!({ "sub": "ann " })), &[]),
        ("a name that looks the same", of("main", json!({ "sub": "аnn" })), &[]),
        ("a name that nobody sees the end of", of("main", json!({ "sub": "ann\u{200b}" })), &[]),
        ("a pattern", of("main", json!({ "sub": "*", "groups": ["*"] })), &[]),
        ("the administrator's name", of("main", json!({ "sub": "admin" })), &[]),
        ("the system's masters", of("main", json!({ "sub": "bob", "groups": ["system:masters", "masters"] })), &[]),
        ("the system's admin", of("main", json!({ "sub": "system:admin" })), &[]),
        (
            "other claims of names",
            of("main", json!({ "sub": "bob", "username": "ann", "email": "ann", "uid": "ann" })),
            &[],
        ),
        (
            "claims of Kubernetes",
            of(
                "main",
                json!({ "sub": "bob", "kubernetes.io": { "namespace": HOME, "serviceaccount": { "name": READER } } }),
            ),
            &[],
        ),
        (
            "claims of impersonation",
            of("main", json!({ "sub": "bob", "act": { "sub": "ann" }, "may_act": { "sub": "ann" } })),
            &[],
        ),
        ("nothing before ann", of("plain", json!({})), &["plain"]),
        ("nothing before dev", of("plain", json!({ "sub": "bob", "groups": ["dev"] })), &["plain"]),
        (
            "nothing before the system's masters",
            of("plain", json!({ "sub": "bob", "groups": ["system:masters"] })),
            &[],
        ),
        (
            "nothing before what looks like them",
            of("plain", json!({ "sub": "bob", "groups": ["System:masters", " system:masters", "system：masters"] })),
            &[],
        ),
        ("nothing before a prefix", of("plain", json!({ "sub": "oidc:ann" })), &["shop"]),
        ("sys before the rest of the masters", of("sys", json!({ "sub": "bob", "groups": ["tem:masters"] })), &[]),
        ("sys before ann", of("sys", json!({})), &[]),
        ("jane of Backstage", backstage(mint, json!({})), &["ops", "shop"]),
        ("jane of Backstage without groups", backstage(mint, json!({ "ent": [] })), &["shop"]),
        (
            "joe of Backstage",
            backstage(mint, json!({ "sub": "user:default/joe", "ent": ["group:default/team-b"] })),
            &[],
        ),
    ]
}

/// What requests say besides.
const BESIDES: [&[&str]; 12] = [
    &["Impersonate-User: admin"],
    &["Impersonate-User: system:admin", "Impersonate-Group: system:masters"],
    &["Impersonate-User: admin", "Impersonate-Uid: admin", "Impersonate-Extra-Scopes: all"],
    &["impersonate-group: system:masters"],
    &["X-Remote-User: admin", "X-Remote-Group: system:masters", "X-Remote-Extra-Scopes: all"],
    &["X-Remote-Uid: admin", "X-Remote-User: system:admin"],
    &["X-Forwarded-User: admin", "X-Forwarded-Groups: system:masters", "X-Forwarded-Preferred-Username: admin"],
    &["X-Auth-Request-User: admin", "Remote-User: admin", "REMOTE_USER: admin"],
    &["X-Forwarded-Access-Token: admin-token", "Proxy-Authorization: Bearer admin-token"],
    &["X-Original-URL: /metrics", "X-Rewrite-URL: /metrics", "X-HTTP-Method-Override: GET"],
    &["Connection: authorization, impersonate-user", "Impersonate-User: admin"],
    &["Cookie: Authorization=Bearer admin-token; access_token=admin-token"],
];

/// Checks all of them, and says how many there were.
pub async fn check(world: &World) -> usize {
    let mut checks = 0;
    let reader = world.cluster.caller_token(HOME, READER).await;
    let admin = world.cluster.admin_token();
    let claims = super::controls::reader(&world.cluster).await;
    let pretended = json!({ "sub": "system:masters", "groups": ["system:masters"] });
    let pretended = world.mint.of_cluster(with(&claims, pretended));
    let of_cluster: [(&str, String, &[&str]); 3] = [
        ("the reader", reader, &["shop"]),
        ("the reader, as a master of the system", pretended, &["shop"]),
        ("the admin", admin, &NAMESPACES),
    ];
    let mut bodies: Vec<(BTreeSet<String>, String, String)> = vec![];
    for (name, token, expected) in people(&world.mint).into_iter().chain(of_cluster) {
        let good = format!("Authorization: Bearer {token}");
        let expected: BTreeSet<_> = expected.iter().map(|it| (*it).to_owned()).collect();
        // The server's own authorizer learns of roles a little later than they are written.
        let ask = async || Some(world.ask(&get(&[&good])).await).filter(|it| seen(it) == Some(expected.clone()));
        let plain = eventually(name, ask).await;
        let etag = plain.header("etag").to_owned();
        assert!(!etag.is_empty(), "{name}");
        for besides in BESIDES {
            let fields: Vec<_> = besides.iter().copied().chain([&*good]).collect();
            let answer = world.ask(&get(&fields)).await;
            let same = (200, &*plain.body, &*etag);
            assert_eq!((answer.status, &*answer.body, answer.header("etag")), same, "{name}, {besides:?}");
            checks += 1;
        }
        bodies.push((expected, plain.body, etag));
        checks += 1;
    }
    // Who sees the same gets the same, and who does not, does not.
    for (seen, body, etag) in &bodies {
        for (other_seen, other_body, other_etag) in &bodies {
            assert_eq!(seen == other_seen, body == other_body);
            assert_eq!(seen == other_seen, etag == other_etag);
        }
    }
    checks
}

/// The namespaces of the brokers in an answer.
fn seen(answer: &Answer) -> Option<BTreeSet<String>> {
    let mesh: Value = serde_json::from_str(&answer.body).ok().filter(|_| answer.status == 200)?;
    mesh["brokers"].as_array()?.iter().map(|it| it["namespace"].as_str().map(str::to_owned)).collect()
}

/// Keys that an issuer takes away count no more, however good they were.
pub async fn rotate(world: &World) -> usize {
    let mint = &world.mint;
    let token = |key: &super::keys::Secret, n: u8| {
        let claims = mint.claims(json!({ "iss": mint.issuer("rotating"), "jti": n }));
        format!("Authorization: Bearer {}", key.token("RS256", mint.header("RS256", key), claims.to_string()))
    };
    let status = async |key, n| world.ask(&get(&[token(key, n)])).await.status;
    world.issuers.publish("rotating", &[mint.retired.jwk()]);
    // It had none so far, and after a failure an issuer is left alone for a moment.
    let published = async || Some(status(&mint.retired, 1).await).filter(|it| *it != 503);
    assert_eq!(eventually("an answer", published).await, 200, "the key is published");
    world.issuers.publish("rotating", &[mint.rsa.jwk()]);
    assert_eq!(status(&mint.rsa, 2).await, 200, "a new key is looked for");
    assert_eq!(status(&mint.retired, 3).await, 401, "the old key was taken away");
    assert_eq!(status(&mint.rsa, 4).await, 200, "the new key goes on");
    4
}
