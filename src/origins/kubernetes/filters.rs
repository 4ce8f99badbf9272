//! Reading the filter of a `Trigger` (`semantics.md` 4.3 to 4.5).

use std::sync::Arc;

use super::fields::Field;
use crate::mesh::declaration::attribute_name;
use crate::mesh::filter::{AttributeTest, Filter, Test};

/// How deep dialects may be nested. Nobody writes more than a few levels; what is deeper is not read.
const MAX_DEPTH: usize = 32;

type Comparison = fn(Arc<str>) -> Test;
type Join = fn(Vec<Filter>) -> Filter;

/// The dialects in the order in which the first counts; `not` and `cesql` come after these.
const COMPARISONS: [(&str, Comparison); 3] =
    [("exact", Test::Equals), ("prefix", Test::StartsWith), ("suffix", Test::EndsWith)];
const JOINS: [(&str, Join); 2] = [("all", Filter::all), ("any", Filter::any)];

/// The filter that counts, of a trigger's `spec`.
pub fn filter(spec: Option<&Field<'_>>) -> Filter {
    let Some(spec) = spec else { return Filter::Everything };
    let listed = spec.get("filters").map(|it| it.items()).unwrap_or_default();
    if !listed.is_empty() {
        return Filter::all(elements(&listed, 0));
    }
    let attributes = spec.at(&["filter", "attributes"]).map(|it| it.entries()).unwrap_or_default();
    Filter::all(attributes.into_iter().filter_map(|(name, value)| Some(attribute(name, &value.text()?))).collect())
}

/// An entry of `filter.attributes`: an empty value asks for any.
fn attribute(name: &str, value: &str) -> Filter {
    test(name, if value.is_empty() { Test::Present } else { Test::Equals(value.into()) })
}

fn test(name: &str, test: Test) -> Filter {
    Filter::Attribute(AttributeTest { name: attribute_name(name).into(), test })
}

fn elements(fields: &[Field<'_>], depth: usize) -> Vec<Filter> {
    fields.iter().filter_map(|it| element(it, depth + 1)).collect()
}

/// One element: its first dialect, or `None` where it counts for nothing. An empty dialect is none, as in Knative.
fn element(field: &Field<'_>, depth: usize) -> Option<Filter> {
    if depth > MAX_DEPTH {
        field.flawed(format!("filters are nested deeper than {MAX_DEPTH}; what is below is not read"));
        return Some(Filter::Unknown);
    }
    for (dialect, how) in COMPARISONS {
        let entries = field.get(dialect).map(|it| it.entries()).unwrap_or_default();
        if !entries.is_empty() {
            return compared(entries, how);
        }
    }
    for (dialect, join) in JOINS {
        let parts = field.get(dialect).map(|it| it.items()).unwrap_or_default();
        if !parts.is_empty() {
            return Some(join(elements(&parts, depth)));
        }
    }
    if let Some(inner) = field.get("not") {
        return Some(Filter::not(element(&inner, depth + 1)));
    }
    field.filled("cesql").map(|text| Filter::sql(&text))
}

/// All entries of `exact`, `prefix` or `suffix`; nothing where one has no name or no value.
fn compared(entries: Vec<(&str, Field<'_>)>, how: Comparison) -> Option<Filter> {
    let compare = |(name, value): (&str, Field<'_>)| {
        let text = value.text()?;
        (!name.is_empty() && !text.is_empty()).then(|| test(name, how(text.into())))
    };
    entries.into_iter().map(compare).collect::<Option<_>>().map(Filter::all)
}
