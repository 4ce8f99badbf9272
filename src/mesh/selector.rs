//! Label selectors in the grammar of Kubernetes, and what a query selects.
//!
//! The grammar is that of `k8s.io/apimachinery/pkg/labels`: requirements joined by commas, each one of `key`, `!key`,
//! `key = value`, `key == value`, `key != value`, `key in (a, b)`, `key notin (a, b)`.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::ops::Bound::Included;
use std::str::FromStr;

use super::object::{ObjectRef, Pairs};

/// Which items of the four lists an answer shows; empty selects all.
///
/// Selecting is about items, never about relations: what a selected item says of others (`reference`, `sink`,
/// `providedEventTypes`, `consumedBy`) stays as it is, whether or not those are selected. See `docs/selection.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selection {
    pub labels: LabelSelector,
    /// Empty: all namespaces.
    pub namespaces: BTreeSet<String>,
}

impl Selection {
    pub fn is_everything(&self) -> bool {
        self.labels.0.is_empty() && self.namespaces.is_empty()
    }

    /// How long it is as written, in bytes, about.
    pub fn written_len(&self) -> usize {
        self.labels.to_string().len() + self.namespaces.iter().map(String::len).sum::<usize>()
    }

    pub fn selects(&self, key: &ObjectRef, labels: &Pairs) -> bool {
        (self.namespaces.is_empty() || self.namespaces.contains(&*key.namespace)) && self.labels.matches(labels)
    }

    /// Whether objects from one to another that have no other labels than these can be among what is selected.
    pub fn may_select(&self, from: &ObjectRef, to: &ObjectRef, labels: &LabelSet) -> bool {
        let within = || {
            let between = (Included(&*from.namespace), Included(&*to.namespace));
            self.namespaces.range::<str, _>(between).next().is_some()
        };
        self.labels.may_match(labels) && (self.namespaces.is_empty() || within())
    }
}

/// The labels of many objects, about: of some that none has it is not known that none has them. In a fixed room (it is a
/// Bloom filter), so that it takes no time to see that nothing of a shard is selected, which is so of most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelSet([u64; 4]);

impl LabelSet {
    pub fn of<'a>(objects: impl Iterator<Item = &'a Pairs>) -> Self {
        let mut set = Self::default();
        for (name, value) in objects.flat_map(Pairs::iter) {
            for (word, bit) in [Self::place(name), Self::place((name, value))] {
                if let Some(word) = set.0.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        set
    }

    fn may_have(&self, label: impl Hash) -> bool {
        let (word, bit) = Self::place(label);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(label: impl Hash) -> (usize, u64) {
        let mut hasher = DefaultHasher::new();
        label.hash(&mut hasher);
        let [word, bit, ..] = hasher.finish().to_le_bytes();
        (usize::from(word % 4), 1 << (bit % 64))
    }
}

/// Requirements that must all hold; none selects everything. Sorted, each once: selectors that differ only in the order
/// in which they were written are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Requirement {
    key: String,
    is: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Operator {
    Exists,
    Absent,
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
}

impl LabelSelector {
    pub fn matches(&self, labels: &Pairs) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.is {
                Operator::Exists => value.is_some(),
                Operator::Absent => value.is_none(),
                Operator::In(values) => value.is_some_and(|value| values.contains(&**value)),
                // A label that is not there is not one of the values either, as in Kubernetes.
                Operator::NotIn(values) => !value.is_some_and(|value| values.contains(&**value)),
            }
        })
    }

    fn may_match(&self, labels: &LabelSet) -> bool {
        self.0.iter().all(|Requirement { key, is }| match is {
            Operator::Exists => labels.may_have(key.as_str()),
            Operator::In(values) => values.iter().any(|value| labels.may_have((key.as_str(), value.as_str()))),
            Operator::Absent | Operator::NotIn(_) => true,
        })
    }
}

