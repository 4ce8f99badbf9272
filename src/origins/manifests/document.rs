//! From the text of a file to the objects in it. Pure.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Options;
use crate::mesh::Resource;
use crate::origins::kubernetes::kinds::is_cluster_scoped;
use crate::origins::kubernetes::reference::group_of;

/// The name space of the uids that are made up for objects without one (RFC 9562, version 5).
const UIDS: Uuid = Uuid::from_u128(0x6576_656e_746d_5573_8068_6361_7461_6c67);
/// How deep a document may be nested. An object of Kubernetes is a few dozen levels deep at the most.
const MAX_DEPTH: usize = 100;

/// How much may be written by aliases, in scalars and brackets. Hardly a manifest has any.
const MAX_ALIASED: usize = 50_000;

/// An object and where in its file it begins.
#[derive(Debug, Clone)]
pub struct Document {
    pub resource: Arc<Resource>,
    /// Counted from 1.
    pub line: usize,
}

/// What is in a file.
#[derive(Debug, Default)]
pub struct Parsed {
    pub documents: Vec<Document>,
    /// Documents that are not objects: their lines and why.
    pub skipped: Vec<(usize, String)>,
}

/// Why a file does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct DocumentError {
    /// Counted from 1.
    pub line: usize,
    pub reason: String,
}

/// Reads all documents of a file: JSON where the name says so, else YAML.
///
/// # Errors
/// When any of the documents does not parse: half a file is not what anybody wrote.
pub fn parse(path: &Path, text: &str, options: &Options) -> Result<Parsed, DocumentError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_json = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("json"));
    let values = if is_json { json_values(text)? } else { yaml_values(text)? };
    let mut parsed = Parsed::default();
    for (line, value) in values {
        for object in flattened(value) {
            parsed.add(line, object, options);
        }
    }
    Ok(parsed)
}

impl Parsed {
    fn add(&mut self, line: usize, mut object: Value, options: &Options) {
        complete(&mut object, &options.default_namespace);
        match options.converter.convert(&object) {
            Ok(resource) => self.documents.push(Document { resource: Arc::new(resource), line }),
            Err(rejection) => self.skipped.push((line, rejection.to_string())),
        }
    }
}

/// The items of a list, or the object itself. A list is an object whose kind ends so and that has items. Those of a
/// list of one kind need not say what they are.
fn flattened(mut value: Value) -> Vec<Value> {
    let of = |it: &Value, name| it.get(name).and_then(Value::as_str).map(str::to_owned);
    let list_kind = of(&value, "kind");
    let Some(item_kind) = list_kind.as_deref().and_then(|it| it.strip_suffix("List")) else { return vec![value] };
    let version = of(&value, "apiVersion");
    let Some(items) = value.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take) else {
        return vec![value];
    };
    let named = |mut item: Value| {
        if let (Some(fields), Some(version)) = (item.as_object_mut(), &version)
            && !item_kind.is_empty()
        {
            fields.entry("apiVersion").or_insert_with(|| json!(version));
            fields.entry("kind").or_insert_with(|| json!(item_kind));
        }
        item
    };
    items.into_iter().map(named).flat_map(flattened).collect()
}

/// Gives an object what the API server would: a namespace, if its kind has them, and a uid.
fn complete(object: &mut Value, default_namespace: &str) {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let group = group_of(&text(object.get("apiVersion"))).to_owned();
    let kind = text(object.get("kind"));
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if is_cluster_scoped(&group, &kind) {
        metadata.remove("namespace");
    } else if text(metadata.get("namespace")).is_empty() {
        metadata.insert("namespace".into(), json!(default_namespace));
    }
    if text(metadata.get("uid")).is_empty() {
        let key = [group, kind, text(metadata.get("namespace")), text(metadata.get("name"))].join("/");
        metadata.insert("uid".into(), json!(Uuid::new_v5(&UIDS, key.as_bytes()).to_string()));
    }
}

