//! What the claims of a token say: of when, for whom and from whom it is.

use serde_json::{Value, json};

use super::case::Outcome::{Good, Refused, Unknown};
use super::case::{Family, Mint, and, with, without};
use super::issuer::AUDIENCE;

pub fn families(mint: &Mint) -> Vec<Family> {
    vec![dates(mint), audiences(mint), issuers(mint), duplicates(mint)]
}

fn dates(mint: &Mint) -> Family {
    let mut family = Family::new("dates");
    let now = mint.now;
    for name in ["exp", "nbf", "iat"] {
        let others = without(mint.claims(json!({})), name);
        let says = |value: &str| mint.claimed(and(&others, &format!("{name:?}:{value}")));
        let good = now + if name == "exp" { 600 } else { 0 };
        let text = format!("\"{good}\"");
        for value in [
            &*text,
            r#""2030-01-01T00:00:00Z""#,
            r#""""#,
            r#""never""#,
            "-1",
            "-1e9",
            "1e18",
            "1e300",
            "253402300800",
            "18446744073709551615",
            "18446744073709551616",
            "9223372036854775808",
            "[]",
            "[1]",
            "{}",
            "null",
            "true",
            "false",
            "1e400",
            "-1e400",
        ] {
            family.token(format!("{name} {value}"), says(value), Refused);
        }
        // No JSON, so that nobody can say whose token it is.
        for value in ["NaN", "Infinity", "-Infinity", "0x7fffffff", "01", "+1", "1_000", ".5", "1.", "1e", ""] {
            family.token(format!("{name} {value}, which is no JSON"), says(value), Unknown);
        }
        let twice = format!("{good},{name:?}:{good}");
        family.token(format!("{name} twice"), says(&twice), Refused);
        let twice = format!("{good},{name:?}:1");
        family.token(format!("{name} twice, with another one"), says(&twice), Refused);
        for value in [format!("{good}.5"), format!("{good}.0"), format!("{good}e0"), format!("{}E-2", good * 100)] {
            family.token(format!("{name} {}", value.replace(&good.to_string(), "now")), says(&value), Good);
        }
        let outcome = if name == "exp" { Refused } else { Good };
        family.token(format!("{name} missing"), mint.claimed(others.to_string()), outcome);
        for value in ["0", "-0.0", "1", "0.5", "1e9"] {
            family.token(format!("{name} {value}"), says(value), outcome);
        }
    }
    for (name, claims, outcome) in [
        ("expired", json!({ "exp": now - 3600 }), Refused),
        ("expired, beyond the skew", json!({ "exp": now - 301 }), Refused),
        ("expired, within the skew", json!({ "exp": now - 60 }), Good),
        ("not valid yet", json!({ "nbf": now + 3600 }), Refused),
        ("not valid yet, within the skew", json!({ "nbf": now + 60 }), Good),
        ("issued in the future", json!({ "iat": now + 3600 }), Refused),
        ("issued in the future, within the skew", json!({ "iat": now + 60 }), Good),
        ("expires before it is valid", json!({ "nbf": now, "exp": now - 3600 }), Refused),
        ("in milliseconds", json!({ "exp": (now + 600) * 1000, "nbf": now, "iat": now }), Refused),
        ("until the year 9999", json!({ "exp": 253_402_300_799_u64 }), Good),
    ] {
        family.token(name, mint.main(claims), outcome);
    }
    for (name, claims) in [
        ("expired, of the cluster", json!({ "exp": now - 3600 })),
        ("not valid yet, of the cluster", json!({ "nbf": now + 3600 })),
        ("issued in the future, of the cluster", json!({ "iat": now + 3600 })),
        ("exp as text, of the cluster", json!({ "exp": (now + 600).to_string() })),
        ("exp null, of the cluster", json!({ "exp": null })),
    ] {
        family.token(name, mint.of_cluster(claims), Refused);
    }
    let eternal = without(mint.cluster_claims(json!({})), "exp").to_string();
    let header = mint.header("RS256", &mint.cluster);
    family.token("exp missing, of the cluster", mint.cluster.token("RS256", header, eternal), Refused);
    family
}

