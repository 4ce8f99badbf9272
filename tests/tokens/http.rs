//! Where a token is written in a request, and where it is not.

use serde_json::json;

use super::case::Outcome::{self, Closed, Good, Missing, Refused, Status, TooLarge, Unknown};
use super::case::{Family, Mint};
use super::keys::base64;
use super::wire::{get, request};

pub fn families(mint: &Mint) -> Vec<Family> {
    vec![schemes(mint), values(mint), several(mint), elsewhere(mint), requests(mint)]
}

fn good(mint: &Mint) -> String {
    mint.main(json!({}))
}

fn forged(mint: &Mint) -> String {
    mint.foreign.finish("RS256", &mint.message("RS256", &mint.rsa))
}

fn schemes(mint: &Mint) -> Family {
    let mut family = Family::new("schemes");
    let good = good(mint);
    let mut case = |name: &str, value: &str, outcome: Outcome| {
        family.fields(name, &[format!("Authorization:{}", value.replace("GOOD", &good))], outcome);
    };
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        case(scheme, &format!(" {scheme} GOOD"), Good);
    }
    for scheme in [
        "Basic",
        "Digest",
        "Negotiate",
        "NTLM",
        "Token",
        "JWT",
        "OAuth",
        "DPoP",
        "MAC",
        "PoP",
        "HOBA",
        "Mutual",
        "ApiKey",
        "AWS4-HMAC-SHA256",
        "Bearer:",
        "Bearer,",
        "Bearer=",
        "Bearers",
        "Beare",
        "XBearer",
        "\"Bearer\"",
        "Bearer/1.0",
        "Bearer\t",
        "'Bearer'",
        "access_token",
        "Bearer;",
    ] {
        case(scheme, &format!(" {scheme} GOOD"), Missing);
    }
    case("Basic with a user", &format!(" Basic {}", base64(format!("ann:{good}"))), Missing);
    for (name, value) in [
        ("nothing", ""),
        ("a blank", " "),
        ("no scheme", " GOOD"),
        ("no token", " Bearer"),
        ("no token, a blank", " Bearer "),
        ("no token, many blanks", " Bearer        "),
        ("no blank", " BearerGOOD"),
        ("a colon for the blank", " Bearer:GOOD"),
        ("an equals sign for the blank", " Bearer=GOOD"),
        ("a comma for the blank", " Bearer,GOOD"),
        ("a tab for the blank", " Bearer\tGOOD"),
        ("a slash for the blank", " Bearer/GOOD"),
        ("the token first", " GOOD Bearer"),
    ] {
        case(name, value, Missing);
    }
    for (name, value) in [
        ("no blank before the scheme", "Bearer GOOD"),
        ("blanks before the scheme", "     Bearer GOOD"),
        ("a tab before the scheme", "\tBearer GOOD"),
        ("blanks before the token", " Bearer     GOOD"),
        ("blanks after the token", " Bearer GOOD    "),
        ("a tab after the token", " Bearer GOOD\t"),
    ] {
        case(name, value, Good);
    }
    for name in ["AUTHORIZATION", "authorization", "aUTHORIZATION"] {
        family.fields(format!("field {name}"), &[format!("{name}: Bearer {good}")], Good);
    }
    family
}

