//! `config`: what `serve` is configured with.

use anyhow::Context as _;

use super::server::tls::Tls;
use super::{opened_tokens, print};
use crate::config::{ConfigCommand, ConfigError, Form, Setting, Source, reference};

pub fn run(command: ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check(args) => {
            let serve = args.checked()?;
            serve.tls.map(Tls::open).transpose().map_err(ConfigError::from)?;
            opened_tokens(&serve.authenticator)?;
            print("`serve` could start with this configuration.\n")
        }
        ConfigCommand::Show(args) => {
            let shown: String = args.settings.iter().map(line).collect();
            args.checked()?;
            print(&shown)
        }
        ConfigCommand::Schema => {
            let schema = serde_json::to_string_pretty(&reference::schema()).context("The schema cannot be written")?;
            print(&format!("{schema}\n"))
        }
        ConfigCommand::Reference => print(&reference::page()),
    }
}

/// A line of a configuration file. What is configured holds no secrets, only the names of the files that do.
fn line(setting: &Setting) -> String {
    let source = match &setting.source {
        Source::Flag => format!("flag --{}", setting.key),
        Source::Environment(variable) => format!("environment {variable}"),
        Source::File(path, line) => format!("{}:{line}", path.display()),
        Source::Default => "default".into(),
    };
    let value = match (setting.form, setting.values.as_slice()) {
        (_, []) => return format!("# {}: not given\n", setting.key),
        (Form::Switch | Form::Number | Form::Table, [only]) => only.clone(),
        (_, [only]) if is_plain(only) => only.clone(),
        (_, [only]) => quoted(only),
        (_, several) => format!("[{}]", several.iter().map(quoted).collect::<Vec<_>>().join(", ")),
    };
    format!("{}: {value} # {source}\n", setting.key)
}

/// JSON is YAML, but for control characters that JSON bears with.
fn quoted(text: impl AsRef<str>) -> String {
    let json = serde_json::Value::from(text.as_ref()).to_string();
    json.chars().map(|it| if it.is_control() { format!("\\u{:04x}", u32::from(it)) } else { it.into() }).collect()
}

/// Whether YAML takes it for a text without quotes, whichever version of YAML that is.
fn is_plain(text: &str) -> bool {
    let is_word = text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_./".contains(&it));
    let begins = text.bytes().next().is_some_and(|it| it.is_ascii_alphabetic() || it == b'/');
    let is_said_otherwise = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    is_word && begins && !is_said_otherwise.contains(&&*text.to_lowercase())
}
