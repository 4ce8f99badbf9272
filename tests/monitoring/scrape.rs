//! What a service tells when it is scraped, in the classic text format.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of a scrape.
#[derive(Debug, Default)]
pub struct Scrape {
    /// Which labels the samples of each name have, and with which values.
    pub labels: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// All series, without their values.
    pub series: BTreeSet<String>,
}

impl Scrape {
    pub fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines().filter(|it| !it.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(scrape.series.insert(series.to_owned()), "{series} is there twice");
            let (name, labels) =
                series.split_once('{').map_or((series, ""), |(name, rest)| (name, &rest[..rest.len() - 1]));
            let known = scrape.labels.entry(name.to_owned()).or_default();
            for (label, value) in pairs(labels) {
                known.entry(label).or_default().insert(value);
            }
        }
        scrape
    }

    /// How many series there are of a name.
    pub fn count(&self, name: &str) -> usize {
        self.series.iter().filter(|it| it.split('{').next() == Some(name)).count()
    }
}

/// `a="b",c="d"`; no value here has a quote in it.
fn pairs(labels: &str) -> Vec<(String, String)> {
    let pair = |it: &str| {
        let (label, value) = it.split_once("=\"").unwrap_or_else(|| panic!("{labels}"));
        (label.to_owned(), value.to_owned())
    };
    labels.strip_suffix('"').unwrap_or_default().split("\",").filter(|it| !it.is_empty()).map(pair).collect()
}

#[test]
fn series_are_taken_apart() {
    let scrape =
        Scrape::parse("# TYPE a gauge\na 1\nb_bucket{le=\"+Inf\",x=\"a, b\"} 2\nb_bucket{le=\"0.1\",x=\"\"} 0.5\n");
    assert_eq!((scrape.count("a"), scrape.count("b_bucket"), scrape.count("b")), (1, 2, 0));
    let values: Vec<_> = scrape.labels["b_bucket"]["x"].iter().map(String::as_str).collect();
    assert_eq!(values, ["", "a, b"]);
    assert!(scrape.labels["b_bucket"]["le"].contains("+Inf"));
}
