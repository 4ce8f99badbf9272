//! From tokens to an expression, after the published grammar (`CESQLParser.g4`).

use std::str::FromStr;

use super::lexer::{Kind, ParseError, Token, tokens, unquote};
use super::pattern::Pattern;
use super::syntax::{Arithmetic, Comparison, Connective, Expression, Node, Precedence, Step};
use super::value::Value;

/// The longest text that is parsed, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;

/// The deepest nesting of parentheses, sets, arguments, NOT and unary minus that is parsed.
pub const MAX_DEPTH: usize = 100;

/// How much of an unexpected token an error repeats, in characters.
const LONGEST_QUOTE: usize = 40;

impl Expression {
    /// Parses the text of an expression. CESQL 1.0.0, section 2.
    ///
    /// # Errors
    ///
    /// When the text is not an expression, is longer than [`MAX_LENGTH`], nests deeper than [`MAX_DEPTH`] or contains
    /// an integer that is not one of 32 bits.
    pub fn parse(text: &str) -> Result<Expression, ParseError> {
        if text.len() > MAX_LENGTH {
            let message = format!("expected at most {MAX_LENGTH} bytes, found {}", text.len());
            return Err(ParseError::new(text, 0, message));
        }
        let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0 };
        let root = parser.expression()?;
        match parser.peek() {
            None => Ok(Expression { root }),
            Some(_) => Err(parser.unexpected("an operator or the end of the text")),
        }
    }
}

