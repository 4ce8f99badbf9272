//! Single events, and what a filter says of one: what verdicts must never contradict.
//!
//! Read from documents, not from what the converter makes of them: a filter or a declaration that is misread shows.

use std::collections::BTreeMap;

use eventmesh_catalog::cesql::{self, Expression, Verdict};
use serde_json::Value;

/// A small generator of random numbers (`SplitMix64`): the same seed, the same events.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).expect("31 bits") % end
    }

    pub fn one_of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// The attributes of one event, by the names that they are compared under.
#[derive(Debug, Clone, PartialEq)]
pub struct Event(pub BTreeMap<String, cesql::Value>);

impl cesql::Event for Event {
    fn attribute(&self, name: &str) -> Option<cesql::Value> {
        self.0.get(&compared(name)).cloned()
    }
}

/// The name under which an attribute is compared (4.1).
fn compared(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "schemaurl" | "schemadata" => "dataschema".into(),
        lower => lower.into(),
    }
}

/// What a declared value allows.
#[derive(Debug, Clone, PartialEq)]
pub enum Declared {
    Any,
    Literal(String),
    /// The fixed texts around the variables.
    Template(Vec<String>),
}

/// Presence and value of the attributes that an event type declares (4.1).
pub type Declaration = BTreeMap<String, (bool, Declared)>;

pub fn declaration(event_type: &Value) -> Declaration {
    let spec = &event_type["spec"];
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let mut declaration = Declaration::new();
    if text(&event_type["apiVersion"]).ends_with("v1beta3") {
        for attribute in spec["attributes"].as_array().into_iter().flatten() {
            let required = attribute["required"] == true;
            declaration.insert(compared(&text(&attribute["name"])), (required, declared(&text(&attribute["value"]))));
        }
    } else {
        let mut source = text(&spec["source"]);
        for (escaped, brace) in [("%7B", "{"), ("%7b", "{"), ("%7D", "}"), ("%7d", "}")] {
            source = source.replace(escaped, brace);
        }
        let schema = text(&spec["schema"]);
        declaration.insert("type".into(), (true, declared(&text(&spec["type"]))));
        declaration.insert("source".into(), (true, declared(&source)));
        let schema = if schema.is_empty() { Declared::Any } else { Declared::Literal(schema) };
        declaration.insert("dataschema".into(), (false, schema));
    }
    for name in ["type", "source", "id", "specversion"] {
        declaration.entry(name.into()).or_insert((true, Declared::Any)).0 = true;
    }
    declaration
}

fn declared(text: &str) -> Declared {
    if text.is_empty() {
        return Declared::Any;
    }
    // Escaped braces stand aside while the others are paired.
    let aside = text.replace(r"\{", "\u{1}").replace(r"\}", "\u{2}");
    let back = |text: &str| text.replace('\u{1}', "{").replace('\u{2}', "}");
    let mut pieces = vec![];
    let mut rest = &*aside;
    while let Some((fixed, after)) = rest.split_once('{') {
        match after.split_once('}') {
            Some((name, after)) if !fixed.contains('}') && !name.contains('{') => {
                pieces.push(back(fixed));
                rest = after;
            }
            _ => return Declared::Literal(text.into()),
        }
    }
    if rest.contains('}') {
        return Declared::Literal(text.into());
    }
    pieces.push(back(rest));
    if pieces.len() == 1 { Declared::Literal(pieces.remove(0)) } else { Declared::Template(pieces) }
}

/// One of the events that an event type describes.
pub fn sample(declaration: &Declaration, dice: &mut Dice) -> Event {
    let mut event = BTreeMap::new();
    let undeclared = ["subject", "zone", "n", "dataschema"].map(|it| (it.to_owned(), (false, Declared::Any)));
    let mut all: Declaration = undeclared.into();
    all.extend(declaration.clone());
    for (name, (certain, value)) in all {
        if certain || dice.below(3) > 0 {
            let is_text = !["zone", "n"].contains(&&*name);
            event.insert(name, value_of(&value, is_text, dice));
        }
    }
    Event(event)
}