fn audiences(mint: &Mint) -> Family {
    let mut family = Family::new("audiences");
    let many = |n: usize| -> Value { (0..n).map(|it| json!(format!("api-{it}"))).chain([json!(AUDIENCE)]).collect() };
    let refused = [
        json!(""),
        json!([]),
        json!([""]),
        json!("catalog-ap"),
        json!("catalog-apis"),
        json!("x-catalog-api"),
        json!("catalog-api/x"),
        json!("CATALOG-API"),
        json!("Catalog-api"),
        json!(" catalog-api"),
        json!("catalog-api "),
        json!("catalog-api\u{0}"),
        json!("catalog-api\n"),
        json!("cаtalog-api"),
        json!("catalog‐api"),
        json!("*"),
        json!("catalog-api,other-api"),
        json!("catalog-api other-api"),
        json!("[\"catalog-api\"]"),
        json!("narrow-api"),
        json!("eventmesh-catalog"),
        json!("https://kubernetes.default.svc"),
        json!(mint.issuer("main")),
        json!(["narrow-api", "backstage"]),
        json!([[AUDIENCE]]),
        json!([AUDIENCE, ["x"]]),
        json!([AUDIENCE, 7]),
        json!([AUDIENCE, null]),
        json!([{ "aud": AUDIENCE }]),
        json!({ AUDIENCE: true }),
        json!({}),
        json!(7),
        json!(0),
        json!(true),
        json!(null),
    ];
    for aud in refused {
        family.token(aud.to_string(), mint.main(json!({ "aud": aud })), Refused);
    }
    let others = without(mint.claims(json!({})), "aud");
    family.token("missing", mint.claimed(others.to_string()), Refused);
    for twice in [
        r#""aud":"catalog-api","aud":"catalog-api""#,
        r#""aud":"x","aud":"catalog-api""#,
        r#""aud":"catalog-api","aud":"x""#,
        r#""aud":"catalog-api","\u0061ud":"catalog-api""#,
    ] {
        family.token(twice, mint.claimed(and(&others, twice)), Refused);
    }
    for name in [r#""AUD":"catalog-api""#, r#""aud ":"catalog-api""#, r#""audience":"catalog-api""#] {
        family.token(name, mint.claimed(and(&others, name)), Refused);
    }
    for (name, aud) in [
        ("a text", json!(AUDIENCE)),
        ("a list", json!([AUDIENCE])),
        ("the other one", json!("other-api")),
        ("ours among others", json!(["x", AUDIENCE, "y"])),
        ("ours twice", json!([AUDIENCE, AUDIENCE])),
        ("ours at the end of many", many(500)),
    ] {
        family.token(name, mint.main(json!({ "aud": aud })), Good);
    }
    // Whom tokens of the cluster are for is what the API server says, if they are written as they have to be.
    for aud in [json!(7), json!(null), json!({}), json!([["eventmesh-catalog"]]), json!(["eventmesh-catalog", 7])] {
        family.token(format!("{aud} of the cluster"), mint.of_cluster(json!({ "aud": aud })), Refused);
    }
    for aud in [json!("eventmesh-catalog"), json!(["eventmesh-catalog", "x"]), json!([]), json!("x")] {
        let token = mint.of_cluster(json!({ "aud": aud }));
        family.token(format!("{aud} of the cluster, of nobody"), token, Unknown);
    }
    for aud in [json!([]), json!(""), json!("x"), json!("eventmesh-catalo"), json!("https://kubernetes.default.svc")] {
        let token = mint.of_cluster(json!({ "aud": aud, "jti": "strict" }));
        family.strict(format!("{aud} of the cluster, where that is strict"), &token, Refused);
    }
    family
}

