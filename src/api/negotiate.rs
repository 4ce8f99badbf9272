//! What a client accepts (RFC 9110, section 12.5) and what it already has (section 13.1.2).

use axum::http::{HeaderMap, HeaderValue, header};

/// The forms that a body comes in, most welcome first where a client does not care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    Zstd,
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
    pub const ALL: [Self; 4] = [Self::Zstd, Self::Brotli, Self::Gzip, Self::Identity];

    /// As in `Accept-Encoding` and `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    /// What tells the entity tags of one content in several encodings apart.
    pub fn tag_suffix(self) -> &'static str {
        match self {
            Self::Zstd => "-zstd",
            Self::Brotli => "-br",
            Self::Gzip => "-gzip",
            Self::Identity => "",
        }
    }

    /// The best encoding that the client accepts, if it accepts any that there is.
    pub fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(header::ACCEPT_ENCODING);
        if lines.iter().next().is_none() {
            return Some(Self::Identity);
        }
        // As they are named, then that of all others. Of what is named twice, the first counts.
        let mut weights = [None; Self::ALL.len() + 1];
        lines.iter().flat_map(elements).map(weighted).for_each(|(name, weight)| {
            let known = Self::ALL.iter().map(|it| it.name()).chain(["*"]);
            let named = known.zip(&mut weights).find(|(it, _)| it.as_bytes().eq_ignore_ascii_case(name));
            if let Some((_, slot)) = named {
                slot.get_or_insert(weight);
            }
        });
        let [zstd, brotli, gzip, identity, others] = weights;
        let weight = |encoding: Self| {
            let own = match encoding {
                Self::Zstd => zstd,
                Self::Brotli => brotli,
                Self::Gzip => gzip,
                Self::Identity => identity,
            };
            match own.or(others) {
                Some(weight) => weight,
                // Identity is always acceptable unless refused; it is what is sent when nothing else is wanted.
                None if encoding == Self::Identity => 1,
                None => 0,
            }
        };
        let best = Self::ALL.into_iter().rev().max_by_key(|encoding| weight(*encoding))?;
        (weight(best) > 0).then_some(best)
    }
}

/// Whether the client takes JSON.
pub fn accepts_json(headers: &HeaderMap) -> bool {
    let by_specificity = ["*/*", "application/*", "application/json"];
    let lines = headers.get_all(header::ACCEPT);
    // Nearly all say nothing else.
    if lines.iter().all(|line| by_specificity.iter().any(|it| line == it)) {
        return true;
    }
    // The most specific range that matches decides.
    let specificity = |range: &[u8]| by_specificity.iter().position(|it| it.as_bytes().eq_ignore_ascii_case(range));
    let accepted = lines.iter().flat_map(elements).map(weighted);
    let matching = accepted.filter_map(|(range, weight)| Some((specificity(range)?, weight)));
    matching.max_by_key(|(specificity, _)| *specificity).is_some_and(|(_, weight)| weight > 0)
}

/// Whether `If-None-Match` names the content `tag` (without quotes and suffix), weakly and in whatever encoding.
pub fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    let is_named = |known: &[u8]| {
        let opaque = known.strip_prefix(b"W/").unwrap_or(known);
        let opaque = opaque.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\""));
        let suffix = opaque.and_then(|it| it.strip_prefix(tag.as_bytes()));
        known == b"*"
            || suffix.is_some_and(|suffix| Encoding::ALL.iter().any(|it| it.tag_suffix().as_bytes() == suffix))
    };
    // Nearly all name one, and as they got it.
    headers.get_all(header::IF_NONE_MATCH).iter().any(|it| is_named(it.as_bytes()) || elements(it).any(is_named))
}

/// The elements of one line of a list header.
///
/// None of the lists read here has commas within its elements: entity tags of ours do not, and those of others match
/// nothing either way. All that is looked for is ASCII, so that bytes do.
fn elements(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let elements = line.as_bytes().split(|it| *it == b',').map(<[u8]>::trim_ascii);
    elements.filter(|it| !it.is_empty())
}

/// An element and its weight in thousandths, 1000 where it has none.
fn weighted(element: &[u8]) -> (&[u8], u16) {
    let Some(end) = element.iter().position(|it| *it == b';') else { return (element, 1000) };
    let (what, parameters) = element.split_at(end);
    let mut parameters = parameters.split(|it| *it == b';').map(<[u8]>::trim_ascii);
    let weight = parameters.find_map(|it| it.strip_prefix(b"q=").or_else(|| it.strip_prefix(b"Q=")));
    (what.trim_ascii(), weight.map_or(1000, thousandths))
}

/// A weight such as `0.5`; what is not one counts as nothing.
fn thousandths(weight: &[u8]) -> u16 {
    let weight = str::from_utf8(weight).unwrap_or_default();
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = format!("{fraction:0<3}");
    match (whole, digits.parse::<u16>()) {
        ("1", Ok(0)) => 1000,
        ("0", Ok(thousandths)) if digits.len() == 3 => thousandths,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &header::HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn the_best_accepted_encoding() {
        use Encoding::{Brotli, Gzip, Identity, Zstd};
        let cases: [(&[&str], Option<Encoding>); 14] = [
            (&[], Some(Identity)),
            (&[""], Some(Identity)),
            (&["gzip"], Some(Gzip)),
            (&["gzip, br"], Some(Brotli)),
            (&["gzip", "zstd"], Some(Zstd)),
            (&["GZIP;q=0.5, br;q=0.4"], Some(Gzip)),
            (&["*"], Some(Zstd)),
            (&["zstd;q=0, *"], Some(Brotli)),
            (&["deflate"], Some(Identity)),
            (&["identity"], Some(Identity)),
            (&["identity;q=0"], None),
            (&["*;q=0"], None),
            (&["gzip;q=0"], Some(Identity)),
            (&["br;q=abc"], Some(Identity)),
        ];
        for (lines, expected) in cases {
            assert_eq!(Encoding::negotiate(&headers(&header::ACCEPT_ENCODING, lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn json_or_not() {
        let cases = [
            ("*/*", true),
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/html, application/*;q=0.1", true),
            ("text/html", false),
            ("application/json;q=0, */*", false),
        ];
        for (line, expected) in cases {
            assert_eq!(accepts_json(&headers(&header::ACCEPT, &[line])), expected, "{line}");
        }
        assert!(accepts_json(&HeaderMap::new()));
    }

    #[test]
    fn tags_match_weakly_and_in_any_encoding() {
        let cases: [(&[&str], bool); 9] = [
            (&["\"abc\""], true),
            (&["W/\"abc\""], true),
            (&["\"abc-gzip\""], true),
            (&["\"x\", W/\"abc-zstd\""], true),
            (&["\"x\"", "\"abc-br\""], true),
            (&["*"], true),
            (&["\"abcd\""], false),
            (&["abc"], false),
            (&["\"abc-lzw\""], false),
        ];
        for (lines, expected) in cases {
            assert_eq!(has_already(&headers(&header::IF_NONE_MATCH, lines), "abc"), expected, "{lines:?}");
        }
        assert!(!has_already(&HeaderMap::new(), "abc"));
    }
}
