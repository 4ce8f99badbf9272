//! CESQL: any text parses or is refused, and what is decided for all events of a type does not contradict what is
//! evaluated for one of them.
#![no_main]

use eventmesh_catalog::cesql::{Attribute, Attributes, Event, Expression, Known, Value, Verdict};
use libfuzzer_sys::fuzz_target;

/// An event of which the type and an extension are known, and nothing else.
struct World;

const KNOWN: [(&str, &str); 2] = [("type", "geo.city.changed"), ("x1", "5")];

impl Event for World {
    fn attribute(&self, name: &str) -> Option<Value> {
        let (_, text) = KNOWN.iter().find(|(known, _)| *known == name)?;
        Some(Value::String((*text).to_owned()))
    }
}

impl Attributes for World {
    fn attribute(&self, name: &str) -> Attribute<'_> {
        match KNOWN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Attribute { certain: true, value: Known::Literal(text) },
            None => Attribute { certain: false, value: Known::Anything },
        }
    }
}

fuzz_target!(|text: &str| {
    let Ok(expression) = Expression::parse(text) else { return };
    let passes = expression.evaluate(&World) == Ok(Value::Boolean(true));
    match expression.decide(&World) {
        Verdict::Never => assert!(!passes, "{text}"),
        Verdict::Definite => assert!(passes, "{text}"),
        Verdict::Possible => (),
    }
});