fn issuers(mint: &Mint) -> Family {
    let mut family = Family::new("issuers");
    let main = mint.issuer("main");
    let address = mint.url.strip_prefix("http://").unwrap();
    let (host, port) = address.split_once(':').unwrap();
    // Nobody that is configured: the API server may know them.
    for iss in [
        format!("{main}/"),
        format!("{main}//"),
        main.trim_end_matches('n').into(),
        format!("{main}x"),
        mint.url.clone(),
        main.replacen("//", "/", 1),
        main.replacen("http", "https", 1),
        main.replacen("http:", "", 1),
        main.replacen("http", "HTTP", 1),
        main.to_uppercase(),
        main.replace("main", "Main"),
        main.replace('a', "а"),
        main.replace("main", "ma\u{200b}in"),
        main.replacen("//", "//x@", 1),
        main.replacen("//", "//x:y@", 1),
        main.replace(&format!(":{port}"), ""),
        main.replace(port, "80"),
        main.replace(port, &format!("0{port}")),
        main.replace(host, "localhost"),
        main.replace(host, "127.1"),
        main.replace(host, "2130706433"),
        main.replace(host, "[::ffff:127.0.0.1]"),
        main.replace(host, &format!("{host}.")),
        main.replace("/main", "/narrow/../main"),
        main.replace("/main", "/./main"),
        main.replace("/main", "//main"),
        main.replace("main", "m%61in"),
        main.replace("/main", "%2Fmain"),
        main.replace("/main", "\\main"),
        format!("{main}?"),
        format!("{main}?x=1"),
        format!("{main}#"),
        format!("{main}\u{0}"),
        format!(" {main}"),
        format!("{main} "),
        format!("{main}\n"),
        format!("{main},{main}"),
        "main".into(),
        String::new(),
        "*".into(),
        mint.cluster_issuer.to_uppercase(),
        format!("{}/", mint.cluster_issuer),
        "https://issuer.example.com".into(),
    ] {
        let name = format!("{iss:?}").replace(port, "PORT");
        family.token(name, mint.main(json!({ "iss": iss })), Unknown);
    }
    for iss in [json!([main]), json!(null), json!({ "iss": main }), json!(7), json!(true)] {
        let name = iss.to_string().replace(port, "PORT");
        family.token(name, mint.main(json!({ "iss": iss })), Unknown);
    }
    let others = without(mint.claims(json!({})), "iss");
    family.token("missing", mint.claimed(others.to_string()), Unknown);
    family.token("in upper case", mint.claimed(and(&others, &format!(r#""ISS":"{main}""#))), Unknown);
    family.token("below another claim", mint.claimed(and(&others, &format!(r#""x":{{"iss":"{main}"}}"#))), Unknown);
    for (name, other) in [("narrow", mint.issuer("narrow")), ("plain", mint.issuer("plain"))] {
        // Of issuers that have the same key it is the audience, or a claim, that tells tokens apart.
        let token = mint.main(json!({ "iss": other, "aud": ["x"] }));
        family.token(format!("{name}, for others"), token, Refused);
    }
    family.token("narrow", mint.main(json!({ "iss": mint.issuer("narrow") })), Refused);
    family.token("the cluster", mint.main(json!({ "iss": mint.cluster_issuer })), Refused);
    let of_cluster = mint.of_cluster(json!({ "iss": main, "aud": AUDIENCE, "sub": "ann" }));
    family.token("main, by the cluster", of_cluster, Refused);
    // Whoever is named must not be undone by somebody else who is, wherever.
    let (narrow, cluster) = (mint.issuer("narrow"), &mint.cluster_issuer);
    for (name, first, second) in [
        ("the same twice", &main, &main),
        ("twice, narrow first", &narrow, &main),
        ("twice, narrow last", &main, &narrow),
        ("twice, the cluster first", cluster, &main),
        ("twice, the cluster last", &main, cluster),
        ("twice, nobody first", &String::new(), &main),
        ("twice, nobody last", &main, &String::new()),
        ("twice, of the cluster", cluster, cluster),
    ] {
        let twice = and(&others, &format!(r#""iss":{first:?},"iss":{second:?}"#));
        family.token(name, mint.claimed(&twice), Refused);
        let token = mint.cluster.token("RS256", mint.header("RS256", &mint.cluster), &twice);
        family.token(format!("{name}, by the cluster"), token, Refused);
    }
    let twice = format!(r#""iss":"{main}","iss":["{main}"]"#);
    family.token("twice, a list last", mint.claimed(and(&others, &twice)), Refused);
    let twice = format!(r#""iss":null,"\u0069ss":"{main}""#);
    family.token("twice, null first, one escaped", mint.claimed(and(&others, &twice)), Refused);
    let escaped = format!(r#""\u0069ss":"{}""#, main.replace('/', "\\/"));
    family.token("in escapes", mint.claimed(and(&others, &escaped)), Good);
    family
}

/// What is said twice is said by nobody (RFC 7519, 4).
fn duplicates(mint: &Mint) -> Family {
    let mut family = Family::new("claims said twice");
    let claims = with(&mint.claims(json!({})), json!({ "groups": ["dev"], "jti": "1", "x": 1, "email": "a@b" }));
    for name in ["iss", "aud", "sub", "exp", "nbf", "iat", "groups", "jti", "email", "x"] {
        for (how, value) in
            [("the same", claims[name].clone()), ("null", json!(null)), ("a text", json!("system:masters"))]
        {
            let member = format!("{name:?}:{value}");
            family.token(format!("{name}, {how}"), mint.claimed(and(&claims, &member)), Refused);
            let text = claims.to_string();
            let first = format!("{{{member},{}", text.strip_prefix('{').unwrap());
            family.token(format!("{name}, {how} first"), mint.claimed(first), Refused);
        }
    }
    let nested = with(&claims, json!({ "y": { "sub": "x", "exp": 0, "iss": "x", "aud": "x", "groups": ["x"] } }));
    family.token("below another claim", mint.claimed(nested.to_string()), Good);
    let token = |claims: &Value, member: &str| {
        mint.cluster.token("RS256", mint.header("RS256", &mint.cluster), and(claims, member))
    };
    let claims = mint.cluster_claims(json!({}));
    for member in [r#""sub":"system:admin""#, r#""aud":"x""#, r#""exp":9999999999"#, r#""kubernetes.io":{}"#] {
        family.token(format!("{member}, of the cluster"), token(&claims, member), Refused);
    }
    family
}
