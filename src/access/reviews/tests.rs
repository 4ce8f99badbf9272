//! What is asked of an API server that answers as Kubernetes does, and what its answers mean.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::questions::Verb;
use super::*;
use crate::mesh::GroupKind;

/// What one asks whose API server says this of a `spec`; and what was asked.
async fn reviewer(status: impl Fn(&Value) -> Value + Send + Sync + 'static) -> (Reviewer, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::at(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
    let (asked, status) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::new(status));
    let seen = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (status, seen) = (status.clone(), seen.clone());
            let review = move |mut review: Value| {
                seen.lock().unwrap().push(review["spec"].clone());
                review["status"] = status(&review["spec"]);
                review
            };
            tokio::spawn(async move { _ = serve(stream, review).await });
        }
    });
    (Reviewer::new(server), asked)
}

/// One question to a connection.
async fn serve(mut stream: TcpStream, answer: impl Fn(Value) -> Value) -> std::io::Result<()> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|it| it.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body = answer(serde_json::from_slice(&body).unwrap()).to_string();
    let head = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}

/// What an API server says that has these audiences, where a token is the names of its own, with commas.
fn reviewed(spec: &Value, own: &[&str]) -> Value {
    let asked: Vec<_> = match spec["audiences"].as_array() {
        Some(asked) => asked.iter().filter_map(Value::as_str).collect(),
        None => own.to_vec(),
    };
    let of_token: Vec<_> = spec["token"].as_str().unwrap().split(',').collect();
    let both: Vec<_> = of_token.into_iter().filter(|it| asked.contains(it)).collect();
    if both.is_empty() {
        return json!({"authenticated": false, "error": "invalid bearer token"});
    }
    json!({"authenticated": true, "user": {"username": "jane"}, "audiences": both})
}

/// As if nothing was learned lately.
fn later(reviewer: &Reviewer) {
    let own = reviewer.own.load_full().unwrap();
    let learned = own.learned.checked_sub(LEARNED).unwrap();
    reviewer.own.store(Some(Arc::new(Own { learned, ..Own::clone(&own) })));
}

#[tokio::test]
async fn what_is_learned_of_audiences_is_united_and_keeps_nobody_out() {
    let (reviewer, asked) = reviewer(|spec| reviewed(spec, &["a", "b", "c"])).await;
    let either = Audience::Either("catalog".into());
    let is_good = async |token: &str, audience: &Audience| {
        reviewer.holder(token, Standing::Familiar, audience).await.unwrap().is_some()
    };
    let count = || std::mem::take(&mut *asked.lock().unwrap()).len();
    // What is new is asked for once more.
    assert!(is_good("a", &either).await && count() == 3);
    // For whom it is for certain, the API server always has the last word.
    assert!(is_good("b", &Audience::Server).await && count() == 3);
    // What is known costs a question, whichever was learned last.
    assert!(is_good("a", &either).await && is_good("b", &either).await && is_good("catalog", &either).await);
    assert_eq!(count(), 3);
    assert!(is_good("a", &Audience::Server).await && is_good("b", &Audience::Server).await);
    assert_eq!(count(), 2);
    // Right after something was learned, that is taken to be all.
    assert!(!is_good("garbage", &either).await && count() == 1);
    // Garbage teaches nothing, and keeps nobody from being asked for.
    later(&reviewer);
    assert!(!is_good("garbage", &either).await && count() == 2);
    assert!(is_good("c", &either).await && count() == 3);
    assert!(is_good("a", &either).await && is_good("b", &either).await && is_good("c", &either).await);
    assert_eq!(count(), 3);
    // A token for us alone is never taken for one of the API server's.
    let ours = Audience::Ours("catalog".into());
    later(&reviewer);
    assert!(!is_good("a", &ours).await && !is_good("catalog", &Audience::Server).await);
}

/// API servers keep for ten seconds what they found out of a token, for everybody who uses it there.
#[tokio::test]
async fn what_an_api_server_remembers_of_a_revoked_token_does_not_count() {
    let is_revoked = Arc::new(AtomicBool::new(false));
    let revoked = is_revoked.clone();
    let (reviewer, _) = reviewer(move |spec| {
        let is_asked_anew = spec["audiences"].is_array();
        if is_asked_anew && revoked.load(Ordering::Relaxed) {
            json!({"authenticated": false})
        } else {
            reviewed(spec, &["a", "b"])
        }
    })
    .await;
    let either = Audience::Either("catalog".into());
    let is_good = async |token: &str| reviewer.holder(token, Standing::Familiar, &either).await.unwrap().is_some();
    assert!(is_good("a").await);
    later(&reviewer);
    is_revoked.store(true, Ordering::Relaxed);
    assert!(!is_good("a").await, "of an audience that is known");
    later(&reviewer);
    assert!(!is_good("b").await, "of one that is new");
}