fn value_of(declared: &Declared, is_text: bool, dice: &mut Dice) -> cesql::Value {
    match declared {
        Declared::Any if !is_text && dice.below(2) == 0 => match dice.below(3) {
            0 => cesql::Value::Boolean(dice.below(2) == 0),
            1 => cesql::Value::Integer(i32::try_from(dice.below(8)).expect("small") - 1),
            _ => cesql::Value::String(dice.one_of(&["true", "FALSE", "5", "-1"]).into()),
        },
        Declared::Any => cesql::Value::String(any_text(dice)),
        Declared::Literal(text) => cesql::Value::String(text.clone()),
        Declared::Template(pieces) => {
            let mut text = pieces[0].clone();
            for piece in &pieces[1..] {
                text += &any_text(dice);
                text += piece;
            }
            cesql::Value::String(text)
        }
    }
}

/// One or more characters, often those that filters ask for.
fn any_text(dice: &mut Dice) -> String {
    if dice.below(2) == 0 {
        return dice.one_of(&super::meshes::TEXTS).into();
    }
    (0..=dice.below(4)).map(|_| dice.one_of(&["a", "b", "c", ".", "/", "5", "{", "ü"])).collect()
}

/// Whether an event passes what a trigger's spec asks for, as Knative has it; `None` where nobody knows, because an
/// expression does not parse.
pub fn passes(spec: &Value, event: &Event) -> Option<bool> {
    let asks = Asks {
        present: &|name| Some(event.0.contains_key(name)),
        compare: &|name, how, text| {
            let value = event.0.get(name).map(ToString::to_string);
            Some(value.is_some_and(|it| how.holds(&it, text)))
        },
        sql: &|sql| {
            let expression = Expression::parse(sql).ok()?;
            Some(expression.evaluate(event) == Ok(cesql::Value::Boolean(true)))
        },
        all: &|parts| match (parts.contains(&Some(false)), parts.contains(&None)) {
            (true, _) => Some(false),
            (false, true) => None,
            _ => Some(true),
        },
        any: &|parts| match (parts.contains(&Some(true)), parts.contains(&None)) {
            (true, _) => Some(true),
            (false, true) => None,
            _ => Some(false),
        },
        not: &|part| part.map(|it| !it),
        anything: Some(true),
    };
    asks.spec(spec)
}

/// The verdict by the rules of 4.2 to 4.5. What CESQL says is given.
pub fn verdict(spec: &Value, declaration: &Declaration, sql: &dyn Fn(&str) -> Verdict) -> Verdict {
    let get = |name: &str| declaration.get(name).cloned().unwrap_or((false, Declared::Any));
    let limit = |certain: bool, verdict: Verdict| if certain { verdict } else { verdict.min(Verdict::Possible) };
    let asks = Asks {
        present: &|name| limit(get(name).0, Verdict::Definite),
        compare: &|name, how, text| {
            let (certain, value) = get(name);
            limit(certain, how.verdict(&value, text))
        },
        sql,
        all: &|parts| parts.iter().copied().min().expect("not empty"),
        any: &|parts| parts.iter().copied().max().expect("not empty"),
        not: &|part| match part {
            Verdict::Never => Verdict::Definite,
            Verdict::Possible => Verdict::Possible,
            Verdict::Definite => Verdict::Never,
        },
        anything: Verdict::Definite,
    };
    asks.spec(spec)
}

#[derive(Debug, Clone, Copy)]
pub enum How {
    Equals,
    StartsWith,
    EndsWith,
}

impl How {
    fn holds(self, value: &str, text: &str) -> bool {
        match self {
            Self::Equals => value == text,
            Self::StartsWith => value.starts_with(text),
            Self::EndsWith => value.ends_with(text),
        }
    }

