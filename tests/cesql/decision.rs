//! The rules of `semantics.md` 4.6: an expression, and all it may come to.

use std::collections::BTreeMap;

use eventmesh_catalog::cesql::{Expression, Verdict};

use super::{Described, Fact, Template, World};

#[test]
fn decisions() {
    let fact = |certain, value| Fact { certain, value };
    let literal = |text: &str| Described::Literal(text.to_owned());
    let template = |head: &str, tail: &str| Described::Template(Template(head.to_owned(), tail.to_owned()));
    let world = World(BTreeMap::from([
        ("type", fact(true, template("geo.", ".changed"))),
        ("source", fact(true, literal("/geo"))),
        ("id", fact(true, Described::AnyText)),
        ("flag", fact(true, Described::Anything)),
        ("subject", fact(false, literal("Berlin"))),
    ]));
    let check = |text: &str, expected: &str| {
        let expression = Expression::parse(text).unwrap();
        let outcomes = expression.outcomes(&world);
        assert_eq!(outcomes.to_string(), expected, "{text}");
        let verdict = match expected {
            "true" => Verdict::Definite,
            _ if expected.starts_with("true") => Verdict::Possible,
            _ => Verdict::Never,
        };
        assert_eq!((outcomes.verdict(), expression.decide(&world)), (verdict, verdict), "{text}");
    };
    let missing = |values: &str| format!("{values}, or an error (missing attribute)");

    // Attributes.
    check("source", "the text \"/geo\"");
    check("type", "a text");
    check("subject", &missing("the text \"Berlin\""));
    check("flag", "true or false or an integer or a text");
    check("other", &missing("true or false or an integer or a text"));
    // Equality and IN.
    check("SOURCE = '/geo'", "true");
    check("source <> '/geo'", "false");
    check("type = 'geo.city.changed'", "true or false");
    check("'geo..changed' = type", "false");
    check("type != 'geo.city.deleted'", "true");
    check("id = 'x'", "true or false");
    check("id = type", "true or false");
    check("subject = 'Berlin'", &missing("true"));
    check("source IN ('a', '/geo', nosuch())", "true");
    check("type IN ('a', 'b')", "false");
    check("type NOT IN ('a', 'b')", "true");
    check("type IN ('a', id)", "true or false");
    check("'b' IN (subject, 'b')", &missing("true"));
    // LIKE.
    check("type LIKE 'geo.%'", "true");
    check("type LIKE '%.changed'", "true");
    check("type LIKE 'geo%%.changed'", "true");
    check("type LIKE '%'", "true");
    check("id LIKE '%'", "true");
    check("type LIKE 'iot.%'", "false");
    check("type LIKE '%.deleted'", "false");
    check("type NOT LIKE 'iot.%x%'", "true");
    check("type LIKE 'geo.%e%.changed'", "true or false");
    check("type LIKE 'geo._%'", "true or false");
    check("type LIKE 'geo.city.changed'", "true or false");
    check("type LIKE 'geo'", "false");
    check(r"type LIKE 'geo.\%.changed'", "true or false");
    check("flag LIKE 'x%'", "true or false");
    // Casts.
    check("id = 5", "true or false, or an error (cast)");
    check("id < 5", "true or false, or an error (cast)");
    check("id AND TRUE", "true or false, or an error (cast)");
    check("NOT source", "an error (cast)");
    check("subject > 1", "an error (cast, missing attribute)");
    check("TRUE = id", "true or false");
    // EXISTS.
    check("EXISTS type", "true");
    check("EXISTS subject", "true or false");
    check("NOT EXISTS other", "true or false");
    // AND, OR, XOR, NOT.
    check("FALSE AND other", "false");
    check("EXISTS type AND subject = 'Berlin'", &missing("true"));
    check("subject = 'Rome' AND nosuch()", &missing("false"));
    check("EXISTS id OR subject = 'x'", "true");
    check("EXISTS subject OR TRUE", "true");
    check("subject = 'Berlin' OR TRUE", &missing("true"));
    check("TRUE XOR type = 'a'", "true");
    check("TRUE XOR subject = 'Berlin'", &missing("false"));
    check("NOT (type = 'a')", "true");
    // Functions and arithmetic.
    check("UPPER(source) = '/GEO' AND LENGTH(source) + 1 = 5", "true");
    check("LENGTH(type) > 3", "true or false");
    check("LOWER(subject)", &missing("the text \"berlin\""));
    check("LEFT(id, 2)", "a text, or an error (function evaluation)");
    check("INT(id)", "an integer, or an error (cast)");
    check("1 / LENGTH(id)", "an integer, or an error (math)");
    check("LENGTH(id) / 2", "an integer");
    check("LENGTH(id) % 0", "an error (math)");
    check("1 / 0 = 1", "an error (math)");
    check("nosuch(id) OR TRUE", "an error (missing function)");
    // Only boolean true passes.
    check("5", "5");
    check("'true'", "the text \"true\"");
    check("BOOL('TRUE')", "true");
}
