//! The configuration file: what flags say, by the names of the flags.
//!
//! What must stay true: whatever is refused is told with its line and what to write instead, and nothing that is in the
//! file is passed over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;

use super::ConfigError;

/// The one key that is a table, and no flag: issuers of tokens, as the file of `--authentication-config` lists them.
pub const AUTHENTICATION: &str = "authentication";
/// A file is read whole.
const MAX_BYTES: u64 = 1 << 20;

/// What a file says, by the names of flags.
#[derive(Debug)]
pub struct File {
    pub path: PathBuf,
    pub entries: BTreeMap<String, Entry>,
    pub authentication: Option<Issuers>,
}

/// What it says of issuers.
#[derive(Debug, Clone)]
pub struct Issuers {
    /// Where.
    pub path: PathBuf,
    pub line: u64,
    /// The table, as JSON.
    pub table: String,
    /// The text of an `AuthenticationConfiguration` that says the same.
    pub text: String,
}

/// What it says of one key.
#[derive(Debug)]
pub struct Entry {
    pub line: u64,
    pub said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Switch(bool),
    Number(u64),
    Text(String),
    List(Vec<String>),
}

impl Said {
    /// As a command line says it.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Switch(on) => vec![on.to_string()],
            Self::Number(number) => vec![number.to_string()],
            Self::Text(text) => vec![text.clone()],
            Self::List(items) => items.clone(),
        }
    }
}

impl File {
    /// # Errors
    /// When it cannot be read, or says what is none of these.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        let mut options = serde_saphyr::Options::default();
        options.with_snippet = false;
        options.strict_booleans = true;
        let keys: Option<BTreeMap<String, Spanned<Value>>> = serde_saphyr::from_str_with_options(&text, options)
            .map_err(|error| {
                let line = error.location().map_or(1, |it| it.line());
                ConfigError::new(
                    format!("{}:{line}: {}.", path.display(), error.without_snippet()),
                    "Write one `key: value` a line, as `eventmesh-catalog config show` does.",
                )
            })?;
        let mut file = Self { path: path.into(), entries: BTreeMap::new(), authentication: None };
        for (key, value) in keys.unwrap_or_default() {
            let line = value.referenced.line();
            if key == AUTHENTICATION {
                file.authentication = Some(file.issuers(line, value.value)?);
            } else {
                let said = file.said(&key, line, value.value)?;
                file.entries.insert(key, Entry { line, said });
            }
        }
        Ok(file)
    }

    /// An error about one of its keys.
    pub fn error(&self, key: &str, line: u64, what: impl std::fmt::Display, remedy: &str) -> ConfigError {
        ConfigError::new(format!("{}:{line}: {key}: {what}.", self.path.display()), remedy)
    }

    fn said(&self, key: &str, line: u64, value: Value) -> Result<Said, ConfigError> {
        match value {
            Value::Bool(on) => Ok(Said::Switch(on)),
            Value::String(text) => Ok(Said::Text(text)),
            Value::Number(number) => number.as_u64().map(Said::Number).ok_or_else(|| {
                self.error(
                    key,
                    line,
                    format!("{number} is no number from 0 on"),
                    "Give a whole number, without a sign.",
                )
            }),
            Value::Array(items) => items
                .into_iter()
                .map(text)
                .collect::<Option<_>>()
                .map(Said::List)
                .ok_or_else(|| self.error(key, line, "an item of the list is no text", "Put items into quotes.")),
            Value::Null => Err(self.error(key, line, "there is no value", "Give one, or leave the key out.")),
            Value::Object(_) => Err(self.error(
                key,
                line,
                "it is a table",
                "Give the value of the flag; only `authentication` is a table.",
            )),
        }
    }

    fn issuers(&self, line: u64, value: Value) -> Result<Issuers, ConfigError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            jwt: Vec<Map<String, Value>>,
        }
        let table = value.to_string();
        let Table { jwt } = serde_json::from_value(value).map_err(|error| {
            self.error(AUTHENTICATION, line, error, "Give `jwt`, the list of issuers, and nothing else.")
        })?;
        let whole = json!({
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": jwt,
        });
        Ok(Issuers { path: self.path.clone(), line, table, text: whole.to_string() })
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason: &dyn std::fmt::Display| {
        ConfigError::new(
            format!("--config {}: {reason}.", path.display()),
            "Name a file of YAML that is there, that this may read, and that only its owner may write.",
        )
    };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(unreadable(&"it is no file"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(unreadable(&format!("it is larger than {MAX_BYTES} bytes")));
    }
    if is_open_to_all(&metadata) {
        return Err(unreadable(&"everybody may write it"));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(&error))
}

/// Whether everybody may write it, so that nobody knows who has.
#[cfg(unix)]
pub fn is_open_to_all(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o002 != 0
}
