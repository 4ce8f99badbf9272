//! Good tokens, which have to go on being good; those of the cluster above all.

use serde_json::{Value, json};

use super::case::Outcome::{self, Good, Refused, Unknown, Vouched};
use super::case::{Family, Mint, with};
use super::keys::{Secret, base64};
use crate::support::callers::AUDIENCE;
use crate::support::cluster::Cluster;

/// Where service accounts are.
pub const HOME: &str = "callers";
pub const READER: &str = "reader";

pub async fn families(mint: &Mint, cluster: &Cluster) -> Vec<Family> {
    vec![issuers(mint), of_cluster(mint, cluster).await]
}

fn issuers(mint: &Mint) -> Family {
    let mut family = Family::new("good tokens of issuers");
    for (key, algorithms) in [
        (&mint.rsa, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (&mint.p256, &["ES256"]),
        (&mint.p384, &["ES384"]),
        (&mint.ed, &["EdDSA"]),
    ] {
        for algorithm in algorithms {
            family.token(*algorithm, key.finish(algorithm, &mint.message(algorithm, key)), Good);
            let unnamed = json!({ "alg": algorithm }).to_string();
            let token = key.token(algorithm, unnamed, mint.claims(json!({})).to_string());
            family.token(format!("{algorithm} without the name of a key"), token, Good);
        }
    }
    for sub in
        ["ann", "a", "Ann Example", "ann@example.com", "user:default/ann", "安", "😀", "systems:ann", "null", "0"]
    {
        family.token(format!("sub {sub}"), mint.main(json!({ "sub": sub })), Good);
    }
    for groups in
        [json!([]), json!("dev"), json!(["dev", "ops"]), json!(["dev", "dev"]), json!(["", "a\tb"]), json!("")]
    {
        family.token(format!("groups {groups}"), mint.main(json!({ "groups": groups })), Good);
    }
    family.token("Backstage", backstage(mint, json!({})), Good);
    family.token("Backstage, without groups", backstage(mint, json!({ "ent": [] })), Good);
    family.token("Backstage, for others", backstage(mint, json!({ "aud": "catalog" })), Refused);
    family.token("Backstage, of main", backstage(mint, json!({ "iss": mint.issuer("main") })), Refused);
    family
}

/// A token that Backstage makes for its users.
pub fn backstage(mint: &Mint, more: Value) -> String {
    let header = json!({ "typ": "vnd.backstage.user", "alg": "ES256", "kid": "p256" }).to_string();
    let claims = json!({
        "iss": mint.issuer("backstage"),
        "sub": "user:default/jane",
        "ent": ["user:default/jane", "group:default/team-a"],
        "aud": "backstage",
        "iat": mint.now,
        "exp": mint.now + 3600,
        "uip": base64([5; 64]),
    });
    mint.p256.token("ES256", header, with(&claims, more).to_string())
}

async fn of_cluster(mint: &Mint, cluster: &Cluster) -> Family {
    let mut family = Family::new("tokens of the cluster");
    let ours = cluster.caller_token(HOME, READER).await;
    let mixed = cluster.token_for(HOME, READER, &["x", AUDIENCE]).await;
    let of_server = cluster.service_account_token(HOME, READER).await;
    let other = cluster.token_for(HOME, READER, &["somebody-else"]).await;
    let claims = reader(cluster).await;
    let uid = claims["kubernetes.io"]["serviceaccount"]["uid"].as_str().unwrap();
    let legacy = Legacy { mint, cluster, uid };
    let (known, revoked) = (legacy.kept("legacy").await, legacy.kept("revoked").await);
    cluster.ask("DELETE", &format!("/api/v1/namespaces/{HOME}/secrets/revoked"), None).await.unwrap();
    let admin = cluster.admin_token();
    // At both services: the one that takes what is for the API server, and the one that does not.
    let all: [(&str, &str, Outcome, Outcome); 12] = [
        ("for us", &ours, Vouched, Vouched),
        ("for us and others", &mixed, Vouched, Vouched),
        ("for the API server", &of_server, Vouched, Refused),
        ("for others", &other, Unknown, Refused),
        ("legacy", &known, Vouched, Unknown),
        ("legacy, its Secret deleted", &revoked, Unknown, Unknown),
        ("legacy, of no Secret", &legacy.token("nothing", &mint.cluster, json!({})), Unknown, Unknown),
        ("legacy, by somebody else", &legacy.token("legacy", &mint.foreign, json!({})), Unknown, Unknown),
        (
            "legacy, of another account",
            &legacy.token("legacy", &mint.cluster, json!({ "sub": "system:serviceaccount:kube-system:default" })),
            Unknown,
            Unknown,
        ),
        ("legacy, unsigned", &unsigned(&known), Unknown, Unknown),
        ("the administrator's", &admin, Vouched, Unknown),
        ("nearly the administrator's", "admin-toke", Unknown, Unknown),
    ];
    for (name, token, lenient, strict) in all {
        family.token(name, token, lenient);
        family.strict(format!("{name}, where that is strict"), token, strict);
    }
    // What the API server could have made is good, whoever made it; what it could not have made is not. It is of the
    // account that is named, whatever `sub` says.
    for (name, more, outcome) in [
        ("made with its key", json!({}), Vouched),
        (
            "of another uid",
            json!({ "kubernetes.io": { "namespace": HOME, "serviceaccount": { "name": READER, "uid": "1" } } }),
            Unknown,
        ),
        ("of another account by its sub", json!({ "sub": "system:serviceaccount:kube-system:reader" }), Vouched),
        ("of the administrator", json!({ "sub": "admin" }), Vouched),
        ("of the system's masters", json!({ "sub": "system:masters", "groups": ["system:masters"] }), Vouched),
        (
            "bound to a pod that is not there",
            json!({ "kubernetes.io": {
                "namespace": HOME,
                "pod": { "name": "x", "uid": "1" },
                "serviceaccount": { "name": READER, "uid": uid },
            } }),
            Unknown,
        ),
    ] {
        family.token(name, mint.of_cluster(with(&claims, more)), outcome);
    }
    for (name, token) in [("for us", &ours), ("for the API server", &of_server)] {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        family.token(format!("{name}, unsigned"), format!("{message}."), Refused);
        family.token(format!("{name}, cut short"), &token[..token.len() - 4], Refused);
        family.token(format!("{name}, padded"), format!("{token}=="), Refused);
        let claims = base64(mint.cluster_claims(claims.clone()).to_string());
        family.token(
            format!("{name}, other claims under its signature"),
            format!("{header}.{claims}.{signature}"),
            Refused,
        );
        family.token(format!("{name}, signed by somebody else"), mint.foreign.finish("RS256", message), Refused);
        family.token(format!("{name}, signed by main"), mint.rsa.finish("RS256", message), Refused);
        family.token(format!("{name}, with a dot"), format!("{token}."), Unknown);
    }
    family
}

/// What a token of the reader says of who it is.
pub async fn reader(cluster: &Cluster) -> Value {
    let path = format!("/api/v1/namespaces/{HOME}/serviceaccounts/{READER}");
    let account = cluster.ask("GET", &path, None).await.unwrap();
    json!({
        "sub": format!("system:serviceaccount:{HOME}:{READER}"),
        "kubernetes.io": {
            "namespace": HOME,
            "serviceaccount": { "name": READER, "uid": account["metadata"]["uid"] },
        },
    })
}

fn unsigned(token: &str) -> String {
    let (message, _) = token.rsplit_once('.').unwrap();
    format!("{message}.")
}

/// Tokens of Secrets, as controllers made them for every service account once.
struct Legacy<'a> {
    mint: &'a Mint,
    cluster: &'a Cluster,
    uid: &'a str,
}

impl Legacy<'_> {
    fn token(&self, secret: &str, key: &Secret, more: Value) -> String {
        let claims = json!({
            "iss": "kubernetes/serviceaccount",
            "kubernetes.io/serviceaccount/namespace": HOME,
            "kubernetes.io/serviceaccount/secret.name": secret,
            "kubernetes.io/serviceaccount/service-account.name": READER,
            "kubernetes.io/serviceaccount/service-account.uid": self.uid,
            "sub": format!("system:serviceaccount:{HOME}:{READER}"),
        });
        let header = json!({ "alg": "RS256", "kid": self.mint.cluster_id }).to_string();
        key.token("RS256", header, with(&claims, more).to_string())
    }

    /// One that is kept in its Secret, without which it does not count.
    async fn kept(&self, secret: &str) -> String {
        use base64::Engine as _;
        let token = self.token(secret, &self.mint.cluster, json!({}));
        let of = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/service-account-token",
            "metadata": { "namespace": HOME, "name": secret, "annotations": {
                "kubernetes.io/service-account.name": READER, "kubernetes.io/service-account.uid": self.uid,
            } },
            "data": { "token": base64::engine::general_purpose::STANDARD.encode(&token) },
        });
        self.cluster.apply(&of).await;
        token
    }
}