fn values(mint: &Mint) -> Family {
    let mut family = Family::new("values");
    let good = good(mint);
    let mut case = |name: &str, value: &[u8], outcome: Outcome| {
        family.fields(name, &[[b"Authorization: ", value].concat()], outcome);
    };
    for (name, value) in [
        ("in double quotes", "Bearer \"GOOD\""),
        ("in single quotes", "Bearer 'GOOD'"),
        ("in brackets", "Bearer <GOOD>"),
        ("with a comma", "Bearer GOOD,"),
        ("with a semicolon", "Bearer GOOD;"),
        ("with a parameter", "Bearer GOOD; realm=x"),
        ("as a parameter", "Bearer token=GOOD"),
        ("as a parameter in quotes", "Bearer token=\"GOOD\""),
        ("after a realm", "Bearer realm=\"x\", GOOD"),
        ("twice", "Bearer GOOD GOOD"),
        ("twice, with a comma", "Bearer GOOD,GOOD"),
        ("twice, with the scheme", "Bearer GOOD, Bearer GOOD"),
        ("after another scheme", "Bearer x, Bearer GOOD"),
        ("before another scheme", "Bearer GOOD, Basic YTpi"),
        ("the scheme twice", "Bearer Bearer GOOD"),
        ("a tab before it", "Bearer \tGOOD"),
        ("a tab inside", "Bearer x\tGOOD"),
        ("= before it", "Bearer =GOOD"),
        ("= only", "Bearer ==="),
        ("= inside", "Bearer a=b"),
        ("a percent sign", "Bearer %00"),
        ("markup", "Bearer <script>alert(1)</script>"),
        ("a backslash", "Bearer a\\b"),
        ("braces", "Bearer {}"),
        ("a star", "Bearer *"),
        ("an at sign", "Bearer a@b"),
        ("a colon", "Bearer system:admin"),
        ("letters beyond ASCII", "Bearer törken"),
        ("a zero width space", "Bearer GOOD\u{200b}"),
        ("a no-break space", "Bearer\u{a0}GOOD"),
        ("another dot", "Bearer a\u{ff0e}b\u{ff0e}c"),
        ("a scheme beyond ASCII", "Bеarer GOOD"),
    ] {
        case(name, value.replace("GOOD", &good).as_bytes(), Refused);
    }
    case("not UTF-8", b"Bearer \xff\xfe", Refused);
    let after = |byte: &[u8]| [b"Bearer ", good.as_bytes(), byte].concat();
    for (name, byte) in [
        ("NUL", 0),
        ("SOH", 1),
        ("BEL", 7),
        ("BS", 8),
        ("VT", 11),
        ("FF", 12),
        ("CR", 13),
        ("ESC", 27),
        ("US", 31),
        ("DEL", 127),
    ] {
        case(&format!("{name} after it"), &after(&[byte, b'x']), Status(400));
        case(&format!("{name} before it"), &[b"Bearer ", &[byte][..], good.as_bytes()].concat(), Status(400));
    }
    case("folded before the token", format!("Bearer\r\n {good}").as_bytes(), Status(400));
    case("folded with a tab", format!("Bearer\r\n\t{good}").as_bytes(), Status(400));
    case("folded after the token", &after(b"\r\n x"), Status(400));
    case("folded with nothing", &after(b"\r\n "), Status(400));
    case("a line that ends with LF only", &after(b"\nX-Other: x"), Good);
    for (name, length, outcome) in [
        ("of 16 KiB", 16 << 10, Unknown),
        ("of 16 KiB and a byte", (16 << 10) + 1, Refused),
        ("of 31 KiB", 31 << 10, Refused),
        ("of 33 KiB", 33 << 10, TooLarge),
        ("of 1 MiB", 1 << 20, TooLarge),
    ] {
        case(&format!("letters {name}"), format!("Bearer {}", "b".repeat(length)).as_bytes(), outcome);
        case(
            &format!("a good one and letters {name}"),
            format!("Bearer {good}.{}", "b".repeat(length)).as_bytes(),
            if outcome == Unknown { Refused } else { outcome },
        );
    }
    case("17 KiB of blanks before it", format!("Bearer {}{good}", " ".repeat(17 << 10)).as_bytes(), Good);
    family.fields("a blank before the colon", &[format!("Authorization : Bearer {good}")], Status(400));
    family.fields("a blank before the name", &[format!(" Authorization: Bearer {good}")], Status(400));
    family.fields("NUL in the name", &[format!("Authorization\0: Bearer {good}")], Status(400));
    family.fields("no colon", &[format!("Authorization Bearer {good}")], Status(400));
    family.fields("a name of HTTP/2", &[format!(":authorization: Bearer {good}")], Status(400));
    family
}

