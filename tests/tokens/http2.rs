//! The same over HTTP/2, where fields are lists of bytes: names that are none, and tokens in pieces.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::World;
use super::support::tls::{
    CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, HEADERS, HTTP2, INITIAL_WINDOW_SIZE, RST_STREAM, connect, frame,
    next_frame, preface,
};

/// The largest frame that a server has to take.
const MAX_FRAME: usize = 16 << 10;
/// The status of what is not answered, because it is no request.
const RESET: u16 = 0;

type Fields = Vec<(String, Vec<u8>)>;

/// Checks all of them, and says how many there were.
pub async fn check(world: &World) -> usize {
    let cases = cases(world);
    let client = world.authority.client(&[HTTP2]);
    let mut failures = vec![];
    for (name, parts, expected) in &cases {
        let before = world.reviews();
        let mut stream = connect(&world.encrypted.address, &client).await.unwrap();
        let frames: Vec<_> = (0..).zip(parts).flat_map(|(n, it)| frames(&block(it), n + 1 == parts.len())).collect();
        // What is not read on is answered before.
        let _ = stream.write_all(&[preface(INITIAL_WINDOW_SIZE, 65_535), frames].concat()).await;
        let status = loop {
            match next_frame(&mut stream).await {
                Some((HEADERS, block)) => break status(&block),
                Some((RST_STREAM | GOAWAY, _)) | None => break RESET,
                Some(_) => (),
            }
        };
        if (status, world.reviews()) != (*expected, before) {
            failures.push(format!("{name}: {status} instead of {expected}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
    cases.len()
}

/// Fields, trailers where there are any, and the status.
fn cases(world: &World) -> Vec<(String, Vec<Fields>, u16)> {
    let mint = &world.mint;
    let good = mint.main(json!({}));
    let forged = mint.foreign.finish("RS256", &mint.message("RS256", &mint.rsa));
    let (bearer, forged) = (format!("Bearer {good}"), format!("Bearer {forged}"));
    let pseudo: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "https"), (":path", "/v1/getEventMesh"), (":authority", "catalog")];
    let fields = |fields: &[(&str, &[u8])]| -> Fields {
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect()
    };
    let whole = |more: &[(&str, &[u8])]| -> Fields {
        let pseudo = pseudo.map(|(name, value)| (name, value.as_bytes()));
        fields(&[&pseudo[..], more].concat())
    };
    let (good, bad) = (bearer.as_bytes(), forged.as_bytes());
    let around = |before: &[u8], after: &[u8]| [before, good, after].concat();
    let mut cases: Vec<(String, Vec<Fields>, u16)> = vec![];
    let mut case = |name: &str, fields: Fields, status: u16| cases.push((name.into(), vec![fields], status));
    case("a good token", whole(&[("authorization", good)]), 200);
    case("a forged token", whole(&[("authorization", bad)]), 401);
    case("no token", whole(&[]), 401);
    case("the same twice", whole(&[("authorization", good), ("authorization", good)]), 401);
    case("the good one first", whole(&[("authorization", good), ("authorization", bad)]), 401);
    case("the good one last", whole(&[("authorization", bad), ("authorization", good)]), 401);
    case("an empty one", whole(&[("authorization", b"")]), 401);
    case("an empty one first", whole(&[("authorization", b""), ("authorization", good)]), 401);
    case("a blank before it", whole(&[("authorization", &around(b" ", b""))]), 401);
    case("a blank after it", whole(&[("authorization", &around(b"", b" "))]), 200);
    case("a tab after it", whole(&[("authorization", &around(b"", b"\t"))]), 401);
    case("bytes beyond ASCII", whole(&[("authorization", &around(b"", b"\xff"))]), 401);
    for (name, byte) in [("NUL", 0_u8), ("LF", 10), ("CR", 13), ("ESC", 27), ("DEL", 127)] {
        case(&format!("{name} after it"), whole(&[("authorization", &around(b"", &[byte]))]), RESET);
        case(&format!("{name} before it"), whole(&[("authorization", &around(&[byte], b""))]), RESET);
    }
    let folded = around(b"Basic x\r\nauthorization: ", b"");
    case("a field within a field", whole(&[("x-other", &folded)]), RESET);
    for name in [
        "Authorization",
        "AUTHORIZATION",
        ":authorization",
        "authorization ",
        " authorization",
        "authorization:",
        "authorization\0",
        "",
    ] {
        case(&format!("the name {name:?}"), whole(&[(name, good)]), RESET);
    }
    for name in [
        "proxy-authorization",
        "x-authorization",
        "authorization_",
        "x-forwarded-authorization",
        "cookie",
        "host",
        "x-auth-token",
    ] {
        case(&format!("in {name} only"), whole(&[(name, good)]), 401);
    }
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        case(&format!("beside {name}"), whole(&[("authorization", good), (name, b"authorization")]), RESET);
    }
    for name in ["impersonate-user", "x-remote-user", "x-remote-group", "x-forwarded-user", "x-original-url"] {
        case(&format!("{name} alone"), whole(&[(name, b"system:masters")]), 401);
        case(&format!("{name} beside a forged one"), whole(&[(name, b"system:masters"), ("authorization", bad)]), 401);
        case(&format!("{name} beside a good one"), whole(&[(name, b"system:masters"), ("authorization", good)]), 200);
    }
    let path = format!("/v1/getEventMesh?access_token={}", &bearer[7..]);
    let authority = format!("Bearer:{}@catalog", &bearer[7..]);
    let other = |name: &str, value: &[u8]| -> Fields {
        whole(&[]).into_iter().map(|(of, old)| if of == name { (of, value.to_vec()) } else { (of, old) }).collect()
    };
    case("in the path", other(":path", path.as_bytes()), 401);
    case("in the authority", other(":authority", authority.as_bytes()), 401);
    case("in the method", other(":method", good), RESET);
    case("a path with LF", other(":path", b"/v1/getEventMesh\nauthorization: x"), RESET);
    case("no path", whole(&[("authorization", good)]).into_iter().filter(|(it, _)| it != ":path").collect(), RESET);
    case("two paths", whole(&[(":path", b"/v1/getEventMesh"), ("authorization", good)]), RESET);
    case("two authorities", whole(&[(":authority", b"other"), ("authorization", good)]), RESET);
    case("a status", whole(&[(":status", b"200"), ("authorization", good)]), RESET);
    let late = [fields(&[("authorization", good)]), whole(&[])].concat();
    case("what is not a field last", late, RESET);
    case("16 KiB too long", whole(&[("authorization", &around(b"", &[b'x'; MAX_FRAME]))]), 401);
    case("33 KiB", whole(&[("authorization", &around(b"", &vec![b'x'; 33 << 10]))]), 431);
    case("1 MiB", whole(&[("authorization", &around(b"", &vec![b'x'; 1 << 20]))]), RESET);
    cases.push(("in trailers".into(), vec![whole(&[]), fields(&[("authorization", good)])], 401));
    cases.push((
        "forged, with a good one in trailers".into(),
        vec![whole(&[("authorization", bad)]), fields(&[("authorization", good)])],
        401,
    ));
    cases
}

/// Fields as they are (RFC 7541, 6.2.2).
fn block(fields: &Fields) -> Vec<u8> {
    let text = |bytes: &[u8]| [length(bytes.len()), bytes.to_vec()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name.as_bytes()), text(value)].concat()).collect()
}

