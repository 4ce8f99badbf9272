//! What the header of a token says: no algorithm, keys of its own, names of keys, extensions, and what is no header.

use serde_json::{Value, json};

use super::case::Outcome::{Good, Refused, TooLarge, Unknown};
use super::case::{Family, Mint, OCT};
use super::keys::{base64, message, with_secret};

pub fn families(mint: &Mint) -> Vec<Family> {
    vec![none(mint), key_material(mint), key_ids(mint), extensions(mint), texts(mint)]
}

/// RFC 7518, 3.6, in all its disguises: unsigned, and signed as if it were not.
fn none(mint: &Mint) -> Family {
    let mut family = Family::new("no algorithm");
    let values = [
        r#""none""#,
        r#""None""#,
        r#""NONE""#,
        r#""nOnE""#,
        r#""noNe""#,
        r#"" none""#,
        r#""none ""#,
        r#""\tnone""#,
        r#""none\u0000""#,
        r#""\u006eone""#,
        r#""ｎone""#,
        r#""null""#,
        r#""""#,
        "null",
        "false",
        "0",
        "[]",
        "{}",
        r#"["none"]"#,
        r#"["RS256","none"]"#,
        r#"{"none":"RS256"}"#,
    ];
    let headers = values.map(|it| (it, format!(r#"{{"alg":{it},"typ":"JWT"}}"#)));
    let missing = [
        ("missing", r#"{"typ":"JWT"}"#.to_owned()),
        ("in upper case", r#"{"ALG":"RS256"}"#.to_owned()),
        ("with a blank", r#"{"alg ":"RS256"}"#.to_owned()),
    ];
    for (name, header) in headers.into_iter().chain(missing) {
        let of_main = message(&header, mint.claims(json!({})).to_string());
        let of_cluster = message(&header, mint.cluster_claims(json!({})).to_string());
        family.token(format!("{name}, unsigned"), format!("{of_main}."), Refused);
        family.token(format!("{name}, signed"), mint.rsa.finish("RS256", &of_main), Refused);
        family.token(format!("{name}, of the cluster, unsigned"), format!("{of_cluster}."), Refused);
        family.token(format!("{name}, of the cluster, signed"), mint.cluster.finish("RS256", &of_cluster), Refused);
    }
    family
}

/// Keys that a token brings along, or says where to get.
fn key_material(mint: &Mint) -> Family {
    let mut family = Family::new("keys of its own");
    let own = mint.foreign.jwk();
    let evil = |of: &str| format!("{}/evil/{of}", mint.url);
    let members = [
        ("jwk", "jwk", own.clone()),
        ("jwk, empty", "jwk", json!({})),
        ("jwk, null", "jwk", Value::Null),
        ("jwk of the issuer", "jwk", mint.rsa.jwk()),
        ("jwk, a secret", "jwk", json!({ "kty": "oct", "k": base64("k") })),
        ("jku", "jku", evil("jku").into()),
        ("jku of the issuer", "jku", format!("{}/main/keys", mint.url).into()),
        ("jku, the issuer as a user", "jku", mint.url.replace("http://", "http://main@").into()),
        ("jku, a file", "jku", "file:///etc/passwd".into()),
        ("jku, data", "jku", format!("data:application/json,{{\"keys\":[{own}]}}").into()),
        ("x5u", "x5u", evil("x5u").into()),
        ("x5c", "x5c", json!([base64(&mint.foreign.forms()[4].1)])),
        ("x5c, empty", "x5c", json!([])),
    ];
    for (name, member, value) in members {
        let header = |id: &str| json!({ "alg": "RS256", "kid": id, member: value }).to_string();
        let claims = mint.claims(json!({})).to_string();
        family.token(
            format!("{name}, signed with it"),
            mint.foreign.token("RS256", header("foreign"), &claims),
            Refused,
        );
        family.token(
            format!("{name}, under a known name"),
            mint.foreign.token("RS256", header("rsa"), &claims),
            Refused,
        );
        family.token(format!("{name}, over a good signature"), mint.headed(header("rsa")), Refused);
        let claims = mint.cluster_claims(json!({})).to_string();
        let token = mint.foreign.token("RS256", header(&mint.cluster_id), &claims);
        family.token(format!("{name}, of the cluster"), token, Refused);
    }
    for member in ["x5t", "x5t#S256"] {
        let header = json!({ "alg": "RS256", "kid": "rsa", member: base64([7; 20]) }).to_string();
        let forged = mint.foreign.token("RS256", &header, mint.claims(json!({})).to_string());
        family.token(format!("{member} of another key"), forged, Refused);
        family.token(format!("{member} beside a good signature"), mint.headed(header), Good);
    }
    family
}

/// Names of keys are looked up, and nothing else is done with them.
fn key_ids(mint: &Mint) -> Family {
    let mut family = Family::new("names of keys");
    let claims = mint.claims(json!({})).to_string();
    let long = "k".repeat(257);
    let values = [
        "../../../../../../dev/null",
        "/dev/null",
        "/proc/sys/kernel/randomize_va_space",
        "file:///dev/null",
        "rsa/../rsa",
        "./rsa",
        "C:\\rsa",
        "' OR '1'='1",
        "x' UNION SELECT 'k' -- ",
        "rsa'; DROP TABLE keys; --",
        "$(id)",
        "|id",
        "{{7*7}}",
        "${jndi:ldap://127.0.0.1/x}",
        "\u{0}",
        "rsa\u{0}",
        "rsa\u{0}.pem",
        "\n",
        "rsa\r\n",
        "rsa%00",
        "",
        " ",
        " rsa",
        "rsa ",
        "RSA",
        "Rsa",
        "rsа",
        "rsa\u{200b}",
        "*",
        "%",
        "rs_",
        "^rsa$",
        "unknown",
        "enc",
        "retired",
        "narrow",
        "0",
        "null",
        "undefined",
        "__proto__",
        "constructor",
        &long,
    ];
    for value in values {
        let header = json!({ "alg": "RS256", "kid": value }).to_string();
        family.token(format!("{value:?}, forged"), mint.foreign.token("RS256", &header, &claims), Refused);
        family.token(format!("{value:?}, over a good signature"), mint.headed(&header), Refused);
    }
    let evil = format!("{}/evil/kid", mint.url);
    for (name, raw) in [
        ("an address", json!(evil).to_string()),
        ("a list", r#"["rsa"]"#.into()),
        ("a number", "7".into()),
        ("null", "null".into()),
        ("an object", r#"{"$ne":""}"#.into()),
        ("true", "true".into()),
        ("twice", r#""rsa","kid":"rsa""#.into()),
        ("twice, another one first", r#""oct","kid":"rsa""#.into()),
        ("twice, one escaped", r#""rsa","\u006bid":"rsa""#.into()),
    ] {
        family.token(name, mint.headed(format!(r#"{{"alg":"RS256","kid":{raw}}}"#)), Refused);
    }
    // Secrets that go with a name: of a file that is empty, of a query that finds nothing, of the decoy.
    for (id, secret) in [("../../../../dev/null", &b""[..]), ("x' UNION SELECT 'k' -- ", b"k"), ("oct", OCT)] {
        for algorithm in ["HS256", "HS384", "HS512"] {
            let header = json!({ "alg": algorithm, "kid": id }).to_string();
            family.token(
                format!("{id:?}, {algorithm}"),
                with_secret(algorithm, secret, &message(header, &claims)),
                Refused,
            );
        }
        let header = json!({ "alg": "RS256", "kid": id }).to_string();
        family.token(
            format!("{id:?}, HS256 as RS256"),
            with_secret("HS256", secret, &message(header, &claims)),
            Refused,
        );
    }
    for (name, length, outcome) in
        [("16 KiB", 16 << 10, Refused), ("60 KiB", 60 << 10, TooLarge), ("1 MiB", 1 << 20, TooLarge)]
    {
        let header = json!({ "alg": "RS256", "kid": "k".repeat(length) }).to_string();
        family.token(format!("of {name}"), mint.headed(header), outcome);
    }
    family
}

/// What changes how the rest is to be read, and other forms of tokens than three parts with claims.
fn extensions(mint: &Mint) -> Family {
    let mut family = Family::new("extensions");
    let members = [
        r#""crit":["exp"]"#,
        r#""crit":["b64"]"#,
        r#""crit":["kid"]"#,
        r#""crit":["http://example.com/unknown"]"#,
        r#""crit":[]"#,
        r#""crit":null"#,
        r#""crit":"exp""#,
        r#""crit":{}"#,
        r#""crit":[7]"#,
        r#""crit":true"#,
        r#""b64":false"#,
        r#""b64":false,"crit":["b64"]"#,
        r#""b64":true"#,
        r#""b64":null"#,
        r#""b64":"false""#,
        r#""zip":"DEF""#,
        r#""zip":null"#,
        r#""enc":"A256GCM""#,
        r#""enc":null"#,
        r#""typ":"JWE""#,
        r#""typ":"JOSE""#,
        r#""typ":"logout+jwt""#,
        r#""typ":"dpop+jwt""#,
        r#""typ":"secevent+jwt""#,
        r#""typ":"vnd.backstage.plugin""#,
        r#""typ":"vnd.backstage.limited-user""#,
        r#""typ":"""#,
        r#""typ":null"#,
        r#""typ":7"#,
        r#""typ":["JWT"]"#,
    ];
    for member in members {
        family.token(member, mint.headed(format!(r#"{{"alg":"RS256","kid":"rsa",{member}}}"#)), Refused);
    }
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "vnd.backstage.user"] {
        let header = json!({ "alg": "RS256", "kid": "rsa", "typ": typ }).to_string();
        family.token(format!("typ {typ}"), mint.headed(header), Good);
    }
    let (header, claims) = (mint.header("RS256", &mint.rsa), mint.claims(json!({})).to_string());
    let good = mint.claimed(&claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    // RFC 7797: what is signed is not what is sent.
    let unencoded = r#"{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}"#;
    let signed = base64(mint.rsa.sign("RS256", &format!("{}.{claims}", base64(unencoded))));
    family.token("signed unencoded", format!("{}.{}.{signed}", base64(unencoded), base64(&claims)), Refused);
    family.token("sent unencoded", format!("{}.{claims}.{signed}", base64(unencoded)), Refused);
    let deflated = deflated(&claims);
    let zipped = r#"{"alg":"RS256","kid":"rsa","zip":"DEF"}"#;
    family.token("claims compressed", mint.rsa.token("RS256", zipped, deflated), Unknown);
    family.token("nested", mint.rsa.token("RS256", r#"{"alg":"RS256","kid":"rsa","cty":"JWT"}"#, &good), Unknown);
    let direct = base64(r#"{"alg":"dir","enc":"A256GCM","kid":"rsa"}"#);
    family.token(
        "JWE, direct",
        format!("{direct}..{}.{}.{}", base64([1; 12]), base64(&claims), base64([2; 16])),
        Unknown,
    );
    let wrapped = base64(r#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"enc"}"#);
    let parts = [base64([3; 256]), base64([1; 12]), base64(&good), base64([2; 16])].join(".");
    family.token("JWE with a nested token", format!("{wrapped}.{parts}"), Unknown);
    family.token("JWE in three parts", format!("{direct}.{}.{signature}", base64(&claims)), Refused);
    let json = json!({ "payload": base64(&claims), "protected": base64(&header), "signature": signature });
    family.token("JSON serialization", json.to_string(), Refused);
    family.token("JSON serialization in base64", base64(json.to_string()), Unknown);
    let general = json!({ "payload": base64(&claims), "signatures": [json] });
    family.token("general JSON serialization", general.to_string(), Refused);
    family.token("general JSON serialization in base64", base64(general.to_string()), Unknown);
    family.token("detached", format!("{}..{signature}", base64(&header)), Unknown);
    family.token("unsecured", format!("{message}."), Refused);
    family
}

fn deflated(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::DeflateEncoder::new(vec![], flate2::Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// What is no JSON object, or one that readers do not agree on.
fn texts(mint: &Mint) -> Family {
    let mut family = Family::new("text of the header");
    let good = r#"{"alg":"RS256","kid":"rsa"}"#;
    let deep = format!(r#"{{"alg":"RS256","kid":"rsa","x":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let deep_objects = format!(r#"{{"alg":"RS256","kid":"rsa","x":{}1{}}}"#, r#"{"x":"#.repeat(1000), "}".repeat(1000));
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, Vec<u8>); 30] = [
        ("empty", b"".into()),
        ("a list", br#"["RS256"]"#.into()),
        ("a text", br#""RS256""#.into()),
        ("a number", b"1".into()),
        ("null", b"null".into()),
        ("true", b"true".into()),
        ("an empty object", b"{}".into()),
        ("not closed", br#"{"alg":"RS256","kid":"rsa""#.into()),
        ("two objects", format!("{good}{good}").into()),
        ("a list of the object", format!("[{good}]").into()),
        ("trailing garbage", format!("{good}x").into()),
        ("trailing NUL", format!("{good}\0").into()),
        ("trailing comma", br#"{"alg":"RS256","kid":"rsa",}"#.into()),
        ("comment", br#"{"alg":"RS256",/**/"kid":"rsa"}"#.into()),
        ("line comment", format!("{good}//").into()),
        ("single quotes", b"{'alg':'RS256','kid':'rsa'}".into()),
        ("no quotes", b"{alg:RS256,kid:rsa}".into()),
        ("alg twice", br#"{"alg":"RS256","alg":"RS256","kid":"rsa"}"#.into()),
        ("alg twice, none first", br#"{"alg":"none","alg":"RS256","kid":"rsa"}"#.into()),
        ("alg twice, none last", br#"{"alg":"RS256","kid":"rsa","alg":"none"}"#.into()),
        ("alg twice, one escaped", br#"{"alg":"RS256","\u0061lg":"none","kid":"rsa"}"#.into()),
        ("something unknown twice", br#"{"alg":"RS256","kid":"rsa","x":1,"x":1}"#.into()),
        ("NaN", br#"{"alg":"RS256","kid":"rsa","x":NaN}"#.into()),
        ("1e400", br#"{"alg":"RS256","kid":"rsa","x":1e400}"#.into()),
        ("a byte order mark", format!("\u{feff}{good}").into()),
        ("UTF-16", utf16),
        ("not UTF-8", b"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"x\":\"\xff\"}".into()),
        ("half a surrogate", br#"{"alg":"RS256","kid":"rsa","x":"\ud800"}"#.into()),
        ("deep lists", deep.into()),
        ("deep objects", deep_objects.into()),
    ];
    for (name, header) in cases {
        family.token(name, mint.headed(&header), Refused);
        let claims = mint.cluster_claims(json!({})).to_string();
        family.token(format!("{name}, of the cluster"), mint.cluster.token("RS256", header, claims), Refused);
    }
    family.token("white space", mint.headed(" {\n\t\"alg\" : \"RS256\" ,\r\n \"kid\":\"rsa\" } "), Good);
    family.token("escapes", mint.headed(r#"{"\u0061lg":"RS\u0032\u0035\u0036","kid":"\u0072sa"}"#), Good);
    family
}
