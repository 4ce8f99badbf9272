//! Tokens, and what is said of them.

use serde_json::{Value, json};

use super::super::testing::*;
use super::*;

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// `None`: no key made the signature.
fn judged(rules: &Rules, keys: &Value, token: &str, now: u64) -> Result<Verified, Option<Refusal>> {
    let keys = Keys::read(keys.to_string().as_bytes()).unwrap();
    let signed = rules.read(token)?.signed(&keys).map_err(|it| match it {
        Unsigned::Refused(refusal) => Some(refusal),
        Unsigned::NoKey => None,
    })?;
    Ok(signed.at(time(now))?.clone())
}

fn refusal(rules: &Rules, keys: &Value, token: &str) -> Option<Refusal> {
    judged(rules, keys, token, NOW).err().unwrap_or_else(|| panic!("{token} is refused"))
}

#[test]
fn a_good_token_says_who_it_is() {
    let verified = judged(&rules(), &rsa_named("k"), &token("k", &json!({ "aud": ["x", "catalog"] })), NOW).unwrap();
    assert_eq!(&*verified.issuer, ISSUER);
    assert_eq!(verified.audiences, ["x", "catalog"]);
    assert_eq!(verified.expires, time(NOW + 600));
    assert_eq!(verified.user.unwrap().name, "oidc:ann");
}

#[test]
fn tokens_of_the_cluster_need_no_audience_and_name_nobody() {
    let cluster = Rules { audiences: None, mapping: None, ..rules() };
    for (aud, expected) in [(json!(null), vec![]), (json!("a"), vec!["a"]), (json!(["a", "b"]), vec!["a", "b"])] {
        let verified = judged(&cluster, &rsa_named("k"), &token("k", &json!({ "aud": aud })), NOW).unwrap();
        assert_eq!((verified.audiences, verified.user), (expected.into_iter().map(str::to_owned).collect(), None));
    }
    assert_eq!(refusal(&cluster, &rsa_named("k"), &token("k", &json!({ "aud": 7 }))), Some(Refusal::Audience));
}