impl FromStr for Expression {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Expression, ParseError> {
        Expression::parse(text)
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    /// The index of the next token.
    next: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// Operands joined by AND, OR and XOR.
    fn expression(&mut self) -> Result<Node, ParseError> {
        let first = self.chain(Precedence::Comparison)?;
        let mut rest = Vec::new();
        while let Some(connective) = self.peek().and_then(connective) {
            self.next += 1;
            rest.push((connective, self.chain(Precedence::Comparison)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Node::Logic { first: Box::new(first), rest })
    }

    /// An operand and all operators after it that are no looser than `loosest`.
    fn chain(&mut self, loosest: Precedence) -> Result<Node, ParseError> {
        let first = self.operand()?;
        let mut steps = Vec::new();
        while let Some(step) = self.step(loosest)? {
            steps.push(step);
        }
        if steps.is_empty() {
            return Ok(first);
        }
        Ok(Node::Chain { first: Box::new(first), steps })
    }

    fn step(&mut self, loosest: Precedence) -> Result<Option<Step>, ParseError> {
        let Some(token) = self.peek() else {
            return Ok(None);
        };
        if let Some(operator) = comparison(token).filter(|_| Precedence::Comparison >= loosest) {
            self.next += 1;
            let right = self.chain(Precedence::Comparison.tighter())?;
            return Ok(Some(Step::Compare(operator, right)));
        }
        if let Some(operator) = arithmetic(token).filter(|operator| operator.precedence() >= loosest) {
            self.next += 1;
            let right = self.chain(operator.precedence().tighter())?;
            return Ok(Some(Step::Arithmetic(operator, right)));
        }
        self.membership()
    }

    /// LIKE and IN, perhaps negated. They bind tighter than every other binary operator.
    fn membership(&mut self) -> Result<Option<Step>, ParseError> {
        let negated = self.take("NOT");
        if self.take("LIKE") {
            let pattern = self.pattern()?;
            Ok(Some(Step::Like { negated, pattern }))
        } else if self.take("IN") {
            let set = self.set()?;
            Ok(Some(Step::In { negated, set }))
        } else if negated {
            Err(self.unexpected("LIKE or IN"))
        } else {
            Ok(None)
        }
    }

    fn pattern(&mut self) -> Result<Pattern, ParseError> {
        match self.peek() {
            Some(token) if token.kind == Kind::Text => {
                self.next += 1;
                Ok(Pattern::new(unquote(token.text)))
            }
            _ => Err(self.unexpected("a string")),
        }
    }

    fn set(&mut self) -> Result<Vec<Node>, ParseError> {
        self.expect("(", "`(`")?;
        self.nested(Self::list)
    }

    fn arguments(&mut self) -> Result<Vec<Node>, ParseError> {
        self.expect("(", "`(`")?;
        if self.take(")") {
            return Ok(Vec::new());
        }
        self.nested(Self::list)
    }

    /// At least one expression, then the closing parenthesis.
    fn list(&mut self) -> Result<Vec<Node>, ParseError> {
        let mut nodes = vec![self.expression()?];
        while self.take(",") {
            nodes.push(self.expression()?);
        }
        self.expect(")", "an operator, `,` or `)`")?;
        Ok(nodes)
    }

    /// What an operator may have on its left, with the operators before it: these bind tighter than any other.
    fn operand(&mut self) -> Result<Node, ParseError> {
        let Some(token) = self.peek() else {
            return Err(self.unexpected("an expression"));
        };
        if self.take("(") {
            return self.nested(Self::parenthesized);
        }
        if self.take("-") {
            return Ok(Node::Negate(Box::new(self.nested(Self::operand)?)));
        }
        if self.take("NOT") {
            return Ok(Node::Not(Box::new(self.nested(Self::operand)?)));
        }
        if self.take("EXISTS") {
            return self.attribute().map(Node::Exists);
        }
        if self.followed_by_arguments(token) {
            self.next += 1;
            let arguments = self.arguments()?;
            return Ok(Node::Call { name: token.text.to_ascii_uppercase(), arguments });
        }
        match literal(token) {
            Some(Ok(value)) => {
                self.next += 1;
                Ok(Node::Literal(value))
            }
            Some(Err(())) => Err(self.unexpected("an integer of 32 bits")),
            None => self.attribute().map(Node::Attribute),
        }
    }

    fn parenthesized(&mut self) -> Result<Node, ParseError> {
        let node = self.expression()?;
        self.expect(")", "an operator or `)`")?;
        Ok(node)
    }

    /// The name of an attribute, in lower case. `cesql-tck/PROVENANCE.md`: names are looked up so.
    fn attribute(&mut self) -> Result<String, ParseError> {
        match self.peek() {
            Some(token) if is_name(token) && !token.text.contains('_') => {
                self.next += 1;
                Ok(token.text.to_ascii_lowercase())
            }
            _ => Err(self.unexpected("an expression")),
        }
    }

    fn followed_by_arguments(&self, name: Token<'_>) -> bool {
        let letters = !name.text.bytes().any(|byte| byte.is_ascii_digit());
        letters && is_name(name) && self.tokens.get(self.next + 1).is_some_and(|token| token.is("("))
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.depth == MAX_DEPTH {
            return Err(self.unexpected(&format!("at most {MAX_DEPTH} levels of nesting")));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.next).copied()
    }

    /// Whether the next token is the word, which is then consumed.
    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(word));
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str, expected: &str) -> Result<(), ParseError> {
        if self.take(word) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn unexpected(&self, expected: &str) -> ParseError {
        let Some(token) = self.peek() else {
            let message = format!("expected {expected}, found the end of the text");
            return ParseError::new(self.text, self.text.len(), message);
        };
        let found: String = token.text.chars().take(LONGEST_QUOTE).collect();
        ParseError::new(self.text, token.offset, format!("expected {expected}, found `{found}`"))
    }
}

/// The value of a literal; `Err` for an integer out of range.
fn literal(token: Token<'_>) -> Option<Result<Value, ()>> {
    match token.kind {
        Kind::Integer => Some(token.text.parse().map(Value::Integer).map_err(|_| ())),
        Kind::Text => Some(Ok(Value::String(unquote(token.text)))),
        Kind::Word if token.is("TRUE") => Some(Ok(Value::Boolean(true))),
        Kind::Word if token.is("FALSE") => Some(Ok(Value::Boolean(false))),
        Kind::Word | Kind::Symbol => None,
    }
}

fn is_name(token: Token<'_>) -> bool {
    const KEYWORDS: [&str; 9] = ["AND", "OR", "XOR", "NOT", "LIKE", "EXISTS", "IN", "TRUE", "FALSE"];
    token.kind == Kind::Word && !KEYWORDS.iter().any(|keyword| token.is(keyword))
}

fn connective(token: Token<'_>) -> Option<Connective> {
    let connectives = [Connective::And, Connective::Or, Connective::Xor];
    connectives.into_iter().find(|connective| token.is(&connective.to_string()))
}

fn comparison(token: Token<'_>) -> Option<Comparison> {
    match token.text {
        "=" => Some(Comparison::Equal),
        "!=" | "<>" => Some(Comparison::NotEqual),
        "<" => Some(Comparison::Less),
        "<=" => Some(Comparison::LessOrEqual),
        ">" => Some(Comparison::Greater),
        ">=" => Some(Comparison::GreaterOrEqual),
        _ => None,
    }
}

fn arithmetic(token: Token<'_>) -> Option<Arithmetic> {
    match token.text {
        "+" => Some(Arithmetic::Add),
        "-" => Some(Arithmetic::Subtract),
        "*" => Some(Arithmetic::Multiply),
        "/" => Some(Arithmetic::Divide),
        "%" => Some(Arithmetic::Remainder),
        _ => None,
    }
}
