//! Issuers that answer, fail, hang and come back; time is that of the test.

use std::future::Future;

use serde_json::{Value, json};
use tokio::time::{advance, sleep};

use super::testing::*;
use super::*;

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// An issuer that is configured, and gives keys as a script says.
fn configured(script: &Arc<Script>) -> Arc<Issuers> {
    Issuers::scripted(script)
}

fn cluster(script: &Arc<Script>) -> Arc<Issuers> {
    let keyring = Keyring::new("the cluster".into(), Source::Scripted(script.clone()), SKEW_OF_CLUSTER);
    Arc::new(Issuers { configured: vec![], cluster: Some(keyring) })
}

/// What comes of a token, in a word.
async fn word(issuers: &Issuers, token: &str) -> String {
    match issuers.check_at(token, time(NOW)).await {
        Ok(Some(_)) => "good".into(),
        Ok(None) => "none".into(),
        Err(JwtError::Refused(refusal) | JwtError::RefusedFor(refusal, _)) => format!("{refusal:?}"),
        Err(JwtError::Unavailable(_)) => "unavailable".into(),
    }
}

/// The same for what is to come, with how long it took.
fn timed(issuers: &Arc<Issuers>, token: &str) -> impl Future<Output = (String, Duration)> + use<> {
    let (issuers, token, begun) = (issuers.clone(), token.to_owned(), Instant::now());
    let task = tokio::spawn(async move { (word(&issuers, &token).await, begun.elapsed()) });
    async { task.await.unwrap() }
}

fn good() -> String {
    token("k", &json!({}))
}

fn not_for_us() -> Answered {
    Answered::Error(FetchError::NotForUs("it refuses".into()))
}

