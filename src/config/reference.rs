//! All keys of a configuration, as a page for people and a schema for programs. Both are made from the flags.

use std::fmt::Write as _;

use clap::{Arg, CommandFactory as _};
use serde_json::{Map, Value, json};

use super::file::AUTHENTICATION;
use super::layers::{Form, arguments};
use super::{Cli, range_of};

const ISSUERS: &str = "Issuers of tokens beside the cluster: the table `jwt` of an `AuthenticationConfiguration` as for API \
                       servers. Only in the file; `--authentication-config` names a file of its own";

/// The JSON Schema of a configuration file.
pub fn schema() -> Value {
    let command = Cli::command();
    let mut properties: Map<_, _> =
        arguments(&command).filter_map(|arg| Some((arg.get_long()?.to_owned(), property(arg)))).collect();
    let issuers = json!({
        "type": "object",
        "description": ISSUERS,
        "properties": { "jwt": { "type": "array", "items": { "type": "object" } } },
        "required": ["jwt"],
        "additionalProperties": false,
    });
    properties.insert(AUTHENTICATION.into(), issuers);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "eventmesh-catalog",
        "description": "What `eventmesh-catalog serve --config FILE` reads.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn property(arg: &Arg) -> Value {
    let mut property = match Form::of(arg) {
        Form::Switch => json!({ "type": "boolean" }),
        Form::Number => {
            let range = range_of(arg).unwrap_or(0..=u64::MAX);
            json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
        }
        Form::Text => json!({ "type": "string" }),
        Form::Table => json!({ "type": "object" }),
        Form::List => {
            let text = json!({ "type": "string" });
            json!({ "anyOf": [text, { "type": "array", "items": text, "minItems": 1 }] })
        }
    };
    let values: Vec<_> = values_of(arg);
    if let Some(property) = property.as_object_mut() {
        property.insert("description".into(), help(arg).into());
        if !values.is_empty() && Form::of(arg) == Form::Text {
            property.insert("enum".into(), values.into());
        }
    }
    property
}

/// The page about all keys.
pub fn page() -> String {
    let mut page = String::from(PREFACE);
    let command = Cli::command();
    for arg in arguments(&command) {
        let key = arg.get_long().unwrap_or_default();
        let values = values_of(arg);
        let what = match Form::of(arg) {
            Form::Switch => "`true`, `false`".to_owned(),
            Form::Text if !values.is_empty() => {
                values.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
            }
            _ => arg.get_value_names().and_then(|it| it.first()).map(|it| it.to_lowercase()).unwrap_or_default(),
        };
        let default = arg.get_default_values().first().map(|it| format!("`{}`", it.to_string_lossy()));
        let variable = arg.get_env().unwrap_or_default().to_string_lossy();
        let _ = writeln!(
            page,
            "| `{key}` | `{variable}` | {what} | {} | {} |",
            default.unwrap_or_default(),
            help(arg).replace('|', "\\|")
        );
    }
    let _ = writeln!(page, "| `{AUTHENTICATION}` | | table | | {} |", ISSUERS.replace('|', "\\|"));
    page
}

const PREFACE: &str = "# Configuration

<!-- Made by `eventmesh-catalog config reference`; do not edit. -->

`eventmesh-catalog serve` is configured by a file of YAML (`--config FILE`), by the environment, and by flags. Flags count for
more than the environment, and that for more than the file. A key of the file is the name of a flag without the dashes:

```yaml
listen: 0.0.0.0:8080
max-staleness: 30m
strict-audience: true
```

Keys that do not exist, values that cannot be, and keys that contradict each other are refused, with their line and what to
write instead. `config check` says whether `serve` could start (whether the cluster can be read, `doctor` says), `config show` what it would
start with and where each value comes from, and `config schema` is the JSON Schema of the file for editors. Paths are relative to the folder in which it runs. A switch
that is on in the file is turned off by `--KEY=false`.

The tokens file and the files of TLS are read again when they change; the configuration itself, and the file of issuers, are
read at the start.

| key, and flag after `--` | environment | value | default | what |
| --- | --- | --- | --- | --- |
";

fn help(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn values_of(arg: &Arg) -> Vec<String> {
    arg.get_possible_values().iter().map(|it| it.get_name().to_owned()).collect()
}
