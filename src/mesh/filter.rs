//! Trigger filters: can an event of a type pass? (`semantics.md` section 4)
//!
//! A verdict is cheap and carries no text; [`Filter::explain`] computes its reason when somebody asks.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::declaration::Declaration;
use super::template::Value;
use crate::cesql::{Expression, ParseError, PartialText as _, Verdict};

/// What an event must be like to pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Everything passes.
    Everything,
    /// Cannot be read, so that nothing can be concluded.
    Unknown,
    Attribute(AttributeTest),
    /// Each must hold. Never empty.
    All(Box<[Filter]>),
    /// One must hold. Never empty.
    Any(Box<[Filter]>),
    Not(Box<Filter>),
    Sql(Arc<Sql>),
}

/// A comparison of one attribute with a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttributeTest {
    /// As [`super::declaration::attribute_name`] gives it.
    pub name: Arc<str>,
    pub test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Test {
    Present,
    Equals(Arc<str>),
    StartsWith(Arc<str>),
    EndsWith(Arc<str>),
}

/// A CESQL expression as written, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql {
    pub text: Arc<str>,
    pub parsed: Result<Expression, ParseError>,
}

impl Hash for Sql {
    /// What the text means depends on nothing else.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Filter {
    /// All of `parts`; with nothing to hold, everything passes (`semantics.md` 4.5).
    pub fn all(parts: Vec<Filter>) -> Self {
        Self::joined(parts, Self::All)
    }

    /// One of `parts`; of nothing, everything passes as well, as Knative has it (`semantics.md` 4.5).
    pub fn any(parts: Vec<Filter>) -> Self {
        Self::joined(parts, Self::Any)
    }

    fn joined(mut parts: Vec<Filter>, join: fn(Box<[Filter]>) -> Self) -> Self {
        match parts.len() {
            0 => Self::Everything,
            1 => parts.pop().unwrap_or(Self::Everything),
            _ => join(parts.into()),
        }
    }

    /// The opposite of a filter; of one that counts for nothing, everything passes (`semantics.md` 4.5).
    pub fn not(inner: Option<Filter>) -> Self {
        inner.map_or(Self::Everything, |inner| Self::Not(inner.into()))
    }

    pub fn sql(text: &str) -> Self {
        Self::Sql(Arc::new(Sql { text: text.into(), parsed: Expression::parse(text) }))
    }

    /// Whether the events that `declaration` describes pass.
    pub fn verdict(&self, declaration: &Declaration) -> Verdict {
        match self {
            Self::Everything => Verdict::Definite,
            Self::Unknown => Verdict::Possible,
            Self::Attribute(it) => it.verdict(declaration),
            Self::All(parts) => least(parts, declaration),
            Self::Any(parts) => greatest(parts, declaration),
            Self::Not(inner) => opposite(inner.verdict(declaration)),
            // An expression that does not parse cannot exclude anything (semantics.md 4.6).
            Self::Sql(sql) => sql.parsed.as_ref().map_or(Verdict::Possible, |it| it.decide(declaration)),
        }
    }

    /// Why the verdict is what it is, as a tree of reasons.
    pub fn explain(&self, declaration: &Declaration) -> Reason {
        let (says, because) = match self {
            Self::Everything => ("there is no filter".into(), vec![]),
            Self::Unknown => ("the filter cannot be read, so nothing can be concluded".into(), vec![]),
            Self::Attribute(it) => (it.reason(declaration), vec![]),
            Self::All(parts) => ("all of these must hold".into(), reasons(parts, declaration)),
            Self::Any(parts) => ("one of these must hold".into(), reasons(parts, declaration)),
            Self::Not(inner) => ("this must not hold".into(), vec![inner.explain(declaration)]),
            Self::Sql(sql) => (sql.reason(declaration), vec![]),
        };
        Reason { verdict: self.verdict(declaration), says, because }
    }