    /// The table of 4.2.
    fn verdict(self, value: &Declared, text: &str) -> Verdict {
        let certainly = |it| if it { Verdict::Definite } else { Verdict::Never };
        let perhaps = |it| if it { Verdict::Possible } else { Verdict::Never };
        match value {
            Declared::Any => Verdict::Possible,
            Declared::Literal(literal) => certainly(self.holds(literal, text)),
            Declared::Template(pieces) => {
                let (head, tail) = (&pieces[0], &pieces[pieces.len() - 1]);
                match self {
                    Self::Equals => {
                        perhaps(text.strip_prefix(&**head).is_some_and(|rest| produces(&pieces[1..], rest)))
                    }
                    Self::StartsWith => certainly(head.starts_with(text)).max(perhaps(text.starts_with(&**head))),
                    Self::EndsWith => certainly(tail.ends_with(text)).max(perhaps(text.ends_with(&**tail))),
                }
            }
        }
    }
}

/// Whether `text` is a variable, then the first piece, then a variable and so on: every way is tried.
fn produces(pieces: &[String], text: &str) -> bool {
    let [piece, others @ ..] = pieces else { return text.is_empty() };
    let variables = text.char_indices().map(|(at, c)| at + c.len_utf8());
    variables.into_iter().any(|end| text[end..].strip_prefix(&**piece).is_some_and(|rest| produces(others, rest)))
}

/// How the dialects of filters go together (4.3 to 4.5), whatever the single tests and their results are.
struct Asks<'a, R> {
    present: &'a dyn Fn(&str) -> R,
    compare: &'a dyn Fn(&str, How, &str) -> R,
    sql: &'a dyn Fn(&str) -> R,
    all: &'a dyn Fn(&[R]) -> R,
    any: &'a dyn Fn(&[R]) -> R,
    not: &'a dyn Fn(R) -> R,
    anything: R,
}

impl<R: Copy> Asks<'_, R> {
    fn spec(&self, spec: &Value) -> R {
        match spec["filters"].as_array() {
            Some(elements) if !elements.is_empty() => self.join(self.all, elements),
            _ => {
                let entries = spec["filter"]["attributes"].as_object().into_iter().flatten();
                let entry = |(name, text): (&String, &Value)| match text.as_str().expect("a text") {
                    "" => (self.present)(&compared(name)),
                    text => (self.compare)(&compared(name), How::Equals, text),
                };
                let all: Vec<R> = entries.map(entry).collect();
                if all.is_empty() { self.anything } else { (self.all)(&all) }
            }
        }
    }

    fn join(&self, join: &dyn Fn(&[R]) -> R, elements: &[Value]) -> R {
        let parts: Vec<R> = elements.iter().filter_map(|it| self.element(it)).collect();
        if parts.is_empty() { self.anything } else { join(&parts) }
    }

    /// `None` for an element that is skipped.
    fn element(&self, element: &Value) -> Option<R> {
        for (dialect, how) in [("exact", How::Equals), ("prefix", How::StartsWith), ("suffix", How::EndsWith)] {
            if let Some(entries) = element[dialect].as_object().filter(|it| !it.is_empty()) {
                let texts = entries.iter().map(|(name, text)| (name, text.as_str().expect("a text")));
                let texts: Vec<_> = texts.collect();
                let usable = texts.iter().all(|(name, text)| !name.is_empty() && !text.is_empty());
                let parts: Vec<R> =
                    texts.iter().map(|(name, text)| (self.compare)(&compared(name), how, text)).collect();
                return usable.then(|| (self.all)(&parts));
            }
        }
        for (dialect, join) in [("all", self.all), ("any", self.any)] {
            if let Some(elements) = element[dialect].as_array().filter(|it| !it.is_empty()) {
                return Some(self.join(join, elements));
            }
        }
        if element["not"].is_object() {
            return Some(self.element(&element["not"]).map_or(self.anything, |it| (self.not)(it)));
        }
        element["cesql"].as_str().filter(|it| !it.is_empty()).map(|it| (self.sql)(it))
    }
}