/// RFC 7541, 5.1, with seven bits.
fn length(n: usize) -> Vec<u8> {
    let Some(mut rest) = n.checked_sub(127) else { return vec![u8::try_from(n).unwrap()] };
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// In as many frames as it takes.
fn frames(block: &[u8], is_last: bool) -> Vec<u8> {
    let count = block.len().div_ceil(MAX_FRAME);
    let frames = block.chunks(MAX_FRAME).enumerate().map(|(n, part)| {
        let (kind, end) = if n == 0 { (HEADERS, u8::from(is_last) * END_STREAM) } else { (CONTINUATION, 0) };
        frame(kind, end | if n + 1 == count { END_HEADERS } else { 0 }, 1, part)
    });
    frames.collect::<Vec<_>>().concat()
}

/// The status, which is the first field of an answer (RFC 7541, appendices A and B).
fn status(block: &[u8]) -> u16 {
    match block {
        [0x88, ..] => 200,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x48 | 0x08, 3, digits @ ..] => std::str::from_utf8(&digits[..3]).unwrap().parse().unwrap(),
        [0x48 | 0x08, length @ (0x80..=0xff), packed @ ..] => {
            let packed = &packed[..usize::from(length & 0x7f)];
            let mut bits = packed.iter().flat_map(|byte| (0..8).rev().map(move |n| u16::from(byte >> n & 1)));
            let mut take = |n: usize| bits.by_ref().take(n).fold(0, |all, bit| all << 1 | bit);
            (0..3).fold(0, |all, _| {
                let digit = match take(5) {
                    short @ 0..=2 => short,
                    long => (long << 1 | take(1)) - 0b01_1001 + 3,
                };
                all * 10 + digit
            })
        }
        _ => panic!("an answer begins with {:x?}", &block[..block.len().min(8)]),
    }
}
