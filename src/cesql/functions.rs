//! The built-in functions. CESQL 1.0.0, section 3.5; the casts INT, BOOL and STRING are only in the conformance cases.

use super::value::{ErrorKind, Failure, Type, Value};

type Outcome = Result<Value, Failure>;

pub(super) struct Function {
    name: &'static str,
    parameters: &'static [Type],
    /// The type of any number of further arguments.
    rest: Option<Type>,
    pub(super) returns: Type,
    /// The error it may raise itself, on arguments of the right types.
    pub(super) fails: Option<ErrorKind>,
    run: fn(&[Value]) -> Outcome,
}

const BOOLEAN: Type = Type::Boolean;
const INTEGER: Type = Type::Integer;
const STRING: Type = Type::String;

static FUNCTIONS: [Function; 14] = [
    fixed("ABS", &[INTEGER], INTEGER, abs).failing(ErrorKind::Math),
    fixed("BOOL", &[BOOLEAN], BOOLEAN, identity),
    variadic("CONCAT", &[], STRING, STRING, concat),
    variadic("CONCAT_WS", &[STRING], STRING, STRING, concat_ws),
    fixed("INT", &[INTEGER], INTEGER, identity),
    fixed("LEFT", &[STRING, INTEGER], STRING, left).failing(ErrorKind::FunctionEvaluation),
    fixed("LENGTH", &[STRING], INTEGER, length),
    fixed("LOWER", &[STRING], STRING, lower),
    fixed("RIGHT", &[STRING, INTEGER], STRING, right).failing(ErrorKind::FunctionEvaluation),
    fixed("STRING", &[STRING], STRING, identity),
    fixed("SUBSTRING", &[STRING, INTEGER], STRING, substring).failing(ErrorKind::FunctionEvaluation),
    fixed("SUBSTRING", &[STRING, INTEGER, INTEGER], STRING, substring).failing(ErrorKind::FunctionEvaluation),
    fixed("TRIM", &[STRING], STRING, trim),
    fixed("UPPER", &[STRING], STRING, upper),
];

const fn fixed(
    name: &'static str,
    parameters: &'static [Type],
    returns: Type,
    run: fn(&[Value]) -> Outcome,
) -> Function {
    Function { name, parameters, rest: None, returns, fails: None, run }
}

const fn variadic(
    name: &'static str,
    parameters: &'static [Type],
    rest: Type,
    returns: Type,
    run: fn(&[Value]) -> Outcome,
) -> Function {
    Function { name, parameters, rest: Some(rest), returns, fails: None, run }
}

/// The function that takes this number of arguments. The name is in upper case.
///
/// # Errors
///
/// [`ErrorKind::MissingFunction`] when there is none; its arguments then are not evaluated.
pub(super) fn find(name: &str, arguments: usize) -> Result<&'static Function, ErrorKind> {
    let accepts = |function: &&Function| {
        let fixed = function.parameters.len();
        function.name == name && (fixed == arguments || function.rest.is_some() && fixed < arguments)
    };
    FUNCTIONS.iter().find(accepts).ok_or(ErrorKind::MissingFunction)
}

impl Function {
    const fn failing(self, error: ErrorKind) -> Function {
        Function { fails: Some(error), ..self }
    }

    /// The types of the parameters, without end if there is a rest.
    pub(super) fn parameters(&self) -> impl Iterator<Item = Type> {
        let rest = std::iter::repeat_with(|| self.rest).map_while(|kind| kind);
        self.parameters.iter().copied().chain(rest)
    }

    /// Casts the arguments to the types of the parameters and calls the function.
    pub(super) fn call(&self, arguments: &[Value]) -> Outcome {
        let cast = arguments.iter().zip(self.parameters()).map(|(argument, kind)| argument.cast(kind));
        let cast: Vec<Value> =
            cast.collect::<Result<_, _>>().map_err(|error| Failure::from(error).returning(self.returns))?;
        (self.run)(&cast)
    }
}

