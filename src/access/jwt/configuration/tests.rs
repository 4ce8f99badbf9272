//! Files that are good, and what is said of others.

use super::*;

const GOOD: &str = r#"
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://issuer.example.com/realm
    audiences: [catalog, other]
  claimMappings:
    username: { claim: sub, prefix: "oidc:" }
"#;

/// The good file with a text replaced.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

fn reason(text: &str) -> String {
    parse(text).err().unwrap_or_else(|| panic!("it is refused: {text}"))
}

#[test]
fn what_is_not_said_has_a_default() {
    let [configured] = <[_; 1]>::try_from(parse(GOOD).unwrap()).unwrap();
    let rules = configured.rules;
    assert_eq!(&*rules.issuer, "https://issuer.example.com/realm");
    assert_eq!(rules.audiences.unwrap(), ["catalog", "other"]);
    assert_eq!(rules.algorithms, [Algorithm::RS256, Algorithm::ES256]);
    assert_eq!((rules.skew, rules.required), (Duration::from_secs(30), vec![]));
    let username = Prefixed { claim: "sub".into(), prefix: "oidc:".into() };
    assert_eq!(rules.mapping.unwrap(), Mapping { username, groups: None, uid: None });
    assert_eq!(configured.discovery.path, "/realm/.well-known/openid-configuration");
}

#[test]
fn all_that_can_be_said_counts() {
    let text = r#"
apiVersion: apiserver.config.k8s.io/v1beta1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://issuer.example.com
    discoveryURL: https://inner.example.com:8443/discovery
    audiences: [catalog]
    audienceMatchPolicy: MatchAny
  claimValidationRules:
  - { claim: hd, requiredValue: example.com }
  claimMappings:
    username: { claim: email, prefix: "" }
    groups: { claim: roles, prefix: "r:" }
    uid: { claim: oid }
  algorithms: [PS512, EdDSA, ES384]
  clockSkew: 1m 30s
- issuer: { url: "http://127.0.0.1:8080", audiences: [catalog] }
  claimMappings: { username: { claim: sub, prefix: "dev:" } }
"#;
    let [first, second] = <[_; 2]>::try_from(parse(text).unwrap()).unwrap();
    assert_eq!(first.discovery.origin, "https://inner.example.com:8443");
    assert_eq!(first.discovery.path, "/discovery");
    assert_eq!(first.rules.required, [("hd".into(), "example.com".into())]);
    assert_eq!(first.rules.algorithms, [Algorithm::PS512, Algorithm::EdDSA, Algorithm::ES384]);
    assert_eq!(first.rules.skew, Duration::from_secs(90));
    let mapping = first.rules.mapping.unwrap();
    assert_eq!(mapping.username.prefix, "");
    assert_eq!(mapping.groups.unwrap(), Prefixed { claim: "roles".into(), prefix: "r:".into() });
    assert_eq!(mapping.uid.as_deref(), Some("oid"));
    assert_eq!(second.discovery.origin, "http://127.0.0.1:8080");
    let none = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: []\n";
    assert!(parse(none).unwrap().is_empty());
}