fn several(mint: &Mint) -> Family {
    let mut family = Family::new("several fields");
    let (good, forged, other) = (good(mint), forged(mint), mint.main(json!({ "sub": "bob" })));
    let of = |value: &str| format!("Authorization: {value}");
    let bearer = |token: &str| of(&format!("Bearer {token}"));
    for (name, fields) in [
        ("the same", [bearer(&good), bearer(&good)]),
        ("two good ones", [bearer(&good), bearer(&other)]),
        ("the good one first", [bearer(&good), bearer(&forged)]),
        ("the good one last", [bearer(&forged), bearer(&good)]),
        ("an empty one first", [of(""), bearer(&good)]),
        ("an empty one last", [bearer(&good), of("")]),
        ("another scheme first", [of("Basic YTpi"), bearer(&good)]),
        ("another scheme last", [bearer(&good), of("Basic YTpi")]),
        ("in different case", [bearer(&good), format!("aUTHORIZATION: Bearer {good}")]),
        ("two other schemes", [of("Basic YTpi"), of("Basic YTpi")]),
        ("with something in between", [format!("{}\r\nX-Between: x", bearer(&good)), bearer(&good)]),
    ] {
        family.fields(name, &fields, Refused);
    }
    family.fields("ninety", &vec![bearer("x"); 90], Refused);
    family.fields("a hundred", &vec![bearer("x"); 100], TooLarge);
    family.fields("three hundred", &vec![bearer("x"); 300], TooLarge);
    family
}

/// A good token where nobody looks for one, alone and beside one that counts.
fn elsewhere(mint: &Mint) -> Family {
    let mut family = Family::new("elsewhere");
    let (good, forged) = (good(mint), forged(mint));
    let certificate = base64(&mint.foreign.forms()[4].1);
    let fields = [
        format!("Proxy-Authorization: Bearer {good}"),
        format!("X-Authorization: Bearer {good}"),
        format!("Authorization_: Bearer {good}"),
        format!("Authorization-: Bearer {good}"),
        format!("_Authorization: Bearer {good}"),
        format!("HTTP_AUTHORIZATION: Bearer {good}"),
        format!("Authorisation: Bearer {good}"),
        format!("X-Forwarded-Authorization: Bearer {good}"),
        format!("X-Original-Authorization: Bearer {good}"),
        format!("X-Auth-Token: {good}"),
        format!("X-Access-Token: {good}"),
        format!("X-Forwarded-Access-Token: {good}"),
        format!("X-Amzn-Oidc-Data: {good}"),
        format!("X-Goog-IAP-JWT-Assertion: {good}"),
        format!("Cf-Access-Jwt-Assertion: {good}"),
        format!("Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.{}", base64(&good)),
        format!("Cookie: access_token={good}; token={good}; Authorization=Bearer {good}"),
        format!("WWW-Authenticate: Bearer {good}"),
        format!("X-HTTP-Method-Override: POST\r\nX-Authorization: Bearer {good}"),
        format!("Forwarded: for=127.0.0.1;authorization=\"Bearer {good}\""),
        "Impersonate-User: admin".into(),
        "Impersonate-User: admin\r\nImpersonate-Group: system:masters".into(),
        "Impersonate-User: admin\r\nImpersonate-Uid: 1\r\nImpersonate-Extra-Scopes: all".into(),
        "X-Remote-User: admin".into(),
        "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\nX-Remote-Extra-Scopes: all".into(),
        "X-Forwarded-User: admin\r\nX-Forwarded-Groups: system:masters\r\nX-Forwarded-Email: a@b".into(),
        "X-Auth-Request-User: admin\r\nRemote-User: admin\r\nREMOTE_USER: admin".into(),
        "X-Original-URL: /readyz\r\nX-Rewrite-URL: /readyz".into(),
        "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-Host: localhost".into(),
        format!("X-Client-Cert: {certificate}\r\nX-SSL-Client-Verify: SUCCESS"),
        "Connection: authorization".into(),
        "Connection: close, authorization, x-remote-user".into(),
        "Keep-Alive: authorization\r\nTE: trailers".into(),
    ];
    for field in fields {
        let name = field
            .replace(&good, "GOOD")
            .replace(&base64(&good), "GOOD")
            .replace(&certificate, "CERTIFICATE")
            .replace("\r\n", ", ");
        family.fields(format!("{name}, alone"), &[&field], Missing);
        family.fields(
            format!("{name}, beside a forged one"),
            &[&*format!("Authorization: Bearer {forged}"), &*field],
            Refused,
        );
        family.fields(
            format!("{name}, beside a good one"),
            &[&*field, &*format!("Authorization: Bearer {good}")],
            Good,
        );
    }
    let line = |target: &str| format!("GET {target} HTTP/1.1");
    let mut target = |name: &str, target: &str| {
        family.request(format!("target with {name}"), request(&line(target), &[""; 0]), Missing);
    };
    target("access_token", &format!("/v1/getEventMesh?access_token={good}"));
    target("bearer_token", &format!("/v1/getEventMesh?bearer_token={good}&token={good}"));
    target("Authorization", &format!("/v1/getEventMesh?Authorization=Bearer%20{good}"));
    target("a user", &format!("http://Bearer:{good}@catalog/v1/getEventMesh"));
    target("a path parameter", &format!("/v1/getEventMesh;access_token={good}"));
    target("a segment", &format!("/v1/getEventMesh/{good}"));
    let form = format!("access_token={good}");
    for (name, method) in [("GET", "GET"), ("POST", "POST"), ("PUT", "PUT")] {
        let head = request(
            &format!("{method} /v1/getEventMesh HTTP/1.1"),
            &["Content-Type: application/x-www-form-urlencoded".into(), format!("Content-Length: {}", form.len())],
        );
        family.request(format!("form of {name}"), [&head, form.as_bytes()].concat(), Missing);
    }
    let head = get(&["Transfer-Encoding: chunked", "Trailer: Authorization"]);
    let trailer = format!("1\r\nx\r\n0\r\nAuthorization: Bearer {good}\r\n\r\n");
    family.request("in a trailer", [&head, trailer.as_bytes()].concat(), Missing);
    let inner = get(&[format!("Authorization: Bearer {good}")]);
    let head = get(&[format!("Content-Length: {}", inner.len())]);
    family.request("in a request within a body", [head, inner].concat(), Missing);
    family
}

