//! What the conformance cases leave open, and what is no expression.

use eventmesh_catalog::cesql::{ErrorKind, Expression, Failure, Value};

use super::Concrete;

#[test]
fn evaluation() {
    let event = Concrete([("type".to_owned(), Value::String("x".to_owned()))].into());
    let check = |text: &str, expected: Result<Value, Failure>| {
        assert_eq!(Expression::parse(text).unwrap().evaluate(&event), expected, "{text}");
    };
    let boolean = |value| Ok(Value::Boolean(value));
    let integer = |value| Ok(Value::Integer(value));
    let failure = |error, value| Err(Failure { value, error });

    check("FALSE AND FALSE OR TRUE", boolean(false));
    check("TRUE XOR TRUE AND FALSE OR TRUE", boolean(false));
    check("TRUE OR nosuch()", boolean(true));
    check("TRUE AND 5", boolean(true));
    check("NOT type = 'x'", failure(ErrorKind::Cast, Value::Boolean(false)));
    check("1 + 2 LIKE '2'", integer(2));
    check("10 - 2 - 3", integer(5));
    check("2147483647 + 1", integer(i32::MIN));
    check("-2147483648 / -1", integer(i32::MIN));
    check("- -2147483648", integer(i32::MIN));
    check("-7 % 3", integer(-1));
    check("'2147483648' + 0", failure(ErrorKind::Cast, Value::Integer(0)));
    check("1 IN (1, missing)", boolean(true));
    check("1 IN (missing, 1)", failure(ErrorKind::MissingAttribute, Value::Boolean(false)));
    check("TYPE NOT IN ('y')", boolean(true));
    check("type LIKE ''", boolean(false));
    check(r"'\ü%' LIKE '\_\%'", boolean(false));
    check("'äöü' LIKE '_ö_'", boolean(true));
    check("LENGTH('äöü')", integer(3));
    check("LEFT('abc', -1) = 'abc'", failure(ErrorKind::FunctionEvaluation, Value::Boolean(false)));
    check("SUBSTRING('abc', 2, -1)", failure(ErrorKind::FunctionEvaluation, Value::String(String::new())));
    check("LENGTH(missing)", failure(ErrorKind::MissingAttribute, Value::Integer(0)));
}

#[test]
fn parse_errors() {
    let check = |text: &str, expected: &str| {
        assert_eq!(Expression::parse(text).unwrap_err().to_string(), expected, "{text}");
    };
    check("", "column 1: expected an expression, found the end of the text");
    check("4 -1", "column 3: expected an operator or the end of the text, found `-1`");
    check("x LIKE 123", "column 8: expected a string, found `123`");
    check("x NOT 5", "column 7: expected LIKE or IN, found `5`");
    check("x IN ()", "column 7: expected an expression, found `)`");
    check("ABC(", "column 5: expected an expression, found the end of the text");
    check("ABC(1 2)", "column 7: expected an operator, `,` or `)`, found `2`");
    check("(1", "column 3: expected an operator or `)`, found the end of the text");
    check("'ä' = \"b", "column 7: expected a closing \", found the end of the text");
    check("a = é", "column 5: expected an expression or an operator, found `é`");
    check("2147483648", "column 1: expected an integer of 32 bits, found `2147483648`");
    check("abs1(1)", "column 5: expected an operator or the end of the text, found `(`");
    check("a_b = 1", "column 1: expected an expression, found `a_b`");
    check("EXISTS like", "column 8: expected an expression, found `like`");
}
