//! Reading the fields of an object that may have anything in them: what has the wrong type is noted and passed over
//! (`semantics.md` 7.6).

use std::borrow::Cow;
use std::cell::RefCell;

use serde_json::Value;

use crate::mesh::resource::Flaw;

/// A field with something in it; `null` counts as nothing.
#[derive(Clone)]
pub struct Field<'a> {
    value: &'a Value,
    path: String,
    flaws: &'a RefCell<Vec<Flaw>>,
}

impl<'a> Field<'a> {
    /// A whole object. What is wrong with its fields is put into `flaws`.
    pub fn root(value: &'a Value, flaws: &'a RefCell<Vec<Flaw>>) -> Self {
        Self { value, path: String::new(), flaws }
    }

    /// The same field, with what is wrong put elsewhere.
    pub fn reporting_to<'b>(&self, flaws: &'b RefCell<Vec<Flaw>>) -> Field<'b>
    where
        'a: 'b,
    {
        Field { value: self.value, path: self.path.clone(), flaws }
    }

    /// Notes that something is wrong with the field.
    pub fn flawed(&self, problem: impl Into<Box<str>>) {
        self.flaws.borrow_mut().push(Flaw { field: self.path.as_str().into(), problem: problem.into() });
    }

    pub fn get(&self, name: &str) -> Option<Self> {
        let value = match self.value {
            Value::Object(fields) => fields.get(name)?,
            other => {
                self.flawed(format!("expected an object, found {}", what(other)));
                return None;
            }
        };
        self.child(value, || if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) })
    }

    /// The field at the end of a way through objects.
    pub fn at(&self, names: &[&str]) -> Option<Self> {
        names.iter().try_fold(self.clone(), |field, name| field.get(name))
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
            Value::Array(items) => {
                let item = |(n, value)| self.child(value, || format!("{}[{n}]", self.path));
                items.iter().enumerate().filter_map(item).collect()
            }
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
                let entry = |(name, value): (&'a String, _)| {
                    Some((name.as_str(), self.child(value, || format!("{}.{name}", self.path))?))
                };
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

    fn child(&self, value: &'a Value, path: impl FnOnce() -> String) -> Option<Self> {
        (!value.is_null()).then(|| Self { value, path: path(), flaws: self.flaws })
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
