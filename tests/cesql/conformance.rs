//! The conformance cases of the specification, `cesql-tck`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use eventmesh_catalog::cesql::{ErrorKind, Expression, Value};
use serde::Deserialize;

use super::Concrete;

#[derive(Deserialize)]
struct Suite {
    tests: Vec<Case>,
}

/// `expression` is a `String`, which keeps the text of an unquoted scalar: `TRUE`, `-10`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    expression: String,
    result: Option<serde_json::Value>,
    error: Option<String>,
    event: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    event_overrides: BTreeMap<String, serde_json::Value>,
}

/// `NOT 10` must be false: the case expects a cast error, against section 3.7. See `cesql-tck/PROVENANCE.md`.
const CONTRADICTS_THE_SPECIFICATION: &str = "Invalid int cast";

#[test]
fn conformance() {
    let Some(folder) = crate::support::test_data("cesql-tck") else {
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    let mut cases = 0;
    for file in files {
        let suite: Suite = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        for case in &suite.tests {
            conforms(case);
            cases += 1;
        }
    }
    println!("{cases} conformance cases");
    assert_eq!(cases, 275);
}

fn conforms(case: &Case) {
    let Case { name, expression, error, .. } = case;
    let evaluated = Expression::parse(expression).map(|parsed| parsed.evaluate(&case.event()));
    let actual = match &evaluated {
        Err(_) => (None, Some("parse")),
        Ok(Ok(value)) => (Some(value), None),
        Ok(Err(failure)) => (Some(&failure.value), Some(error_name(failure.error))),
    };
    if name == CONTRADICTS_THE_SPECIFICATION {
        assert_eq!(actual, (Some(&Value::Boolean(false)), None), "{expression}");
        return;
    }
    assert_eq!(actual.1, error.as_deref(), "{name}: {expression}");
    if let (Some(actual), Some(expected)) = (actual.0, &case.result) {
        assert_eq!(*actual, value(expected), "{name}: {expression}");
    }
}

impl Case {
    fn event(&self) -> Concrete {
        let required = ["specversion", "id", "source", "type"];
        let valid = || required.map(|name| (name.to_owned(), name.into())).into();
        let mut attributes = self.event.clone().unwrap_or_else(valid);
        attributes.extend(self.event_overrides.clone());
        Concrete(attributes.into_iter().map(|(name, json)| (name, value(&json))).collect())
    }
}

fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Bool(boolean) => Value::Boolean(*boolean),
        serde_json::Value::Number(number) => Value::Integer(number.as_i64().unwrap().try_into().unwrap()),
        serde_json::Value::String(text) => Value::String(text.clone()),
        other => panic!("no CESQL value: {other}"),
    }
}

fn error_name(error: ErrorKind) -> &'static str {
    match error {
        ErrorKind::Math => "math",
        ErrorKind::Cast => "cast",
        ErrorKind::MissingFunction => "missingFunction",
        ErrorKind::FunctionEvaluation => "functionEvaluation",
        ErrorKind::MissingAttribute => "missingAttribute",
        ErrorKind::Generic => "generic",
    }
}