    /// The types of which an event must have one to pass, where that is plain to see: the filter never lets events of
    /// others pass.
    pub fn required_types(&self) -> Option<Vec<&str>> {
        match self {
            Self::Attribute(AttributeTest { name, test: Test::Equals(of_type) }) if &**name == "type" => {
                Some(vec![of_type])
            }
            Self::All(parts) => parts.iter().find_map(Self::required_types),
            Self::Any(parts) => Some(parts.iter().map(Self::required_types).collect::<Option<Vec<_>>>()?.concat()),
            Self::Sql(sql) => sql.parsed.as_ref().ok()?.required("type"),
            _ => None,
        }
    }

    /// The text that the filter compares an event's type with, where that is plain to see.
    pub fn wanted_type(&self) -> Option<&str> {
        match self {
            Self::Attribute(AttributeTest { name, test }) if &**name == "type" => match test {
                Test::Present => None,
                Test::Equals(text) | Test::StartsWith(text) | Test::EndsWith(text) => Some(text),
            },
            Self::All(parts) | Self::Any(parts) => parts.iter().find_map(Self::wanted_type),
            _ => None,
        }
    }

    /// The CESQL expressions in it that do not parse.
    pub fn unparsable(&self) -> Vec<(&Arc<str>, &ParseError)> {
        match self {
            Self::Sql(sql) => sql.parsed.as_ref().err().map(|error| (&sql.text, error)).into_iter().collect(),
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::unparsable).collect(),
            Self::Not(inner) => inner.unparsable(),
            Self::Everything | Self::Unknown | Self::Attribute(_) => vec![],
        }
    }
}

fn least(parts: &[Filter], declaration: &Declaration) -> Verdict {
    let mut least = Verdict::Definite;
    for part in parts {
        least = least.min(part.verdict(declaration));
        if least == Verdict::Never {
            break;
        }
    }
    least
}

fn greatest(parts: &[Filter], declaration: &Declaration) -> Verdict {
    let mut greatest = Verdict::Never;
    for part in parts {
        greatest = greatest.max(part.verdict(declaration));
        if greatest == Verdict::Definite {
            break;
        }
    }
    greatest
}

fn opposite(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Never => Verdict::Definite,
        Verdict::Possible => Verdict::Possible,
        Verdict::Definite => Verdict::Never,
    }
}

fn reasons(parts: &[Filter], declaration: &Declaration) -> Vec<Reason> {
    parts.iter().map(|part| part.explain(declaration)).collect()
}

impl AttributeTest {
    /// `semantics.md` 4.2, 4.4: an absent attribute fails every test, so without certainty nothing is definite.
    fn verdict(&self, declaration: &Declaration) -> Verdict {
        let (certain, value) = declaration.get(&self.name);
        let verdict = match &self.test {
            Test::Present => Verdict::Definite,
            Test::Equals(text) => value.equals(text),
            Test::StartsWith(text) => value.starts_with(text),
            Test::EndsWith(text) => value.ends_with(text),
        };
        if certain { verdict } else { verdict.min(Verdict::Possible) }
    }

    fn reason(&self, declaration: &Declaration) -> String {
        let (certain, value) = declaration.get(&self.name);
        let declared = match value {
            Value::Literal(text) => format!("is declared as \"{}\"", Short(text)),
            Value::Template(_) => "is declared as a template".into(),
            Value::Any => "may have any value".into(),
        };
        let presence = if certain { "" } else { " and may be absent" };
        format!("`{}` must {}; it {declared}{presence}", self.name, self.test)
    }
}

impl Sql {
    fn reason(&self, declaration: &Declaration) -> String {
        match &self.parsed {
            Ok(it) => format!("`{}` yields {}", Short(&self.text), it.outcomes(declaration)),
            Err(error) => {
                format!("`{}` does not parse ({error}), so nothing can be concluded", Short(&self.text))
            }
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("be present"),
            Self::Equals(text) => write!(f, "equal \"{}\"", Short(text)),
            Self::StartsWith(text) => write!(f, "start with \"{}\"", Short(text)),
            Self::EndsWith(text) => write!(f, "end with \"{}\"", Short(text)),
        }
    }
}