#[test]
fn every_algorithm_has_its_kind_of_key() {
    let cases: [(&Secret, &[&str]); 4] = [
        (&RSA, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
        (&P256, &["ES256"]),
        (&P384, &["ES384"]),
        (&ED, &["EdDSA"]),
    ];
    let all: Vec<&str> = cases.iter().flat_map(|it| it.1).copied().collect();
    for (secret, own) in &cases {
        for name in &all {
            let algorithm: Algorithm = name.parse().unwrap();
            let allowed = Rules { algorithms: vec![algorithm], ..rules() };
            let token =
                secret.sign_text(algorithm, &json!({ "alg": name }).to_string(), &claims(&json!({})).to_string());
            let keys = set(&[secret.jwk()]);
            assert_eq!(judged(&allowed, &keys, &token, NOW).is_ok(), own.contains(name), "{name}");
            // The same key under a name: it is there, and is for something else.
            let token = secret.sign_text(
                algorithm,
                &json!({ "alg": name, "kid": "k" }).to_string(),
                &claims(&json!({})).to_string(),
            );
            let keys = set(&[secret.jwk_with(&json!({ "kid": "k" }))]);
            let expected = if own.contains(name) { None } else { Some(Some(Refusal::OtherKey)) };
            assert_eq!(judged(&allowed, &keys, &token, NOW).err(), expected, "{name}");
            // What is not on our list counts for nothing, whoever signed it.
            let others = all.iter().filter(|it| *it != name).map(|it| it.parse().unwrap()).collect();
            let forbidden = Rules { algorithms: others, ..rules() };
            assert_eq!(refusal(&forbidden, &keys, &token), Some(Refusal::Algorithm), "{name}");
        }
    }
}

#[test]
fn a_header_that_asks_for_more_is_refused() {
    let cases = [
        (r#"{"alg":"none"}"#, Refusal::Algorithm),
        (r#"{"alg":"None","kid":"k"}"#, Refusal::Algorithm),
        (r#"{"alg":"HS256","kid":"k"}"#, Refusal::Algorithm),
        (r#"{"alg":"rs256","kid":"k"}"#, Refusal::Algorithm),
        (r#"{"alg":"ES512","kid":"k"}"#, Refusal::Unimplemented),
        (r#"{"alg":["RS256"],"kid":"k"}"#, Refusal::Header),
        (r#"{"kid":"k"}"#, Refusal::Header),
        (r#"["RS256"]"#, Refusal::Header),
        (r#"{"alg":"RS256","kid":"k"} "#, Refusal::Signature),
        (r#"{"alg":"RS256","kid":"k"}x"#, Refusal::Header),
        (r#"{"alg":"RS256","kid":"k","crit":["exp"]}"#, Refusal::Extension),
        (r#"{"alg":"RS256","kid":"k","crit":null}"#, Refusal::Extension),
        (r#"{"alg":"RS256","kid":"k","b64":true}"#, Refusal::Extension),
        (r#"{"alg":"RS256","kid":"k","zip":"DEF"}"#, Refusal::Extension),
        (r#"{"alg":"RS256","kid":"k","enc":"A128GCM"}"#, Refusal::Extension),
        (r#"{"alg":"RS256","kid":"k","jwk":{}}"#, Refusal::KeyMaterial),
        (r#"{"alg":"RS256","kid":"k","jku":"https://evil.example.com"}"#, Refusal::KeyMaterial),
        (r#"{"alg":"RS256","kid":"k","x5u":"https://evil.example.com"}"#, Refusal::KeyMaterial),
        (r#"{"alg":"RS256","kid":"k","x5c":[]}"#, Refusal::KeyMaterial),
        (r#"{"alg":"RS256","kid":"k","typ":"JWE"}"#, Refusal::Type),
        (r#"{"alg":"RS256","kid":"k","typ":"logout+jwt"}"#, Refusal::Type),
        (r#"{"alg":"RS256","kid":"k","typ":"vnd.backstage.limited-user"}"#, Refusal::Type),
        (r#"{"alg":"RS256","kid":"k","typ":7}"#, Refusal::Type),
        (r#"{"alg":"RS256","kid":7}"#, Refusal::KeyId),
        (r#"{"alg":"RS256","kid":null}"#, Refusal::KeyId),
        (r#"{"alg":"RS256","alg":"RS256","kid":"k"}"#, Refusal::Duplicate),
        (r#"{"alg":"RS256","kid":"k","\u006bid":"k"}"#, Refusal::Duplicate),
        (r#"{"alg":"RS256","kid":"k","x":1,"x":1}"#, Refusal::Duplicate),
    ];
    let body = base64(claims(&json!({})).to_string());
    for (header, expected) in cases {
        // Signed, so that nothing but the header speaks against it; one is signed by somebody else.
        let signer = if expected == Refusal::Signature { &OTHER_RSA } else { &RSA };
        let token = signer.sign_parts(Algorithm::RS256, &format!("{}.{body}", base64(header)));
        assert_eq!(refusal(&rules(), &rsa_named("k"), &token), Some(expected), "{header}");
    }
    let long = json!({ "alg": "RS256", "kid": "é".repeat(257) }).to_string();
    let token = RSA.sign_parts(Algorithm::RS256, &format!("{}.{body}", base64(long)));
    assert_eq!(refusal(&rules(), &rsa_named("k"), &token), Some(Refusal::KeyId));
    let longest = "é".repeat(256);
    for header in [
        json!({ "alg": "RS256", "kid": longest }),
        json!({ "alg": "RS256", "kid": longest, "typ": "jwt" }),
        json!({ "alg": "RS256", "kid": longest, "typ": "AT+JWT" }),
        json!({ "alg": "RS256", "kid": longest, "typ": "application/at+jwt", "x5t": "x", "cty": "x" }),
        json!({ "alg": "RS256", "kid": longest, "typ": "vnd.backstage.user" }),
    ] {
        let token = RSA.sign_parts(Algorithm::RS256, &format!("{}.{body}", base64(header.to_string())));
        judged(&rules(), &rsa_named(&longest), &token, NOW).unwrap_or_else(|it| panic!("{header}: {it:?}"));
    }
}

#[test]
fn claims_have_to_be_what_they_are() {
    let head = base64(r#"{"alg":"RS256","kid":"k"}"#);
    let plain = claims(&json!({})).to_string();
    let inner = plain.trim_matches(['{', '}']);
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let cases = [
        (format!(r#"{{{inner},"sub":"bob"}}"#), Refusal::Duplicate),
        (format!(r#"{{{inner},"any":1,"any":2}}"#), Refusal::Duplicate),
        (format!(r#"{{{inner},"\u0069ss":"{ISSUER}"}}"#), Refusal::Duplicate),
        (format!(r#"{{{inner},"deep":{deep}}}"#), Refusal::Claims),
        (format!(r#"{{{inner},"nbf":1e999}}"#), Refusal::Claims),
        (format!("[{plain}]"), Refusal::Claims),
        (format!("{plain}{plain}"), Refusal::Claims),
        (String::new(), Refusal::Claims),
        (claims(&json!({ "iss": format!("{ISSUER}/") })).to_string(), Refusal::Issuer),
        (claims(&json!({ "iss": ISSUER.to_uppercase() })).to_string(), Refusal::Issuer),
        (claims(&json!({ "iss": null })).to_string(), Refusal::Issuer),
        (claims(&json!({ "iss": [ISSUER] })).to_string(), Refusal::Issuer),
        (claims(&json!({ "aud": null })).to_string(), Refusal::OtherAudience),
        (claims(&json!({ "aud": "" })).to_string(), Refusal::OtherAudience),
        (claims(&json!({ "aud": [] })).to_string(), Refusal::OtherAudience),
        (claims(&json!({ "aud": "Catalog" })).to_string(), Refusal::OtherAudience),
        (claims(&json!({ "aud": "catalog " })).to_string(), Refusal::OtherAudience),
        (claims(&json!({ "aud": "catalog other" })).to_string(), Refusal::OtherAudience),
        (claims(&json!({ "aud": ["catalog", 7] })).to_string(), Refusal::Audience),
        (claims(&json!({ "aud": { "catalog": true } })).to_string(), Refusal::Audience),
        (claims(&json!({ "exp": null })).to_string(), Refusal::NoExpiry),
        (claims(&json!({ "exp": "1900000000" })).to_string(), Refusal::Date),
        (claims(&json!({ "exp": [1_900_000_000] })).to_string(), Refusal::Date),
        (claims(&json!({ "exp": true })).to_string(), Refusal::Date),
        (claims(&json!({ "exp": -1 })).to_string(), Refusal::Date),
        (claims(&json!({ "exp": -0.5 })).to_string(), Refusal::Date),
        (claims(&json!({ "exp": 253_402_300_800_u64 })).to_string(), Refusal::Date),
        (claims(&json!({ "exp": 1e300 })).to_string(), Refusal::Date),
        (claims(&json!({ "exp": u64::MAX })).to_string(), Refusal::Date),
        (claims(&json!({ "nbf": "x" })).to_string(), Refusal::Date),
        (claims(&json!({ "iat": {} })).to_string(), Refusal::Date),
        (format!(r#"{{{inner},"nbf":null}}"#), Refusal::Date),
        (claims(&json!({ "sub": "" })).to_string(), Refusal::Username),
    ];
    for (body, expected) in cases {
        let token = RSA.sign_parts(Algorithm::RS256, &format!("{head}.{}", base64(&body)));
        assert_eq!(refusal(&rules(), &rsa_named("k"), &token), Some(expected), "{body:.200}");
    }
}

#[test]
fn claims_that_are_required_have_to_say_just_that() {
    let required = vec![("hd".to_owned(), "example.com".to_owned()), ("tier".to_owned(), String::new())];
    let rules = Rules { required, ..rules() };
    let good = json!({ "hd": "example.com", "tier": "" });
    judged(&rules, &rsa_named("k"), &token("k", &good), NOW).unwrap();
    for bad in [
        json!({ "hd": null }),
        json!({ "hd": "Example.com" }),
        json!({ "hd": ["example.com"] }),
        json!({ "tier": null }),
    ] {
        let token = token("k", &with(good.clone(), &bad));
        assert_eq!(refusal(&rules, &rsa_named("k"), &token), Some(Refusal::RequiredClaim), "{bad}");
    }
}

#[test]
fn dates_count_with_the_skew_and_their_fractions() {
    let at = NOW;
    let cases = [
        (json!({ "exp": at + 1 }), None),
        (json!({ "exp": at - 29 }), None),
        (json!({ "exp": at - 30 }), Some(Refusal::Expired)),
        (json!({ "exp": 1_799_999_970.5 }), None),
        (json!({ "exp": 0 }), Some(Refusal::Expired)),
        (json!({ "exp": 253_402_300_799_u64 }), None),
        (json!({ "nbf": at + 30 }), None),
        (json!({ "nbf": 1_800_000_030.5 }), Some(Refusal::NotYetValid)),
        (json!({ "nbf": 0 }), None),
        (json!({ "iat": at + 30 }), None),
        (json!({ "iat": at + 31 }), Some(Refusal::IssuedInFuture)),
        (json!({ "iat": at - 100_000 }), None),
    ];
    for (more, expected) in cases {
        let outcome = judged(&rules(), &rsa_named("k"), &token("k", &more), at);
        assert_eq!(outcome.err(), expected.map(Some), "{more}");
    }
    let strict = Rules { skew: Duration::ZERO, ..rules() };
    let token = token("k", &json!({ "exp": at, "nbf": at }));
    assert_eq!(judged(&strict, &rsa_named("k"), &token, at).err(), Some(Some(Refusal::Expired)));
    assert_eq!(judged(&strict, &rsa_named("k"), &token, at - 1).err(), Some(Some(Refusal::NotYetValid)));
}

#[test]
fn only_strict_base64url_in_three_parts_is_read() {
    let good = token("k", &json!({}));
    let parts: Vec<_> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    // 256 bytes leave four bits over: another last letter means the same bytes to those who do not look.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let noncanonical = format!("{}{next}", &signature[..signature.len() - 1]);
    for bad in [
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!(".{body}.{signature}"),
        format!("{head}..{signature}"),
        format!("{good}.{signature}"),
        format!(".{good}"),
        format!("{good}=="),
        format!("{head}=.{body}.{signature}"),
        format!("{head}.{body}==.{signature}"),
        format!("{head}.{body}.{noncanonical}"),
        format!("{head}.{body}.{signature}\n"),
        format!("{head}.{body}.+{}", &signature[1..]),
        format!("{head}.{body}.{}", "A".repeat(20_000)),
    ] {
        let found = refusal(&rules(), &rsa_named("k"), &bad);
        assert!(matches!(found, Some(Refusal::Encoding | Refusal::Header | Refusal::Claims)), "{bad:.300} {found:?}");
    }
    let mut cut = good.clone();
    // Whole bytes less, so that what is left is still base64url.
    cut.truncate(good.len() - 2);
    assert_eq!(refusal(&rules(), &rsa_named("k"), &cut), Some(Refusal::Signature));
    let moved = format!("{head}.{}.{signature}", base64(claims(&json!({ "sub": "root" })).to_string()));
    assert_eq!(refusal(&rules(), &rsa_named("k"), &moved), Some(Refusal::Signature));
}

#[test]
fn a_key_is_found_by_its_name_or_tried() {
    let named = |kid: &str, secret: &Secret| secret.jwk_with(&json!({ "kid": kid }));
    let unnamed = RSA.sign_text(Algorithm::RS256, r#"{"alg":"RS256"}"#, &claims(&json!({})).to_string());
    let token = token("k", &json!({}));
    let others: Vec<_> = (0..MAX_TRIES).map(|n| named(&format!("o{n}"), &OTHER_RSA)).collect();
    let cases = [
        (&token, set(&[named("x", &OTHER_RSA), named("k", &RSA)]), None),
        // Two of one name: both are tried.
        (&token, set(&[named("k", &OTHER_RSA), named("k", &RSA)]), None),
        (&token, set(&[named("k", &P256), named("k", &RSA)]), None),
        (&token, set(&[named("k", &OTHER_RSA)]), Some(Some(Refusal::Signature))),
        (&token, set(&[named("K", &RSA)]), Some(None)),
        (&token, set(&[RSA.jwk()]), Some(None)),
        (&unnamed, set(&[named("a", &OTHER_RSA), P256.jwk(), RSA.jwk()]), None),
        (&unnamed, set(&[named("a", &OTHER_RSA)]), Some(None)),
        (&unnamed, set(&[P256.jwk()]), Some(None)),
        (&unnamed, set(&[&others[1..], &[RSA.jwk()]].concat()), None),
        (&unnamed, set(&[&others[..], &[RSA.jwk()]].concat()), Some(Some(Refusal::TooManyKeys))),
    ];
    for (n, (token, keys, expected)) in cases.into_iter().enumerate() {
        assert_eq!(judged(&rules(), &keys, token, NOW).err(), expected, "case {n}");
    }
}
