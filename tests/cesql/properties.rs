//! Properties of random expressions, for random events of which random things are known.

use eventmesh_catalog::cesql::{Expression, Value, Verdict};
use proptest::prelude::*;

use super::{Concrete, Described, Fact, Template, World};

const NAMES: [&str; 4] = ["type", "source", "x1", "hop"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ab]{0,4}", Just("true".to_owned()), Just("5".to_owned()), "[ab]{1,2}\\.[ab]{1,2}"]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        (-3..7).prop_map(Value::Integer),
        text().prop_map(Value::String)
    ]
}

/// What is known of one attribute, and a value in one of the events described.
fn fact() -> impl Strategy<Value = (Fact, Option<Value>)> {
    let described = prop_oneof![
        text().prop_map(|text| (Described::Literal(text.clone()), Value::String(text))),
        (text(), "[ab.]{1,3}", text()).prop_map(|(head, middle, tail)| {
            let value = Value::String(format!("{head}{middle}{tail}"));
            (Described::Template(Template(head, tail)), value)
        }),
        text().prop_map(|text| (Described::AnyText, Value::String(text))),
        scalar().prop_map(|value| (Described::Anything, value)),
    ];
    (described, any::<bool>(), any::<bool>()).prop_map(|((described, value), certain, present)| {
        let fact = Fact { certain, value: described };
        (fact, (certain || present).then_some(value))
    })
}

fn expression() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(&NAMES[..]);
    let string = || prop_oneof![text(), "[ab%_\\.]{0,5}"].prop_map(|text| format!("'{}'", text.replace('\\', "\\\\")));
    let leaf = prop_oneof![
        4 => name().prop_map(str::to_owned),
        3 => string(),
        2 => (-3..7).prop_map(|integer: i32| integer.to_string()),
        1 => any::<bool>().prop_map(|boolean| boolean.to_string()),
        1 => name().prop_map(|name| format!("EXISTS {name}")),
        3 => (name(), string()).prop_map(|(name, text)| format!("{name} = {text}")),
        3 => (name(), string()).prop_map(|(name, text)| format!("{name} LIKE {text}")),
    ];
    let binary = prop::sample::select(vec![
        "AND", "OR", "XOR", "and", "or", "=", "!=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%",
    ]);
    let unary =
        prop::sample::select(vec!["(", "NOT (", "- (", "INT(", "BOOL(", "length(", "UPPER(", "ABS(", "nosuch("]);
    let function = prop::sample::select(vec!["LEFT", "RIGHT", "CONCAT", "CONCAT_WS", "SUBSTRING"]);
    leaf.prop_recursive(5, 24, 3, move |inner| {
        prop_oneof![
            6 => (inner.clone(), binary.clone(), inner.clone()).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            3 => (unary.clone(), inner.clone()).prop_map(|(open, x)| format!("{open}{x})")),
            1 => (function.clone(), inner.clone(), inner.clone()).prop_map(|(f, x, y)| format!("{f}({x}, {y})")),
            1 => (inner.clone(), any::<bool>(), string()).prop_map(|(x, not, pattern)| {
                format!("({x}) {}LIKE {pattern}", if not { "NOT " } else { "" })
            }),
            2 => (inner.clone(), any::<bool>(), prop::collection::vec(inner, 1..3)).prop_map(|(x, not, set)| {
                format!("({x}) {}IN ({})", if not { "NOT " } else { "" }, set.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decisions_hold_for_each_event(text in expression(), facts in prop::collection::vec(fact(), NAMES.len())) {
        let (facts, values): (Vec<_>, Vec<_>) = facts.into_iter().unzip();
        let world = World(NAMES.into_iter().zip(facts).collect());
        let values = NAMES.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        let event = Concrete(values.collect());

        let expression = Expression::parse(&text).unwrap();
        let evaluated = expression.evaluate(&event);
        if let Err(failure) = &evaluated {
            let outcomes = expression.outcomes(&world).to_string();
            prop_assert!(outcomes.contains(&failure.error.to_string()), "{text}: {outcomes}");
        }
        let passes = evaluated == Ok(Value::Boolean(true));
        match expression.decide(&world) {
            Verdict::Never => prop_assert!(!passes, "{text}"),
            Verdict::Definite => prop_assert!(passes, "{text}"),
            Verdict::Possible => {}
        }
    }

    #[test]
    fn canonical_text_parses_to_the_same(text in expression()) {
        let expression = Expression::parse(&text).unwrap();
        prop_assert_eq!(Expression::parse(&expression.to_string()).unwrap(), expression);
    }

    #[test]
    fn any_text_parses_or_not(text in prop_oneof![any::<String>(), "[aNOT1_%'\"\\\\(),<>=! +*/-]{0,40}"]) {
        if let Ok(expression) = Expression::parse(&text) {
            prop_assert_eq!(Expression::parse(&expression.to_string()).unwrap(), expression);
        }
    }
}
