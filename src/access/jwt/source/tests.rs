//! Fetches from a server of HTTP that says what it likes.

use super::super::testing::*;
use super::*;

/// What is answered, by the address of the server.
type Discovering = fn(&str) -> Vec<u8>;
type Giving = fn() -> Vec<u8>;

const DISCOVERY: &str = "/realm/.well-known/openid-configuration";

fn keys() -> String {
    rsa_named("k").to_string()
}

async fn fetch(
    discovery: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    keys: impl Fn() -> Vec<u8> + Send + Sync + 'static,
) -> (Result<Fetched, FetchError>, Vec<String>) {
    let web = Web::new(move |url, path| if path == DISCOVERY { discovery(url) } else { keys() }).await;
    let issuer = format!("{}/realm", web.url);
    let source = Source::Elsewhere {
        discovery: Address::of_discovery(&issuer).unwrap(),
        issuer: issuer.into(),
        authority: None,
        servers: Servers::default(),
    };
    (source.fetch().await, web.asked())
}

fn document(issuer: &str, keys: &str) -> Vec<u8> {
    answer("200 OK", "", &serde_json::json!({ "issuer": issuer, "jwks_uri": keys, "more": [] }).to_string())
}

fn good_document(url: &str) -> Vec<u8> {
    document(&format!("{url}/realm"), &format!("{url}/keys?v=1"))
}

fn reason(outcome: Result<Fetched, FetchError>) -> String {
    outcome.err().map(|it| it.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn keys_are_where_the_discovery_document_says() {
    let date = "date: Tue, 15 Nov 1994 08:12:31 GMT\r\n";
    let (fetched, asked) = fetch(good_document, move || answer("200 OK", date, &keys())).await;
    let fetched = fetched.unwrap();
    assert_eq!(asked, [DISCOVERY, "/keys?v=1"]);
    assert_eq!(fetched.keys.named(Some("k")).count(), 1);
    assert!(fetched.clock.is_some());
    let aged = "date: Tue, 15 Nov 1994 08:12:31 GMT\r\nage: 0\r\n";
    let (fetched, _) = fetch(good_document, move || answer("200 OK", aged, &keys())).await;
    assert!(fetched.unwrap().clock.is_none());
}

#[tokio::test]
async fn a_discovery_document_has_to_be_the_issuers_own() {
    let cases: [(Discovering, &str); 10] = [
        (|url| document(url, &format!("{url}/keys")), "of another issuer"),
        (|url| document(&format!("{url}/realm/"), &format!("{url}/keys")), "of another issuer"),
        (|url| answer("200 OK", "", &format!(r#"{{"issuer":"{url}/realm"}}"#)), "`jwks_uri` cannot be used"),
        (|url| document(&format!("{url}/realm"), "http://issuer.example.com/keys"), "`jwks_uri` cannot be used"),
        (|url| document(&format!("{url}/realm"), "file:///etc/passwd"), "`jwks_uri` cannot be used"),
        (|_| answer("200 OK", "", "<html>"), "is not one"),
        (|_| answer("404 Not Found", "", "secret words"), "answers 404"),
        (|_| answer("503 Busy", "", "secret words"), "answers 503"),
        (|url| answer("302 Found", &format!("location: {url}/keys\r\n"), ""), "answers 302"),
        (|_| b"garbage\r\n\r\n".to_vec(), "cannot be reached"),
    ];
    for (discovery, expected) in cases {
        let (outcome, asked) = fetch(discovery, || answer("200 OK", "", &keys())).await;
        let reason = reason(outcome);
        assert!(reason.contains(expected) && !reason.contains("secret"), "{reason}");
        assert_eq!(asked, [DISCOVERY]);
    }
}

#[tokio::test]
async fn keys_have_to_be_a_set_of_some_size() {
    let cases: [(Giving, &str); 8] = [
        (|| answer("200 OK", "", "<html>"), "not a JWK set"),
        (|| answer("200 OK", "", r#"{"keys":[]}"#), "none of its keys"),
        (|| answer("200 OK", "", &set(&[P256.jwk_with(&serde_json::json!({"use":"enc"}))]).to_string()), "none of"),
        (|| answer("200 OK", "", &set(&vec![RSA.jwk(); 101]).to_string()), "more than 100 keys"),
        (|| answer("200 OK", "", &format!("{}{}", keys(), " ".repeat(MAX_DOCUMENT))), "larger than"),
        (|| answer("307 Moved", "location: /other\r\n", &keys()), "answers 307"),
        (|| answer("403 Forbidden", "", &keys()), "refuses"),
        (|| b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec(), "cannot be reached"),
    ];
    for (keys, expected) in cases {
        let (outcome, asked) = fetch(good_document, keys).await;
        let reason = reason(outcome);
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(asked.len(), 2);
    }
}

#[tokio::test]
async fn a_cluster_is_asked_for_keys_where_it_is() {
    let ask = async |status: &'static str, of_keys: &'static str, keys: String| {
        let web = Web::new(move |_, path| match path {
            DISCOVERY_OF_CLUSTER => {
                let found =
                    r#"{"issuer":"https://issuer.example.com","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks"}"#;
                answer(status, "", found)
            }
            _ => answer(of_keys, "", &keys),
        })
        .await;
        let source = Source::Cluster(Box::new(Server::at(&web.url, None).unwrap()));
        (source.fetch().await, web.asked())
    };
    let (fetched, asked) = ask("200 OK", "200 OK", keys()).await;
    assert_eq!(&*fetched.unwrap().issuer, ISSUER);
    assert_eq!(asked, [DISCOVERY_OF_CLUSTER, KEYS_OF_CLUSTER]);
    let curve = r#"{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}"#;
    let cases = [
        ("403 Forbidden", "200 OK", keys(), true),
        ("404 Not Found", "200 OK", keys(), true),
        ("200 OK", "403 Forbidden", keys(), true),
        ("200 OK", "404 Not Found", keys(), true),
        ("200 OK", "200 OK", curve.into(), true),
        ("200 OK", "200 OK", r#"{"keys":[]}"#.into(), true),
        ("200 OK", "200 OK", set(&vec![RSA.jwk(); 101]).to_string(), true),
        ("401 Unauthorized", "200 OK", keys(), false),
        ("500 Oops", "200 OK", keys(), false),
        ("200 OK", "429 Slow", keys(), false),
        ("200 OK", "200 OK", "{}".into(), false),
    ];
    for (status, of_keys, keys, not_for_us) in cases {
        let error = ask(status, of_keys, keys).await.0.err().unwrap();
        assert_eq!(matches!(error, FetchError::NotForUs(_)), not_for_us, "{status} {of_keys} {error}");
    }
}
