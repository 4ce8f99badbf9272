//! `Authorization` headers: whatever comes, a token is taken only from one header, of the right scheme and form.
#![no_main]

use axum::http::{HeaderMap, HeaderValue, header};
use eventmesh_catalog::api::caller::bearer_token;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for value in data.split(|it| *it == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(header::AUTHORIZATION, value);
        }
    }
    if bearer_token(&headers).is_ok() {
        let values: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
        let [value] = values[..] else { panic!("a token of {} headers", values.len()) };
        let text = value.to_str().expect("visible characters");
        let (scheme, token) = text.split_once(' ').expect("a scheme and a token");
        assert!(scheme.eq_ignore_ascii_case("bearer"));
        assert!(!token.trim_matches(' ').contains([' ', ',', '"', '\t']));
    }
});