fn json_values(text: &str) -> Result<Vec<(usize, Value)>, DocumentError> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter();
    let mut values = vec![];
    let mut at = 0;
    let mut line = 1;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start().len();
        line += lines_in(text, at, at + blank);
        match stream.next() {
            None => return Ok(values),
            Some(Ok(value)) => values.push((line, value)),
            Some(Err(error)) => return Err(DocumentError { line: error.line(), reason: error.to_string() }),
        }
        line += lines_in(text, at + blank, stream.byte_offset());
        at = stream.byte_offset();
    }
}

fn lines_in(text: &str, from: usize, to: usize) -> usize {
    text.get(from..to).unwrap_or_default().matches('\n').count()
}

/// Documents are separated by lines that begin with `---`, as the tools of Kubernetes do it.
fn yaml_values(text: &str) -> Result<Vec<(usize, Value)>, DocumentError> {
    let mut values = vec![];
    let mut begin = 0;
    let mut lines_before = 0;
    for end in separators(text) {
        let document = text.get(begin..end).unwrap_or_default();
        if let Some(first) = document.lines().position(has_content) {
            let value = yaml_value(document).or_else(|_| in_place(document, lines_before))?;
            if !value.is_null() {
                values.push((lines_before + first + 1, value));
            }
        }
        lines_before += document.matches('\n').count();
        begin = end;
    }
    Ok(values)
}

/// Where documents end: before each separator, and at the end of the text.
fn separators(text: &str) -> impl Iterator<Item = usize> {
    let is_separator = |at: &usize| {
        let after = text.get(at + 3..).and_then(|rest| rest.chars().next());
        after.is_none_or(char::is_whitespace)
    };
    let inner = text.match_indices("\n---").map(|(at, _)| at + 1).filter(is_separator);
    inner.chain([text.len()])
}

fn has_content(line: &str) -> bool {
    let line = line.trim();
    !(line.is_empty() || line.starts_with('#') || line == "---" || line.starts_with('%'))
}

/// Reads a document that does not parse once more, where it stands in its file, so that the reason names that place.
fn in_place(document: &str, lines_before: usize) -> Result<Value, DocumentError> {
    yaml_value(&("\n".repeat(lines_before) + document))
}

fn yaml_value(document: &str) -> Result<Value, DocumentError> {
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    // Only `true` and `false` are booleans: `y` is a prefix that somebody filters by.
    options.strict_booleans = true;
    options.emit_comments = false;
    if let Some(budget) = &mut options.budget {
        budget.max_depth = MAX_DEPTH;
        budget.max_recorded_anchor_events = MAX_ALIASED;
        budget.flow_nesting_limit = MAX_DEPTH;
        // A `List` may hold a whole cluster; the size of the file bounds what is read.
        budget.max_nodes = usize::MAX;
        budget.max_events = usize::MAX;
    }
    serde_saphyr::from_str_with_options(document, options).map_err(|error| {
        let line = error.location().and_then(|it| usize::try_from(it.line()).ok()).unwrap_or(1);
        DocumentError { line, reason: reason(&error) }
    })
}

/// Why a document does not parse, in words that say what to do where the parser names only a limit.
fn reason(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    use serde_saphyr::budget::BudgetBreach as Breach;
    match error.without_snippet() {
        Error::Budget { breach: Breach::Depth { .. }, .. } => too_deep(),
        // The parser has a limit of its own for brackets within brackets.
        other if other.to_string().starts_with("recursion limit exceeded") => too_deep(),
        // Also wrapped into the error of the alias that is one too many.
        other if other.to_string().starts_with("budget breached") => {
            "the document has aliases that make it far larger than it is written; write out what they stand for".into()
        }
        other => other.to_string(),
    }
}

fn too_deep() -> String {
    format!("the document is nested deeper than the {MAX_DEPTH} levels that are read")
}