fn requests(mint: &Mint) -> Family {
    let mut family = Family::new("requests");
    let (good, forged) = (good(mint), forged(mint));
    let bearer = |token: &str| [format!("Authorization: Bearer {token}")];
    for (name, line, with_good) in [
        ("HTTP/1.0", "GET /v1/getEventMesh HTTP/1.0", Good),
        ("HEAD", "HEAD /v1/getEventMesh HTTP/1.1", Good),
        ("an absolute target", "GET http://other.example.com/v1/getEventMesh HTTP/1.1", Good),
        ("POST", "POST /v1/getEventMesh HTTP/1.1", Status(405)),
        ("DELETE", "DELETE /v1/getEventMesh HTTP/1.1", Status(405)),
        ("TRACE", "TRACE /v1/getEventMesh HTTP/1.1", Status(405)),
        ("OPTIONS", "OPTIONS /v1/getEventMesh HTTP/1.1", Status(405)),
        ("a method of nobody", "JEFF /v1/getEventMesh HTTP/1.1", Status(405)),
        ("a slash more", "GET //v1/getEventMesh HTTP/1.1", Status(404)),
        ("a slash at the end", "GET /v1/getEventMesh/ HTTP/1.1", Status(404)),
        ("dots", "GET /v1/../v1/getEventMesh HTTP/1.1", Status(404)),
        ("escapes", "GET /v1/%67etEventMesh HTTP/1.1", Status(404)),
        ("upper case", "GET /V1/GETEVENTMESH HTTP/1.1", Status(404)),
        ("a semicolon", "GET /v1/getEventMesh;.json HTTP/1.1", Status(404)),
        ("NUL in the path", "GET /v1/getEventMesh%00 HTTP/1.1", Status(404)),
    ] {
        family.request(format!("{name}, no token"), request(line, &[""; 0]), Missing);
        family.request(format!("{name}, a forged one"), request(line, &bearer(&forged)), Refused);
        family.request(format!("{name}, a good one"), request(line, &bearer(&good)), with_good);
    }
    let upgrade = |token: &str| {
        let settings =
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA";
        get(&[settings.to_owned(), format!("Authorization: Bearer {token}")])
    };
    family.request("an upgrade to HTTP/2, a good token", upgrade(&good), Good);
    family.request("an upgrade to HTTP/2, a forged token", upgrade(&forged), Refused);
    family.request("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), Closed);
    family.request("HTTP/0.9", b"GET /v1/getEventMesh\r\n\r\n".into(), Status(400));
    family.request("HTTP/3.0", request("GET /v1/getEventMesh HTTP/3.0", &bearer(&good)), Status(400));
    family.request("NUL in the method", request("GE\0T /v1/getEventMesh HTTP/1.1", &bearer(&good)), Status(400));
    family
}