/// An authenticator may take as long as it likes for tokens that it does not know.
#[tokio::test]
async fn strangers_and_others_do_not_wait_for_each_other() {
    let (reviewer, _) = reviewer(|spec| reviewed(spec, &["a"])).await;
    let is_good = async |standing| reviewer.holder("a", standing, &Audience::Server).await.unwrap().is_some();
    let taken = reviewer.stranger_turns.acquire_many(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
    assert!(is_good(Standing::Familiar).await);
    drop(taken);
    let _taken = reviewer.token_turns.acquire_many(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
    assert!(is_good(Standing::Strange).await);
}

#[test]
fn no_more_audiences_are_remembered_than_there_is_room_for() {
    let begin = Instant::now();
    let names = |range: std::ops::Range<usize>| range.map(|it| it.to_string()).collect::<Vec<_>>();
    let later = begin + Duration::from_secs(1);
    let own = Own::with(None, &names(0..2), begin).unwrap();
    assert_eq!((own.audiences.clone(), own.learned), (names(0..2), begin));
    assert_eq!(Own::with(Some(&own), &names(0..2), later), None);
    assert_eq!(Own::with(None, &[], later), None);
    let own = Own::with(Some(&own), &names(1..40), later).unwrap();
    assert_eq!((own.audiences.clone(), own.learned), (names(0..MAX_OWN), later));
    assert_eq!(Own::with(Some(&own), &names(40..50), later), None);
}

#[test]
fn only_who_is_said_to_be_somebody_for_that_audience_is() {
    let ours = ["catalog".to_owned()];
    let check = |status: Value, asked: Option<&[String]>, expected: Option<&str>| {
        let found = holder(serde_json::from_value(status.clone()).unwrap(), asked).unwrap();
        assert_eq!(found.map(|(user, _)| user.name).as_deref(), expected, "{status} for {asked:?}");
    };
    let user = json!({"username": "jane", "uid": "1", "groups": ["b", "a", "b"], "extra": {"x": ["1"], CREDENTIAL_ID: ["JTI=1"]}});
    let good = |audiences: Value| json!({"authenticated": true, "user": user, "audiences": audiences});
    check(good(json!(["catalog", "nobody/1"])), Some(&ours), Some("jane"));
    check(good(json!(["server"])), None, Some("jane"));
    check(good(Value::Null), None, Some("jane"));
    // What does not know audiences has not looked at them.
    check(good(Value::Null), Some(&ours), None);
    check(good(json!([])), Some(&ours), None);
    check(good(json!(["server"])), Some(&ours), None);
    check(good(json!(["catalog/x", "catalo", "Catalog"])), Some(&ours), None);
    check(json!({"authenticated": false, "user": user, "audiences": ["catalog"]}), Some(&ours), None);
    check(json!({"user": user, "audiences": ["catalog"]}), Some(&ours), None);
    check(json!({"authenticated": true, "user": user, "error": "but"}), None, Some("jane"));
    check(json!({"authenticated": true}), None, None);
    check(json!({"authenticated": true, "user": {}}), None, None);
    check(json!({"authenticated": true, "user": {"username": ""}}), None, None);
    check(json!({}), None, None);
    let (found, _) = holder(serde_json::from_value(good(Value::Null)).unwrap(), None).unwrap().unwrap();
    assert_eq!((found.groups, found.uid.as_str()), (vec!["a".to_owned(), "b".to_owned()], "1"));
    assert_eq!(found.extra, [("x".to_owned(), vec!["1".to_owned()])].into());
}

#[test]
fn an_error_on_the_way_to_those_who_know_is_no_verdict() {
    let check = |error: &str, is_verdict: bool| {
        let status = json!({"authenticated": false, "error": error});
        let found = holder(serde_json::from_value(status).unwrap(), None);
        match found {
            Ok(found) => assert!(found.is_none() && is_verdict, "{error}"),
            Err(Failure::Busy { words, .. }) => assert!(words.len() <= MAX_WORDS && !is_verdict, "{error}"),
            Err(other) => panic!("{error}: {other}"),
        }
    };
    for error in [
        "",
        "invalid bearer token",
        "[invalid bearer token, token lookup failed]",
        "[invalid bearer token, service account token has expired]",
        "service account token has been invalidated",
        "service account shop/jane has been deleted",
        "service account token is not valid yet",
        "oidc: verify token: oidc: token is expired (Token Expiry: 2026-01-01 00:00:00 +0000 UTC)",
        "oidc: verify token: failed to verify signature: failed to verify id token signature",
        "oidc: could not parse issuer \"https://login.example.com/api/oidc\"",
        "the user geof is of no use, and neither is timeouts or eofs",
        "service account shop/timeouter not found",
    ] {
        check(error, true);
    }
    let long = format!("Post \"https://webhook/{}\": EOF", "x".repeat(1000));
    for error in [
        "Post \"https://webhook.example.com/authenticate\": dial tcp 10.0.0.1:443: connect: connection refused",
        "[invalid bearer token, Post \"https://webhook/\": read tcp 10.0.0.2:1->10.0.0.1:443: connection reset by peer]",
        "Post \"https://webhook/\": context deadline exceeded",
        "Post \"https://webhook/\": net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
        "Post \"https://webhook/\": net/http: TLS handshake timeout",
        "Post \"https://webhook/\": remote error: tls handshake failure",
        "Post \"https://webhook/\": read tcp 10.0.0.2:1->10.0.0.1:443: i/o error",
        "Post \"https://webhook/\": the operation timed out",
        "Post \"https://webhook/\": EOF",
        "unexpected EOF",
        "Post \"https://webhook/\": dial: lookup webhook: no such host",
        "lookup webhook on 10.0.0.10:53: server misbehaving",
        "connect: network is unreachable",
        "connect: no route to host",
        "write: broken pipe",
        "oidc: authenticator not initialized",
        "oidc: verify token: failed to verify signature: fetching keys oidc: get keys failed: 503 Service Unavailable",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "the server is currently unable to handle the request",
        &long,
    ] {
        check(error, false);
    }
    // Who is known in spite of it is known.
    let status = json!({"authenticated": true, "user": {"username": "jane"}, "error": "dial tcp: connection refused"});
    assert!(holder(serde_json::from_value(status).unwrap(), None).unwrap().is_some());
}

#[tokio::test]
async fn errors_of_reviews_count_as_failures_and_do_not_tell_tokens() {
    let token = "a-token-of-more-than-twenty-bytes";
    let (reviewer, _) = reviewer(
        |spec| json!({"authenticated": false, "error": format!("dial tcp: {}", spec["token"].as_str().unwrap())}),
    )
    .await;
    let failure = reviewer.holder(token, Standing::Strange, &Audience::Server).await.unwrap_err();
    assert_eq!(failure, Failure::Garbled("the answer repeats what was asked".into()));
    assert_eq!(reviewer.counts().tokens.outcomes(), [("allowed", 0), ("denied", 0), ("error", 1)]);
}

#[test]
fn questions_are_about_all_that_they_cover_and_nothing_more() {
    let user = User { name: "jane".into(), groups: vec!["a".into()], ..User::default() };
    let place = Place { version: "v1".into(), plural: "geese".into() };
    let ask = |namespace: Option<&str>, name: Option<&str>| {
        let (namespace, name) = (namespace.map(Into::into), name.map(Into::into));
        let question = Question { verb: Verb::Get, of: GroupKind::new("a.example", "Goose"), namespace, name };
        serde_json::to_value(spec(&user, &question, &place)).unwrap()
    };
    let about = |attributes: Value| {
        let mut all = json!({"group": "a.example", "version": "v1", "resource": "geese", "verb": "get"});
        all.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        json!({"user": "jane", "groups": ["a"], "extra": {}, "resourceAttributes": all})
    };
    assert_eq!(ask(None, None), about(json!({})));
    assert_eq!(ask(Some("shop"), None), about(json!({"namespace": "shop"})));
    assert_eq!(ask(Some("shop"), Some("one")), about(json!({"namespace": "shop", "name": "one"})));
}
#[test]
fn what_could_not_be_decided_is_neither_a_no_nor_a_yes() {
    let check = |status: Value, expected: Option<bool>| {
        let found = allowed(serde_json::from_value(status.clone()).unwrap());
        assert_eq!(found.ok(), expected, "{status}");
    };
    check(json!({"allowed": true}), Some(true));
    check(json!({"allowed": false}), Some(false));
    check(json!({"allowed": false, "denied": true}), Some(false));
    check(json!({"allowed": true, "denied": true}), None);
    // One who decides may allow what another one could not be asked about.
    check(json!({"allowed": true, "evaluationError": "no answer"}), Some(true));
    check(json!({"allowed": false, "evaluationError": "no answer"}), None);
    check(json!({"allowed": false, "evaluationError": ""}), Some(false));
    check(json!({"allowed": false, "denied": true, "evaluationError": "no answer"}), Some(false));
}

#[test]
fn failures_do_not_tell_tokens() {
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJhIn0.c2lnbmF0dXJl";
    let repeats = Failure::Garbled("the answer repeats what was asked".into());
    for words in [format!("what is {token}?"), format!("cut: {}", &token[7..27]), token[40..].to_owned()] {
        assert_eq!(without(token, Failure::Garbled(words)), repeats);
    }
    assert_eq!(without("short", Failure::Refused("a short one".into())), repeats);
    let others = Failure::Refused(format!("not {}", &token[7..26]));
    assert_eq!(without(token, others.clone()), others);
    assert_eq!(without("", others.clone()), others);
}