/// A label selector that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("label selector: {problem} at character {column}")]
pub struct SelectorError {
    problem: String,
    /// Counted from 1.
    column: usize,
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { text, at: 0 };
        let mut requirements = vec![];
        if parser.peek().is_some() {
            requirements.push(parser.requirement()?);
            while parser.take(",") {
                requirements.push(parser.requirement()?);
            }
        }
        requirements.sort();
        requirements.dedup();
        match parser.peek() {
            None => Ok(Self(requirements)),
            Some(c) => Err(parser.error(format!("expected a comma or the end, found `{c}`"))),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        for (n, Requirement { key, is }) in self.0.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { "," })?;
            match is {
                Operator::Exists => f.write_str(key),
                Operator::Absent => write!(f, "!{key}"),
                Operator::In(values) => write!(f, "{key} in ({})", list(values)),
                Operator::NotIn(values) => write!(f, "{key} notin ({})", list(values)),
            }?;
        }
        Ok(())
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Always at a character's beginning.
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn peek(&mut self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// A run of the characters that names and values are made of, perhaps empty.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        let word = rest.get(..rest.find(|c| !is_word(c)).unwrap_or(rest.len())).unwrap_or_default();
        self.at += word.len();
        word
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let absent = self.take("!");
        let key = self.key()?;
        let is = if absent { Operator::Absent } else { self.operator()? };
        Ok(Requirement { key, is })
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        if self.take("!=") {
            return Ok(Operator::NotIn([self.value()?].into()));
        }
        if self.take("==") || self.take("=") {
            return Ok(Operator::In([self.value()?].into()));
        }
        let start = self.at;
        match self.word() {
            "in" => Ok(Operator::In(self.values()?)),
            "notin" => Ok(Operator::NotIn(self.values()?)),
            "" => Ok(Operator::Exists),
            other => {
                self.at = start;
                Err(self.error(format!("expected an operator (=, ==, !=, in, notin), found `{other}`")))
            }
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, SelectorError> {
        if !self.take("(") {
            return Err(self.error("expected `(` and a list of values".into()));
        }
        let mut values = BTreeSet::from([self.value()?]);
        while self.take(",") {
            values.insert(self.value()?);
        }
        if self.take(")") { Ok(values) } else { Err(self.error("expected `,` or `)`".into())) }
    }

    /// A qualified name: an optional DNS prefix and a slash, then at most 63 characters.
    fn key(&mut self) -> Result<String, SelectorError> {
        let start = (self.rest(), self.at).1;
        let key = self.word();
        let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
        let good_prefix = prefix.is_none_or(|prefix| !prefix.is_empty() && prefix.len() <= 253 && is_plain(prefix));
        if !name.is_empty() && is_label_text(name) && good_prefix {
            return Ok(key.into());
        }
        self.at = start;
        Err(self.error(if key.is_empty() {
            "expected a label key".into()
        } else {
            format!("`{key}` is not a label key")
        }))
    }

    /// A label value: empty, or at most 63 characters.
    fn value(&mut self) -> Result<String, SelectorError> {
        let start = (self.rest(), self.at).1;
        let value = self.word();
        if is_label_text(value) {
            return Ok(value.into());
        }
        self.at = start;
        Err(self.error(format!("`{value}` is not a label value")))
    }

    fn error(&self, problem: String) -> SelectorError {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        SelectorError { problem, column: before.chars().count() + 1 }
    }
}

/// At most 63 characters, letters and digits at both ends, `-`, `_` and `.` between. Empty will do.
fn is_label_text(text: &str) -> bool {
    let ends_well = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63 && !text.contains('/') && ends_well(text.chars().next()) && ends_well(text.chars().next_back())
}

/// The characters of a DNS subdomain.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::GroupKind;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let selector: LabelSelector = selector.parse().unwrap();
        assert_eq!(selector.to_string().parse(), Ok(selector.clone()), "parse after display of {selector}");
        let labels: Pairs = labels.iter().copied().collect();
        let matches = selector.matches(&labels);
        assert!(!matches || selector.may_match(&LabelSet::of([&labels].into_iter())), "{selector}");
        matches
    }

    #[test]
    fn what_cannot_be_selected_is_known_from_the_labels_of_many() {
        let objects: [Pairs; 2] =
            [[("team", "orders")].into_iter().collect(), [("tier", "gold")].into_iter().collect()];
        let labels = LabelSet::of(objects.iter());
        let selection = |labels: &str, namespaces: &[&str]| Selection {
            labels: labels.parse().unwrap(),
            namespaces: namespaces.iter().map(ToString::to_string).collect(),
        };
        for (selector, namespaces, expected) in [
            ("", &[] as &[&str], true),
            ("team=orders,tier", &[], true),
            ("!team,tier!=gold,absent!=a", &[], true),
            ("team=invoices", &[], false),
            ("tier=orders", &[], false),
            ("team,absent", &[], false),
            ("tier in (gold,silver)", &["c"], true),
            ("", &["a", "b"], true),
            ("", &["d"], true),
            ("", &["a", "e"], false),
        ] {
            let [from, to] = ["b", "d"].map(|it| ObjectRef::new(GroupKind::new("", "Service"), it, "a"));
            let may = selection(selector, namespaces).may_select(&from, &to, &labels);
            assert_eq!(may, expected, "{selector} in {namespaces:?}");
        }
    }

    #[test]
    fn requirements_hold_as_in_kubernetes() {
        let labels = [("team", "orders"), ("example.com/tier", "gold"), ("empty", "")];
        let cases = [
            ("", true),
            ("team", true),
            ("!team", false),
            ("absent", false),
            (" ! absent ", true),
            ("team=orders", true),
            ("team==orders", true),
            ("team = orders , example.com/tier in (gold,silver)", true),
            ("team!=orders", false),
            ("absent!=orders", true),
            ("absent notin (a, b)", true),
            ("team notin (a,orders)", false),
            ("empty=", true),
            ("empty in (,x)", true),
            ("in=x", false),
        ];
        for (selector, expected) in cases {
            assert_eq!(matches(selector, &labels), expected, "{selector}");
        }
    }

    #[test]
    fn what_does_not_parse_is_named_with_its_place() {
        let cases = [
            ("=a", "label selector: expected a label key at character 1"),
            ("a b", "label selector: expected an operator (=, ==, !=, in, notin), found `b` at character 3"),
            ("a in b", "label selector: expected `(` and a list of values at character 6"),
            ("a in (b", "label selector: expected `,` or `)` at character 8"),
            ("a,,b", "label selector: expected a label key at character 3"),
            ("a=b c", "label selector: expected a comma or the end, found `c` at character 5"),
            ("a=-b", "label selector: `-b` is not a label value at character 3"),
            ("UP/a", "label selector: `UP/a` is not a label key at character 1"),
        ];
        for (selector, expected) in cases {
            assert_eq!(selector.parse::<LabelSelector>().unwrap_err().to_string(), expected);
        }
    }
}