/// As much of a text as a reason quotes: one part of a filter after the other may be compared with a long one.
struct Short<'a>(&'a str);

/// In characters.
const LONGEST_QUOTE: usize = 200;

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(LONGEST_QUOTE) {
            Some((end, _)) => write!(f, "{}…", self.0.get(..end).unwrap_or_default()),
            None => f.write_str(self.0),
        }
    }
}

/// Why a filter lets the events of a type pass, perhaps, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub verdict: Verdict,
    pub says: String,
    pub because: Vec<Reason>,
}

impl fmt::Display for Reason {
    /// One line, the parts in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Never => "never",
            Verdict::Possible => "possible",
            Verdict::Definite => "definite",
        };
        write!(f, "{verdict}: {}", self.says)?;
        for (n, part) in self.because.iter().enumerate() {
            write!(f, "{}{part}", if n == 0 { " (" } else { "; " })?;
        }
        if self.because.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

#[cfg(test)]
mod tests {
    use super::super::declaration::Attribute;
    use super::*;

    fn declared(pairs: &[(&str, bool, &str)]) -> Declaration {
        Declaration::new(pairs.iter().map(|(name, certain, value)| Attribute {
            name: (*name).into(),
            certain: *certain,
            value: Value::parse(value),
        }))
    }

    fn test(name: &str, test: Test) -> Filter {
        Filter::Attribute(AttributeTest { name: name.into(), test })
    }

    #[test]
    fn the_table_of_semantics_4_2() {
        use Verdict::{Definite, Never, Possible};
        let declaration = declared(&[("type", true, "a.b.c"), ("source", true, "/x/{id}/y"), ("zone", false, "eu")]);
        let equals = |text: &str| Test::Equals(text.into());
        let starts = |text: &str| Test::StartsWith(text.into());
        let ends = |text: &str| Test::EndsWith(text.into());
        let cases = [
            ("type", equals("a.b.c"), Definite),
            ("type", equals("a.b"), Never),
            ("type", starts("a."), Definite),
            ("type", starts("b"), Never),
            ("type", ends(".c"), Definite),
            ("type", ends("b"), Never),
            ("source", equals("/x/1/y"), Possible),
            ("source", equals("/x/y"), Never),
            ("source", starts("/x/"), Definite),
            ("source", starts("/x/1"), Possible),
            ("source", starts("/z"), Never),
            ("source", ends("/y"), Definite),
            ("source", ends("1/y"), Possible),
            ("source", ends("z"), Never),
            ("id", equals("1"), Possible),
            ("id", Test::Present, Definite),
            ("zone", equals("eu"), Possible),
            ("zone", equals("us"), Never),
            ("zone", Test::Present, Possible),
            ("other", equals("x"), Possible),
            ("other", Test::Present, Possible),
        ];
        for (name, how, expected) in cases {
            let filter = test(name, how);
            assert_eq!(filter.verdict(&declaration), expected, "{}", filter.explain(&declaration));
        }
    }

    #[test]
    fn a_reason_quotes_no_more_than_is_read() {
        let long = "ä".repeat(LONGEST_QUOTE + 1);
        let reason = test("type", Test::Equals(long.as_str().into())).explain(&declared(&[("type", true, &long)]));
        let quoted = format!("\"{}…\"", "ä".repeat(LONGEST_QUOTE));
        assert_eq!(reason.says, format!("`type` must equal {quoted}; it is declared as {quoted}"));
    }

    #[test]
    fn a_reason_names_what_is_compared() {
        let declaration = declared(&[("type", true, "a.b")]);
        let filter = Filter::any(vec![
            test("type", Test::Equals("a.c".into())),
            Filter::not(Some(test("type", Test::StartsWith("a".into())))),
        ]);
        expect_test::expect![[r#"never: one of these must hold (never: `type` must equal "a.c"; it is declared as "a.b"; never: this must not hold (definite: `type` must start with "a"; it is declared as "a.b"))"#]]
        .assert_eq(&filter.explain(&declaration).to_string());
    }
}