/// `find` and `call` see to number and types; without a panic there is nothing else to return.
fn mismatch() -> Outcome {
    Err(ErrorKind::Generic.into())
}

fn texts(arguments: &[Value]) -> Result<Vec<&str>, Failure> {
    let texts = arguments.iter().map(|argument| match argument {
        Value::String(text) => Ok(text.as_str()),
        Value::Boolean(_) | Value::Integer(_) => Err(ErrorKind::Generic.into()),
    });
    texts.collect()
}

fn identity(arguments: &[Value]) -> Outcome {
    let [value] = arguments else {
        return mismatch();
    };
    Ok(value.clone())
}

fn abs(arguments: &[Value]) -> Outcome {
    let [Value::Integer(integer)] = arguments else {
        return mismatch();
    };
    integer.checked_abs().map(Value::Integer).ok_or(Failure { value: Value::Integer(i32::MAX), error: ErrorKind::Math })
}

fn length(arguments: &[Value]) -> Outcome {
    let [Value::String(text)] = arguments else {
        return mismatch();
    };
    Ok(Value::Integer(i32::try_from(text.chars().count()).unwrap_or(i32::MAX)))
}

fn concat(arguments: &[Value]) -> Outcome {
    Ok(Value::String(texts(arguments)?.concat()))
}

fn concat_ws(arguments: &[Value]) -> Outcome {
    let [Value::String(delimiter), rest @ ..] = arguments else {
        return mismatch();
    };
    Ok(Value::String(texts(rest)?.join(delimiter)))
}

fn lower(arguments: &[Value]) -> Outcome {
    let [Value::String(text)] = arguments else {
        return mismatch();
    };
    Ok(Value::String(text.to_lowercase()))
}

fn upper(arguments: &[Value]) -> Outcome {
    let [Value::String(text)] = arguments else {
        return mismatch();
    };
    Ok(Value::String(text.to_uppercase()))
}

fn trim(arguments: &[Value]) -> Outcome {
    let [Value::String(text)] = arguments else {
        return mismatch();
    };
    Ok(Value::String(text.trim().to_owned()))
}

fn left(arguments: &[Value]) -> Outcome {
    let [Value::String(text), Value::Integer(count)] = arguments else {
        return mismatch();
    };
    let count = usize::try_from(*count).map_err(|_| evaluation(text))?;
    Ok(Value::String(text.chars().take(count).collect()))
}

fn right(arguments: &[Value]) -> Outcome {
    let [Value::String(text), Value::Integer(count)] = arguments else {
        return mismatch();
    };
    let count = usize::try_from(*count).map_err(|_| evaluation(text))?;
    let before = text.chars().count().saturating_sub(count);
    Ok(Value::String(text.chars().skip(before).collect()))
}

fn substring(arguments: &[Value]) -> Outcome {
    let (text, position, count) = match arguments {
        [Value::String(text), Value::Integer(position)] => (text, *position, i32::MAX),
        [Value::String(text), Value::Integer(position), Value::Integer(count)] => (text, *position, *count),
        _ => return mismatch(),
    };
    // Before any error: the specification lets position 0 and a negative length collide, the Go SDK looks here first.
    if position == 0 {
        return Ok(STRING.zero());
    }
    let before = characters_before(position, text.chars().count()).ok_or_else(|| evaluation(""))?;
    let count = usize::try_from(count).map_err(|_| evaluation(""))?;
    Ok(Value::String(text.chars().skip(before).take(count).collect()))
}

/// How many characters stand before a position that counts from 1, or from the end down from -1.
fn characters_before(position: i32, length: usize) -> Option<usize> {
    let distance = usize::try_from(position.unsigned_abs()).ok().filter(|distance| *distance <= length)?;
    if position > 0 { distance.checked_sub(1) } else { length.checked_sub(distance) }
}

fn evaluation(text: &str) -> Failure {
    Failure { value: Value::String(text.to_owned()), error: ErrorKind::FunctionEvaluation }
}
