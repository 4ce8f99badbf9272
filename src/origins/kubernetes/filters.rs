//! Reading the filter of a `Trigger` (`semantics.md` 4.3 to 4.5).

use std::sync::Arc;

use super::fields::Field;
use crate::mesh::declaration::attribute_name;
use crate::mesh::filter::{AttributeTest, Filter, Test};
use crate::mesh::intern::Shared;

/// How deep dialects may be nested. Nobody writes more than a few levels; what is deeper is not read.
const MAX_DEPTH: usize = 32;

type Comparison = fn(Arc<str>) -> Test;
type Join = fn(Vec<Filter>) -> Filter;

/// The dialects in the order in which the first counts; `not` and `cesql` come after these.
const COMPARISONS: [(&str, Comparison); 3] =
    [("exact", Test::Equals), ("prefix", Test::StartsWith), ("suffix", Test::EndsWith)];
const JOINS: [(&str, Join); 2] = [("all", Filter::all), ("any", Filter::any)];

/// The filter that counts, of a trigger's `spec`.
pub fn filter(spec: Option<&Field<'_>>, shared: &Shared) -> Arc<Filter> {
    shared.filters.share(Arc::new(spec.map_or(Filter::Everything, |spec| of_spec(spec, shared))))
}

fn of_spec(spec: &Field<'_>, shared: &Shared) -> Filter {
    let listed = spec.get("filters").map(|it| it.items()).unwrap_or_default();
    if !listed.is_empty() {
        return Filter::all(elements(&listed, shared, 0));
    }
    let attributes = spec.at(&["filter", "attributes"]).map(|it| it.entries()).unwrap_or_default();
    let attribute = |(name, value): (&str, Field<'_>)| Some(attribute(name, &value.text()?, shared));
    Filter::all(attributes.into_iter().filter_map(attribute).collect())
}

/// An entry of `filter.attributes`: an empty value asks for any.
fn attribute(name: &str, value: &str, shared: &Shared) -> Filter {
    test(name, if value.is_empty() { Test::Present } else { Test::Equals(shared.text(value)) }, shared)
}

fn test(name: &str, test: Test, shared: &Shared) -> Filter {
    Filter::Attribute(AttributeTest { name: shared.text(&attribute_name(name)), test })
}

fn elements(fields: &[Field<'_>], shared: &Shared, depth: usize) -> Vec<Filter> {
    fields.iter().filter_map(|it| element(it, shared, depth + 1)).collect()
}

/// One element: its first dialect, or `None` where it counts for nothing. An empty dialect is none, as in Knative.
fn element(field: &Field<'_>, shared: &Shared, depth: usize) -> Option<Filter> {
    if depth > MAX_DEPTH {
        field.flawed(format!("filters are nested deeper than {MAX_DEPTH}; what is below is not read"));
        return Some(Filter::Unknown);
    }
    for (dialect, how) in COMPARISONS {
        let entries = field.get(dialect).map(|it| it.entries()).unwrap_or_default();
        if !entries.is_empty() {
            return compared(entries, how, shared);
        }
    }
    for (dialect, join) in JOINS {
        let parts = field.get(dialect).map(|it| it.items()).unwrap_or_default();
        if !parts.is_empty() {
            return Some(join(elements(&parts, shared, depth)));
        }
    }
    if let Some(inner) = field.get("not") {
        return Some(Filter::not(element(&inner, shared, depth + 1)));
    }
    field.filled("cesql").map(|text| Filter::sql(&text))
}

/// All entries of `exact`, `prefix` or `suffix`; nothing where one has no name or no value.
fn compared(entries: Vec<(&str, Field<'_>)>, how: Comparison, shared: &Shared) -> Option<Filter> {
    let compare = |(name, value): (&str, Field<'_>)| {
        let text = value.text()?;
        (!name.is_empty() && !text.is_empty()).then(|| test(name, how(shared.text(&text)), shared))
    };
    entries.into_iter().map(compare).collect::<Option<_>>().map(Filter::all)
}
