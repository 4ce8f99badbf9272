//! Reading the fields of an object that may have anything in them: what has the wrong type is noted and passed over
//! (`semantics.md` 7.6).

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::Value;

use crate::mesh::resource::Flaw;

/// What is wrong with the fields of an object. Hardly ever is anything, so fields do not know their paths: those of the
/// flawed ones are looked up in the end.
#[derive(Default)]
pub struct Findings(RefCell<Vec<(*const Value, Box<str>)>>);

impl Findings {
    /// As flaws of the object in which they were found, in the order in which they were found.
    pub fn flaws(self, object: &Value) -> Vec<Flaw> {
        let found = self.0.into_inner();
        let mut paths: HashMap<_, _> = found.iter().map(|(field, _)| (*field, String::new())).collect();
        if !paths.is_empty() {
            find(object, &mut String::new(), &mut paths);
        }
        let path = |field| paths.get(&field).map(|it| it.as_str().into()).unwrap_or_default();
        found.into_iter().map(|(field, problem)| Flaw { field: path(field), problem }).collect()
    }
}

/// Fills in the paths of the fields in a value, which is at a path itself.
fn find(value: &Value, path: &mut String, paths: &mut HashMap<*const Value, String>) {
    if let Some(wanted) = paths.get_mut(&std::ptr::from_ref(value)) {
        wanted.clone_from(path);
    }
    let length = path.len();
    let mut step_into = |step: &str, child: &Value| {
        path.push_str(step);
        find(child, path, paths);
        path.truncate(length);
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| step_into(&format!("[{n}]"), item)),
        Value::Object(fields) => {
            let dot = if length == 0 { "" } else { "." };
            fields.iter().for_each(|(name, field)| step_into(&format!("{dot}{name}"), field));
        }
        _ => {}
    }
}

/// A field with something in it; `null` counts as nothing.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    value: &'a Value,
    findings: &'a Findings,
}

impl<'a> Field<'a> {
    /// A whole object. What is wrong with its fields is put into `findings`.
    pub fn root(value: &'a Value, findings: &'a Findings) -> Self {
        Self { value, findings }
    }

    /// The same field, with what is wrong put elsewhere.
    pub fn reporting_to<'b>(&self, findings: &'b Findings) -> Field<'b>
    where
        'a: 'b,
    {
        Field { value: self.value, findings }
    }

    /// Notes that something is wrong with the field.
    pub fn flawed(&self, problem: impl Into<Box<str>>) {
        self.findings.0.borrow_mut().push((std::ptr::from_ref(self.value), problem.into()));
    }

    pub fn get(&self, name: &str) -> Option<Self> {
        let value = match self.value {
            Value::Object(fields) => fields.get(name)?,
            other => {
                self.flawed(format!("expected an object, found {}", what(other)));
                return None;
            }
        };
        self.child(value)
    }

    /// The field at the end of a way through objects.
    pub fn at(&self, names: &[&str]) -> Option<Self> {
        names.iter().try_fold(*self, |field, name| field.get(name))
    }

    /// The field `spec`, without which an object has not much to say.
    pub fn spec(&self) -> Option<Self> {
        let spec = self.get("spec");
        if spec.is_none() {
            self.flawed("the object has no spec");
        }
        spec
    }

    /// The items of a list; of anything else none.
    pub fn items(&self) -> Vec<Self> {
        match self.value {
            Value::Array(items) => items.iter().filter_map(|it| self.child(it)).collect(),
            other => {
                self.flawed(format!("expected a list, found {}", what(other)));
                vec![]
            }
        }
    }

    /// The names and fields of an object; of anything else none.
    pub fn entries(&self) -> Vec<(&'a str, Self)> {
        match self.value {
            Value::Object(fields) => {
                let entry = |(name, value): (&'a String, _)| Some((name.as_str(), self.child(value)?));
                fields.iter().filter_map(entry).collect()
            }
            other => {
                self.flawed(format!("expected an object, found {}", what(other)));
                vec![]
            }
        }
    }

    /// A text. A number or a boolean, as YAML makes of a text without quotes, is read as it would be written.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self.value {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Number(_) | Value::Bool(_) => {
                self.flawed(format!("expected a string, found {}; put it in quotes", what(self.value)));
                Some(Cow::Owned(self.value.to_string()))
            }
            other => {
                self.flawed(format!("expected a string, found {}", what(other)));
                None
            }
        }
    }

    /// The text of a field of this one, when not empty.
    pub fn filled(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name)?.text().filter(|text| !text.is_empty())
    }

    pub fn is_true(&self) -> bool {
        match self.value {
            Value::Bool(it) => *it,
            other => {
                self.flawed(format!("expected true or false, found {}", what(other)));
                false
            }
        }
    }

    pub fn is_object(&self) -> bool {
        self.value.is_object()
    }

    fn child(&self, value: &'a Value) -> Option<Self> {
        (!value.is_null()).then_some(Self { value, findings: self.findings })
    }
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_flaw_names_its_field() {
        let object = json!({ "spec": { "list": [[], { "a.b": [1, { "c": true }] }] }, "twin": { "c": true } });
        let findings = Findings::default();
        let root = Field::root(&object, &findings);
        let list = root.at(&["spec", "list"]).expect("it is there").items();
        let inner = list[1].entries()[0].1.items();
        inner[1].get("c").expect("it is there").flawed("first");
        root.flawed("second");
        list[0].flawed("third");
        inner[0].flawed("fourth");
        inner[0].flawed("fifth");
        let flaws = findings.flaws(&object);
        let told: Vec<_> = flaws.iter().map(|it| format!("{}: {}", it.field, it.problem)).collect();
        let expected = [
            "spec.list[1].a.b[1].c: first",
            ": second",
            "spec.list[0]: third",
            "spec.list[1].a.b[0]: fourth",
            "spec.list[1].a.b[0]: fifth",
        ];
        assert_eq!(told, expected);
    }
}
