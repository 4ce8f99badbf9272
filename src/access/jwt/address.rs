//! Where an issuer is asked: a server, and a path there. Pure.

use std::net::IpAddr;

use http::Uri;

/// An address that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Scheme, host and port.
    pub origin: String,
    /// Path and query.
    pub path: String,
}

/// Why an address is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("it is not an address such as `https://issuer.example.com`")]
    Malformed,
    #[error("it has to begin with `https://`; only for hosts such as `localhost` also with `http://`")]
    Insecure,
    #[error("it must not name a user or a fragment")]
    Excess,
}

impl Address {
    /// # Errors
    /// When it is none, or nobody could be sure who answers there.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let uri: Uri = text.parse().map_err(|_| AddressError::Malformed)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(AddressError::Malformed);
        };
        if authority.host().is_empty() {
            return Err(AddressError::Malformed);
        }
        if text.contains('#') || authority.as_str().contains('@') {
            return Err(AddressError::Excess);
        }
        match scheme {
            "https" => (),
            "http" if is_loopback(authority.host()) => (),
            _ => return Err(AddressError::Insecure),
        }
        let path = uri.path_and_query().map_or("/", |it| it.as_str());
        Ok(Self { origin: format!("{scheme}://{authority}"), path: path.to_owned() })
    }

    /// Where an issuer says what it is (`OpenID` Connect Discovery 1.0, 4).
    ///
    /// # Errors
    /// When the issuer's name is not an address.
    pub fn of_discovery(issuer: &str) -> Result<Self, AddressError> {
        if issuer.contains('?') {
            return Err(AddressError::Excess);
        }
        Self::parse(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || ip.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_are_certain_are_asked() {
        let cases = [
            ("https://a.example.com", Ok(("https://a.example.com", "/"))),
            ("https://a.example.com:8443/x/y?z=1", Ok(("https://a.example.com:8443", "/x/y?z=1"))),
            ("http://localhost:80/x", Ok(("http://localhost:80", "/x"))),
            ("http://127.0.0.2/x", Ok(("http://127.0.0.2", "/x"))),
            ("http://[::1]:9/x", Ok(("http://[::1]:9", "/x"))),
            ("http://a.example.com", Err(AddressError::Insecure)),
            ("http://localhost.example.com", Err(AddressError::Insecure)),
            ("http://10.0.0.1", Err(AddressError::Insecure)),
            ("ftp://localhost", Err(AddressError::Insecure)),
            ("https://ann@a.example.com", Err(AddressError::Excess)),
            ("https://a.example.com/#x", Err(AddressError::Excess)),
            ("a.example.com", Err(AddressError::Malformed)),
            ("/x", Err(AddressError::Malformed)),
            ("https://", Err(AddressError::Malformed)),
            ("https:///x", Err(AddressError::Malformed)),
            ("", Err(AddressError::Malformed)),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(origin, path)| Address { origin: origin.into(), path: path.into() });
            assert_eq!(Address::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn discovery_is_below_the_issuer() {
        for issuer in ["https://a.example.com/b", "https://a.example.com/b/"] {
            assert_eq!(Address::of_discovery(issuer).unwrap().path, "/b/.well-known/openid-configuration");
        }
        assert_eq!(Address::of_discovery("https://a.example.com?b"), Err(AddressError::Excess));
    }
}
