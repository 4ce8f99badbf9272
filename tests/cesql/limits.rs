//! Length, nesting, and what is not nesting.

use std::collections::BTreeMap;

use eventmesh_catalog::cesql::{Expression, MAX_DEPTH, MAX_LENGTH};

use super::{Concrete, World};

#[test]
fn nesting_is_limited() {
    for (open, close) in [("(", ")"), ("NOT ", ""), ("- ", ""), ("ABS(", ")"), ("1 IN (", ")"), ("1 = 1 + 1 * (", ")")]
    {
        let nested = |depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        check_round_trip(&nested(MAX_DEPTH));
        let error = Expression::parse(&nested(MAX_DEPTH + 1)).unwrap_err().to_string();
        assert!(error.contains("at most 100 levels of nesting"), "{error}");
        Expression::parse(&open.repeat(MAX_LENGTH / open.len())).unwrap_err();
    }
}

#[test]
fn chains_are_not_nesting() {
    let rests = [" AND 1", " OR a", " XOR 1", "+ 1", "*a", " = 1", " LIKE ''", " IN (1)", " <> a AND 1"];
    for rest in rests {
        check_round_trip(&format!("1{}", rest.repeat(10_000.min(60_000 / rest.len()))));
    }
    let set = format!("a IN (1{})", ", a".repeat(20_000));
    check_round_trip(&set);
}

#[test]
fn expressions_are_shared_between_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Expression>();
}

#[test]
fn length_is_limited() {
    let text = |length| format!("'{}'", "a".repeat(length - 2));
    assert!(Expression::parse(&text(MAX_LENGTH)).is_ok());
    assert!(Expression::parse(&text(MAX_LENGTH + 1)).is_err());
}

/// The canonical text parses to an equal expression, and nothing that can be done with it overflows the stack.
fn check_round_trip(text: &str) {
    let expression = Expression::parse(text).unwrap();
    assert_eq!(Expression::parse(&expression.to_string()).unwrap(), expression, "{text}");
    let _ = expression.clone().evaluate(&Concrete(BTreeMap::new()));
    let _ = expression.decide(&World(BTreeMap::new()));
}