#[tokio::test(start_paused = true)]
async fn whose_a_token_is_decides_who_checks_it() {
    let of_cluster = Script::new(Answered::Keys(rsa_named("k")));
    let foreign = token("k", &json!({ "iss": "kubernetes/serviceaccount" }));
    let twice = format!(r#"{{"iss":"{ISSUER}","iss":"kubernetes/serviceaccount"}}"#);
    let twice = RSA.sign_text(Algorithm::RS256, r#"{"alg":"RS256"}"#, &twice);
    let unimplemented =
        RSA.sign_text(Algorithm::RS256, r#"{"alg":"ES512","kid":"k"}"#, &claims(&json!({})).to_string());
    let padded = good().replace('.', "=.");
    // Of what has signs in which the alphabets differ.
    let other = token("k", &json!({ "x": "?>~?>~?>~" })).replace('-', "+").replace('_', "/");
    let cases: [(&str, &str, &str); 11] = [
        (&good(), "good", "good"),
        (&foreign, "none", "none"),
        ("opaque", "none", "none"),
        ("a.b.c", "none", "none"),
        ("..", "none", "none"),
        (&format!("a.{}.c", base64("[]")), "none", "none"),
        (&format!("{}.x", good()), "none", "none"),
        (&twice, "Duplicate", "Duplicate"),
        (&padded, "Encoding", "Encoding"),
        (&other, "Encoding", "Encoding"),
        (&unimplemented, "Unimplemented", "none"),
    ];
    for (token, for_configured, for_cluster) in cases {
        assert_eq!(word(&configured(&of_cluster), token).await, for_configured, "{token:.80}");
        assert_eq!(word(&cluster(&of_cluster), token).await, for_cluster, "{token:.80}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_gives_no_keys_has_its_tokens_checked_by_others() {
    let script = Script::new(not_for_us());
    let issuers = cluster(&script);
    assert_eq!(word(&issuers, &good()).await, "none");
    assert_eq!(word(&issuers, &good()).await, "none");
    assert_eq!((script.fetches(), issuers.problems().len()), (1, 1));
    // It may do so later, and stop doing so again: tokens of keys that are known are still checked here.
    script.set(Answered::Keys(rsa_named("k")));
    tokio::spawn(issuers.clone().keep_up());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(word(&issuers, &good()).await, "good");
    assert_eq!(issuers.problems(), Vec::<String>::new());
    script.set(not_for_us());
    assert_eq!(word(&issuers, &token("new", &json!({}))).await, "none");
    assert_eq!(word(&issuers, &good()).await, "good");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_was_never_read_may_be_whose_token_it_is() {
    let script = Script::new(Answered::Nothing);
    script.fails();
    let issuers = cluster(&script);
    assert_eq!(word(&issuers, &token("k", &json!({ "iss": "https://other.example.com" }))).await, "unavailable");
    assert_eq!(word(&issuers, "opaque").await, "none");
    assert_eq!(issuers.problems().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_are_looked_for_and_not_too_often() {
    let script = Script::new(Answered::Keys(rsa_named("k")));
    let issuers = configured(&script);
    // The first question brings keys as fresh as can be.
    assert_eq!(word(&issuers, &token("x0", &json!({}))).await, "UnknownKey");
    assert_eq!(script.fetches(), 1);
    assert_eq!(word(&issuers, &token("x1", &json!({}))).await, "UnknownKey");
    assert_eq!(script.fetches(), 2);
    for n in 2..50 {
        assert_eq!(word(&issuers, &token(&format!("x{n}"), &json!({}))).await, "UnknownKey");
    }
    assert_eq!(script.fetches(), 2);
    advance(Duration::from_secs(5)).await;
    // This one was looked for; another one was not.
    assert_eq!(word(&issuers, &token("x1", &json!({}))).await, "UnknownKey");
    assert_eq!(script.fetches(), 2);
    assert_eq!(word(&issuers, &token("x2", &json!({}))).await, "UnknownKey");
    assert_eq!(script.fetches(), 3);
    assert_eq!(word(&issuers, &good()).await, "good");
    assert_eq!(script.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn new_keys_count_at_once_and_old_ones_no_more() {
    let script = Script::new(Answered::Keys(rsa_named("k")));
    let issuers = configured(&script);
    assert_eq!(word(&issuers, &good()).await, "good");
    // One that is found does not keep the next from being looked for.
    for n in 0..5 {
        script.set(Answered::Keys(rsa_named(&format!("k{n}"))));
        assert_eq!(word(&issuers, &token(&format!("k{n}"), &json!({}))).await, "good");
    }
    assert_eq!(script.fetches(), 6);
    assert_eq!(word(&issuers, &good()).await, "UnknownKey");
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_key_may_be_given_to_another() {
    let script = Script::new(Answered::Keys(set(&[OTHER_RSA.jwk_with(&json!({ "kid": "k" }))])));
    let issuers = configured(&script);
    assert_eq!(word(&issuers, &good()).await, "Signature");
    script.set(Answered::Keys(rsa_named("k")));
    // Keys this new are taken for those that count.
    assert_eq!(word(&issuers, &good()).await, "Signature");
    assert_eq!(script.fetches(), 1);
    advance(Duration::from_secs(10)).await;
    assert_eq!(word(&issuers, &good()).await, "good");
    assert_eq!(script.fetches(), 2);
    // The same where it is of another kind, and without an answer there is no verdict.
    script.set(Answered::Keys(set(&[P256.jwk_with(&json!({ "kid": "k" }))])));
    assert_eq!(word(&issuers, &token("new", &json!({}))).await, "UnknownKey");
    advance(Duration::from_secs(10)).await;
    script.fails();
    assert_eq!(word(&issuers, &good()).await, "unavailable");
    advance(Duration::from_secs(1)).await;
    script.set(Answered::Keys(rsa_named("k")));
    assert_eq!(word(&issuers, &good()).await, "good");
    // Whoever presents wrong signatures does not have it asked without end.
    let fetches = script.fetches();
    advance(Duration::from_secs(10)).await;
    let forged = OTHER_RSA.sign_text(Algorithm::RS256, r#"{"alg":"RS256","kid":"k"}"#, &claims(&json!({})).to_string());
    for _ in 0..50 {
        assert_eq!(word(&issuers, &forged).await, "Signature");
    }
    assert_eq!(script.fetches(), fetches + 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_looked_for_is_not_refused_for_longer_than_that_lasts() {
    let script = Script::new(Answered::Keys(rsa_named("k")));
    let issuers = configured(&script);
    assert_eq!(word(&issuers, &good()).await, "good");
    assert_eq!(word(&issuers, &token("x0", &json!({}))).await, "UnknownKey");
    advance(Duration::from_secs(4)).await;
    let refused = issuers.check_at(&token("x1", &json!({})), time(NOW)).await;
    assert_eq!(refused, Err(JwtError::RefusedFor(Refusal::UnknownKey, Duration::from_secs(1))));
}

#[tokio::test(start_paused = true)]
async fn many_wait_for_one_fetch() {
    let script = Script::new(Answered::Keys(rsa_named("k")));
    let issuers = configured(&script);
    let waiting: Vec<_> = (0..100).map(|_| timed(&issuers, &good())).collect();
    for outcome in waiting {
        assert_eq!(outcome.await.0, "good");
    }
    assert_eq!(script.fetches(), 1);
    let new = token("new", &json!({}));
    let waiting: Vec<_> = (0..100).map(|_| timed(&issuers, &new)).collect();
    for outcome in waiting {
        assert_eq!(outcome.await.0, "UnknownKey");
    }
    assert_eq!(script.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_outage_keeps_the_keys_and_refuses_nothing() {
    let script = Script::new(Answered::Keys(rsa_named("k")));
    let issuers = configured(&script);
    script.fails();
    assert_eq!(word(&issuers, &good()).await, "unavailable");
    // Nothing is asked again so soon.
    script.set(Answered::Keys(rsa_named("k")));
    assert_eq!(word(&issuers, &good()).await, "unavailable");
    assert_eq!(script.fetches(), 1);
    advance(Duration::from_millis(300)).await;
    assert_eq!(word(&issuers, &good()).await, "good");
    script.fails();
    assert_eq!(word(&issuers, &token("new", &json!({}))).await, "unavailable");
    assert_eq!(word(&issuers, &good()).await, "good");
    // A wrong signature needs no new keys.
    let forged = OTHER_RSA.sign_text(Algorithm::RS256, r#"{"alg":"RS256","kid":"k"}"#, &claims(&json!({})).to_string());
    assert_eq!(word(&issuers, &forged).await, "Signature");
    assert!(issuers.problems()[0].contains("it is away"), "{:?}", issuers.problems());
    advance(Duration::from_millis(300)).await;
    script.set(Answered::Keys(rsa_named("new")));
    assert_eq!(word(&issuers, &token("new", &json!({}))).await, "good");
    assert_eq!(issuers.problems(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_set_without_use_leaves_the_keys_as_they_were() {
    let script = Script::new(Answered::Keys(rsa_named("k")));
    let issuers = configured(&script);
    assert_eq!(word(&issuers, &good()).await, "good");
    script.set(Answered::Keys(set(&[])));
    assert_eq!(word(&issuers, &token("new", &json!({}))).await, "unavailable");
    assert_eq!(word(&issuers, &good()).await, "good");
}

#[tokio::test(start_paused = true)]
async fn whoever_hangs_is_asked_again_beside() {
    let script = Script::new(Answered::Nothing);
    let issuers = configured(&script);
    let waiting = timed(&issuers, &good());
    assert_eq!(waiting.await, ("unavailable".into(), Duration::from_secs(3)));
    assert!(script.fetches() <= 5, "{}", script.fetches());
    // It is back while somebody waits: that one gets an answer from the next attempt, within a second.
    sleep(Duration::from_secs(4)).await;
    let waiting = timed(&issuers, &good());
    sleep(Duration::from_millis(100)).await;
    script.set(Answered::Keys(rsa_named("k")));
    let (outcome, took) = waiting.await;
    assert_eq!(outcome, "good");
    assert!(took <= Duration::from_secs(1), "{took:?}");
    // The attempts that still hang end badly, and that says nothing any more.
    sleep(Duration::from_secs(10)).await;
    assert_eq!(issuers.problems(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn keys_are_kept_fresh() {
    let script = Script::new(Answered::Keys(rsa_named("k")));
    let issuers = configured(&script);
    tokio::spawn(issuers.clone().keep_up());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(script.fetches(), 1);
    script.set(Answered::Keys(rsa_named("new")));
    sleep(Duration::from_mins(5)).await;
    assert_eq!(script.fetches(), 2);
    assert_eq!(word(&issuers, &token("new", &json!({}))).await, "good");
    assert_eq!(script.fetches(), 2);
    // What was taken away counts no more.
    assert_eq!(word(&issuers, &good()).await, "UnknownKey");
    // After an outage nobody has to ask.
    script.fails();
    sleep(Duration::from_mins(5)).await;
    script.set(Answered::Keys(rsa_named("k")));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(issuers.problems(), Vec::<String>::new());
}

fn at(keys: &str, seconds: u64) -> Answered {
    let timestamp = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&timestamp).unwrap();
    Answered::KeysAt(rsa_named(keys), date)
}

#[tokio::test(start_paused = true)]
async fn clocks_that_disagree_are_an_outage() {
    let expired = |seconds: u64| json!({ "exp": NOW - seconds });
    let cases: [(Option<u64>, Value, &str); 14] = [
        // Theirs agrees, or is not known.
        (Some(NOW), expired(60), "Expired"),
        (None, expired(60), "Expired"),
        // Theirs is behind by more than the skew: to them it is good; or it is not.
        (Some(NOW - 100), expired(60), "unavailable"),
        (Some(NOW - 100), expired(200), "Expired"),
        // Within the skew, or just a second of doubt more.
        (Some(NOW - 20), expired(31), "Expired"),
        (Some(NOW - 31), expired(31), "Expired"),
        // Theirs is ahead.
        (Some(NOW + 100), json!({ "nbf": NOW + 90 }), "unavailable"),
        (Some(NOW + 100), json!({ "nbf": NOW + 190 }), "NotYetValid"),
        (Some(NOW + 100), json!({ "iat": NOW + 100 }), "unavailable"),
        // What is good here has to be so there.
        (Some(NOW + 3600), expired(0), "unavailable"),
        (Some(NOW + 100), json!({}), "good"),
        (Some(NOW + 20), json!({ "exp": NOW + 1 }), "good"),
        (Some(NOW - 100), json!({ "nbf": NOW }), "unavailable"),
        (Some(NOW - 100), json!({ "nbf": NOW - 100 }), "good"),
    ];
    for (theirs, more, expected) in cases {
        let script = Script::new(theirs.map_or(Answered::Keys(rsa_named("k")), |it| at("k", it)));
        let issuers = configured(&script);
        assert_eq!(word(&issuers, &token("k", &more)).await, expected, "{theirs:?} {more}");
        // Whatever clocks say: what is wrong otherwise is refused.
        let forged = OTHER_RSA.sign_text(Algorithm::RS256, r#"{"alg":"RS256","kid":"k"}"#, &claims(&more).to_string());
        assert_eq!(word(&issuers, &forged).await, "Signature", "{theirs:?} {more}");
        assert_eq!(script.fetches(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_when_it_does_for_its_issuer() {
    // A date is only known within a second.
    for (theirs, expected) in [(NOW, NOW), (NOW - 30, NOW + 29), (NOW + 30, NOW - 30), (NOW - 1, NOW)] {
        let script = Script::new(at("k", theirs));
        for issuers in [configured(&script), cluster(&script)] {
            let verified = issuers.check_at(&token("k", &json!({ "exp": NOW })), time(NOW)).await.unwrap().unwrap();
            assert_eq!(verified.expires, time(expected), "{theirs}");
        }
    }
    // Of tokens of the cluster the API server has the last word.
    let script = Script::new(at("k", NOW + 3600));
    assert_eq!(word(&cluster(&script), &token("k", &json!({ "exp": NOW + 100 }))).await, "good");
}

#[tokio::test(start_paused = true)]
async fn clocks_are_measured_again_where_it_matters_but_not_too_often() {
    let script = Script::new(at("k", NOW - 100));
    let issuers = configured(&script);
    let expired = token("k", &json!({ "exp": NOW - 60 }));
    assert_eq!(word(&issuers, &expired).await, "unavailable");
    assert_eq!(script.fetches(), 1);
    advance(Duration::from_secs(10)).await;
    script.set(at("k", NOW));
    assert_eq!(word(&issuers, &expired).await, "Expired");
    assert_eq!(word(&issuers, &expired).await, "Expired");
    assert_eq!(script.fetches(), 2);
    // An issuer that is away leaves what it said before.
    advance(Duration::from_secs(10)).await;
    script.fails();
    assert_eq!(word(&issuers, &expired).await, "Expired");
    advance(Duration::from_secs(1)).await;
    assert_eq!(word(&issuers, &expired).await, "Expired");
    assert_eq!(script.fetches(), 3);
}