#[test]
fn what_cannot_be_is_refused_with_its_place_and_what_to_do() {
    let issuer = "    url: https://issuer.example.com/realm\n";
    let more_of_issuer = |line: &str| with(issuer, &format!("{issuer}    {line}\n"));
    let more_of_entry = |line: &str| format!("{GOOD}  {line}\n");
    let username = |to: &str| with(r#"{ claim: sub, prefix: "oidc:" }"#, to);
    let url = |to: &str| with("https://issuer.example.com/realm", to);
    let second = GOOD.split_once("jwt:\n").unwrap().1;
    let cases = [
        (with("/v1\n", "/v1alpha1\n"), "apiVersion: it is none of those that are known; write `apiserver"),
        (with("kind: Auth", "kind: auth"), "kind: it is not that of this file; write `AuthenticationConfiguration`"),
        (with("kind:", "kinds:"), "unknown field `kinds`"),
        (format!("{GOOD}{second}"), "jwt[1].issuer.url: the issuer is already there"),
        (url("http://issuer.example.com"), "jwt[0].issuer.url: it has to begin with `https://`"),
        (url("issuer"), "jwt[0].issuer.url: it is not an address"),
        (url("https://ann@issuer.example.com"), "jwt[0].issuer.url: it must not name a user"),
        (url("https://issuer.example.com?x"), "jwt[0].issuer.url: it must not"),
        (
            more_of_issuer("discoveryURL: https://issuer.example.com/realm"),
            "jwt[0].issuer.discoveryURL: it is the issuer",
        ),
        (more_of_issuer("discoveryURL: http://a.example.com"), "jwt[0].issuer.discoveryURL: it has to begin"),
        (more_of_issuer("certificateAuthority: x"), "jwt[0].issuer.certificateAuthority: the certificate authority"),
        (
            more_of_issuer(r#"certificateAuthority: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n""#),
            "jwt[0].issuer.certificateAuthority: the certificate authority",
        ),
        (
            more_of_issuer("audienceMatchPolicy: MatchAll"),
            "jwt[0].issuer.audienceMatchPolicy: there is only `MatchAny`",
        ),
        (more_of_issuer("egressSelectorType: cluster"), "not supported here"),
        (with("[catalog, other]", "[]"), "jwt[0].issuer.audiences: name at least one"),
        (with("[catalog, other]", r#"[catalog, ""]"#), "jwt[0].issuer.audiences: name at least one"),
        (with("    audiences: [catalog, other]\n", ""), "missing field `audiences`"),
        (username("{ claim: sub }"), "jwt[0].claimMappings.username.prefix: it is missing; write `\"\"`"),
        (username(r#"{ claim: "", prefix: "" }"#), "jwt[0].claimMappings.username.claim: it is empty"),
        (username(r#"{ claim: sub, prefix: "system:" }"#), "jwt[0].claimMappings.username.prefix: it must not begin"),
        (
            username(r#"{ claim: sub, prefix: "system:node:" }"#),
            "jwt[0].claimMappings.username.prefix: it must not begin",
        ),
        (username(r#"{ claim: sub, prefix: "a\n" }"#), "jwt[0].claimMappings.username.prefix: it must not begin"),
        (username("{ expression: claims.sub }"), "CEL expressions"),
        (more_of_entry("userValidationRules: []"), "not supported here"),
        (more_of_entry("claimValidationRules: [{ expression: 'true', message: no }]"), "CEL expressions"),
        (more_of_entry("claimValidationRules: [{ claim: hd }]"), "missing field `requiredValue`"),
        (
            more_of_entry("claimValidationRules: [{ claim: '', requiredValue: x }]"),
            "jwt[0].claimValidationRules[0].claim",
        ),
        (format!("{GOOD}    groups: {{ claim: g }}\n"), "jwt[0].claimMappings.groups.prefix: it is missing"),
        (
            format!("{GOOD}    groups: {{ claim: g, prefix: 'system:' }}\n"),
            "jwt[0].claimMappings.groups.prefix: it must",
        ),
        (format!("{GOOD}    uid: {{ claim: g, prefix: '' }}\n"), "jwt[0].claimMappings.uid.prefix: there is none"),
        (format!("{GOOD}    uid: {{ claim: '' }}\n"), "jwt[0].claimMappings.uid.claim: it is empty"),
        (format!("{GOOD}    extra: []\n"), "not supported here"),
        (format!("{GOOD}    groups: {{ claim: g, prefix: '', prefx: '' }}\n"), "line 10, column "),
        (more_of_entry("algorithms: [HS256]"), "jwt[0].algorithms: `HS256` takes a secret that the issuer shares"),
        (more_of_entry("algorithms: [none]"), "jwt[0].algorithms: `none` is not known; use RS256"),
        (more_of_entry("algorithms: []"), "jwt[0].algorithms: there are none"),
        (more_of_entry("clockSkew: 301s"), "jwt[0].clockSkew: it must be from 0s to 300 s"),
        (more_of_entry("clockSkew: -1s"), "jwt[0].clockSkew: it must be from 0s to 300 s"),
        (more_of_entry("clockSkew: soon"), "jwt[0].clockSkew: "),
        (format!("{GOOD}anonymous: {{ enabled: true }}\n"), "not supported here"),
        ("jwt: [".into(), "line "),
        (String::new(), ""),
    ];
    for (text, expected) in cases {
        let reason = reason(&text);
        assert!(reason.contains(expected), "{reason}\nis not\n{expected}\nof{text}");
    }
    let many: String = (0..65).map(|n| second.replace("/realm", &format!("/{n}"))).collect();
    let many = with(second, &many);
    assert!(reason(&many).contains("jwt: there are more than 64 issuers"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authentication.yaml");
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("authentication.yaml cannot be read"), "{message}");
    std::fs::write(&path, "jwt: 7").unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("authentication.yaml: line 1, column 6: "), "{message}");
}
