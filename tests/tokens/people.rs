//! Who the claims of a token say that somebody is, and what is no set of claims.

use serde_json::{Value, json};

use super::case::Outcome::{Good, Refused, Unknown};
use super::case::{Family, Mint, and, without};
use super::keys::base64;

pub fn families(mint: &Mint) -> Vec<Family> {
    vec![names(mint), texts(mint)]
}

fn names(mint: &Mint) -> Family {
    let mut family = Family::new("names");
    let controls =
        ["ann\u{0}", "\u{0}", "ann\n", "\r\nann", "an\tn", "ann\u{7f}", "ann\u{85}", "\u{1b}[31mann", "ann\u{9b}"];
    for sub in controls {
        family.token(format!("sub {sub:?}"), mint.main(json!({ "sub": sub })), Refused);
        family.token(
            format!("sub {sub:?}, of main and with a group"),
            mint.main(json!({ "sub": sub, "groups": "dev" })),
            Refused,
        );
    }
    for sub in
        [json!(""), json!(7), json!(0), json!(null), json!(true), json!(["ann"]), json!([]), json!({ "sub": "ann" })]
    {
        family.token(format!("sub {sub}"), mint.main(json!({ "sub": sub })), Refused);
    }
    let nobody = without(mint.claims(json!({})), "sub");
    family.token("sub missing", mint.claimed(nobody.to_string()), Refused);
    family.token("sub in upper case", mint.claimed(and(&nobody, r#""SUB":"ann""#)), Refused);
    for groups in [
        json!(7),
        json!(true),
        json!(null),
        json!({}),
        json!({ "dev": true }),
        json!(["dev", 7]),
        json!([["dev"]]),
        json!([null]),
    ] {
        family.token(format!("groups {groups}"), mint.main(json!({ "groups": groups })), Refused);
    }
    // Names of Kubernetes' own, where nothing is put before names, and where `sys` is.
    let of = |issuer: &str, more: Value| {
        let mut claims = mint.claims(more);
        claims["iss"] = mint.issuer(issuer).into();
        mint.claimed(claims.to_string())
    };
    for sub in [
        "system:admin",
        "system:masters",
        "system:anonymous",
        "system:kube-controller-manager",
        "system:node:a",
        "system:",
        "system:serviceaccount:callers:reader",
        "system:apiserver",
        "system:\u{200b}admin",
    ] {
        family.token(format!("{sub:?}"), of("plain", json!({ "sub": sub })), Refused);
        let rest = sub.strip_prefix("sys").unwrap();
        family.token(format!("{rest:?} after sys"), of("sys", json!({ "sub": rest })), Refused);
        let escaped: Vec<_> = sub.encode_utf16().map(|it| format!("\\u{it:04x}")).collect();
        let claims = without(mint.claims(json!({ "iss": mint.issuer("plain") })), "sub");
        let claims = and(&claims, &format!("\"sub\":\"{}\"", escaped.concat()));
        family.token(format!("{sub:?} in escapes"), mint.claimed(claims), Refused);
    }
    for (claims, outcome) in [
        (json!({ "email": "a@example.com" }), Good),
        (json!({ "email": "a@example.com", "email_verified": true }), Good),
        (json!({ "email": "a@example.com", "email_verified": false }), Refused),
        (json!({ "email": "a@example.com", "email_verified": "true" }), Refused),
        (json!({ "email": "a@example.com", "email_verified": 1 }), Refused),
        (json!({ "email": "a@example.com", "email_verified": null }), Refused),
        (json!({ "email": ["a@example.com"] }), Refused),
        (json!({ "email": "" }), Refused),
        (json!({ "emails": "a@example.com" }), Refused),
    ] {
        family.token(format!("mail {claims}"), of("mail", claims.clone()), outcome);
    }
    family
}

fn texts(mint: &Mint) -> Family {
    let mut family = Family::new("text of the claims");
    let claims = mint.claims(json!({}));
    let text = claims.to_string();
    let more = |member: &str| and(&claims, member).into_bytes();
    let deep = |n: usize| format!("\"x\":{}{}", "[".repeat(n), "]".repeat(n));
    let bytes = |before: &str, byte: &[u8], after: &str| [before.as_bytes(), byte, after.as_bytes()].concat();
    let nobody = without(claims.clone(), "sub").to_string();
    let nobody = nobody.strip_suffix('}').unwrap();
    let nameless = without(claims.clone(), "iss").to_string();
    let nameless = nameless.strip_suffix('}').unwrap();
    let utf16 = |of: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(of).collect() };
    let digits = "9".repeat(400);
    let cases: Vec<(&str, Vec<u8>, super::case::Outcome)> = vec![
        // What names no issuer.
        ("empty", b"".into(), Unknown),
        ("an empty object", b"{}".into(), Unknown),
        ("a list", format!("[{text}]").into(), Unknown),
        ("a list of members", format!(r#"["iss","{}"]"#, mint.issuer("main")).into(), Unknown),
        ("a text", json!(text).to_string().into(), Unknown),
        ("the issuer only, as a text", json!(mint.issuer("main")).to_string().into(), Unknown),
        ("a number", b"1".into(), Unknown),
        ("null", b"null".into(), Unknown),
        ("true", b"true".into(), Unknown),
        ("not closed", text.strip_suffix('}').unwrap().into(), Unknown),
        ("two objects", format!("{text}{text}").into(), Unknown),
        ("trailing garbage", format!("{text}x").into(), Unknown),
        ("trailing NUL", format!("{text}\0").into(), Unknown),
        ("trailing comma", text.replace('}', ",}").into(), Unknown),
        ("comment", text.replacen('{', "{/**/", 1).into(), Unknown),
        ("line comment", format!("{text}//").into(), Unknown),
        ("single quotes", text.replace('"', "'").into(), Unknown),
        ("a byte order mark", format!("\u{feff}{text}").into(), Unknown),
        ("UTF-16, low bytes first", utf16(u16::to_le_bytes), Unknown),
        ("UTF-16, high bytes first", utf16(u16::to_be_bytes), Unknown),
        ("a line end in a text", more("\"x\":\"\n\""), Unknown),
        ("NUL in a text", more("\"x\":\"\0\""), Unknown),
        ("an escape that is none", more(r#""x":"\q""#), Unknown),
        ("NaN", more(r#""x":NaN"#), Unknown),
        ("not UTF-8 in iss", bytes(nameless, b",\"iss\":\"http://\xff\"", "}"), Unknown),
        // What names one, and cannot be read.
        ("not UTF-8 in sub", bytes(nobody, b",\"sub\":\"ann\xff\"", "}"), Refused),
        ("overlong UTF-8 in sub", bytes(nobody, b",\"sub\":\"\xc1\xa1nn\"", "}"), Refused),
        ("a surrogate in UTF-8 in sub", bytes(nobody, b",\"sub\":\"\xed\xa0\x80\"", "}"), Refused),
        ("half a surrogate in sub", bytes(nobody, br#","sub":"\ud800""#, "}"), Refused),
        ("the wrong half of a surrogate", bytes(nobody, br#","sub":"\udc00\ud800""#, "}"), Refused),
        ("lists of depth 200", more(&deep(200)), Refused),
        ("lists of depth 4000", more(&deep(4000)), Refused),
        ("lists of depth 10000", more(&deep(10_000)), Refused),
        ("objects of depth 1500", more(&format!("\"x\":{}1{}", "{\"x\":".repeat(1500), "}".repeat(1500))), Refused),
        ("1e400", more(r#""x":1e400"#), Refused),
        ("-1e400", more(r#""x":[-1e400]"#), Refused),
        ("a number of 400 digits", more(&format!("\"x\":{digits}")), Refused),
        ("more than 16 KiB", more(&format!("\"x\":\"{}\"", "x".repeat(16 << 10))), Refused),
        // What is unusual, and good.
        ("a list of depth 100", more(&deep(100)), Good),
        ("nearly 16 KiB", more(&format!("\"x\":\"{}\"", "x".repeat(11 << 10))), Good),
        ("a number of 300 digits", more(&format!("\"x\":{}", &digits[..300])), Good),
        ("1e300", more(r#""x":1e300"#), Good),
        ("a fraction of 300 digits", more(&format!("\"x\":0.{}", &digits[..300])), Good),
        ("white space", format!("\r\n\t {text} \n").into(), Good),
        (
            "unknown claims",
            more(r#""azp":"x","scope":"a b","amr":["pwd"],"cnf":{"jkt":"x"},"":null,"__proto__":{}"#),
            Good,
        ),
        ("what is beyond the Unicode plane", more(r#""x":"\ud83d\ude00","y":"😀""#), Good),
        ("escaped NUL elsewhere", more(r#""x":"\u0000","\u0000":1"#), Good),
    ];
    for (name, claims, outcome) in cases {
        family.token(name, mint.claimed(claims), outcome);
    }
    // What is no JWT, however much it looks like one.
    for (name, token) in [
        ("claims alone", base64(&text)),
        ("claims between nothing", format!("e30.{}.e30.e30", base64(&text))),
        ("a UUID", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6".into()),
        ("letters", "A".repeat(64)),
        ("16 KiB", "A".repeat(16 << 10)),
        ("all signs of token68", "aZ09-._~+/==".into()),
        ("PASETO", format!("v4.public.{}", base64(&text))),
        ("a macaroon", format!("MDAx{}", base64(&text))),
        ("a bootstrap token", "abcdef.0123456789abcdef".into()),
        ("nearly the administrator's", "admin-token~".into()),
        ("the administrator's in upper case", "ADMIN-TOKEN".into()),
        ("the administrator's in base64", base64("admin-token")),
    ] {
        family.token(format!("opaque: {name}"), token, Unknown);
    }
    family
}
