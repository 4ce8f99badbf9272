//! From text to tokens, after the published grammar (`CESQLLexer.g4`): the longest token wins.

use thiserror::Error;

/// Why a text is not an expression: what was expected, what was found, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("column {column}: {message}")]
pub struct ParseError {
    column: usize,
    message: String,
}

impl ParseError {
    pub(super) fn new(text: &str, offset: usize, message: String) -> ParseError {
        let before = text.get(..offset).unwrap_or(text);
        ParseError { column: before.chars().count() + 1, message }
    }

    /// Where in the text, in characters, from 1.
    pub fn column(&self) -> usize {
        self.column
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a name.
    Word,
    /// Digits, perhaps signed; perhaps too many for an integer.
    Integer,
    /// A string with its quotes and escapes.
    Text,
    /// An operator, a parenthesis or a comma.
    Symbol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Of its first byte, in the whole text.
    pub(super) offset: usize,
}

impl Token<'_> {
    /// Whether this is the symbol or, in any case, the keyword.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Symbol) && self.text.eq_ignore_ascii_case(word)
    }
}

/// All tokens of the text.
///
/// # Errors
///
/// When a string does not end or a character starts no token.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let mut rest = skip_blanks(text);
    while let Some(first) = rest.chars().next() {
        let offset = text.len() - rest.len();
        let (kind, length) = token(rest).ok_or_else(|| {
            let message = match first {
                '\'' | '"' => format!("expected a closing {first}, found the end of the text"),
                other => format!("expected an expression or an operator, found `{other}`"),
            };
            ParseError::new(text, offset, message)
        })?;
        let (token, after) = rest.split_at(length);
        tokens.push(Token { kind, text: token, offset });
        rest = skip_blanks(after);
    }
    Ok(tokens)
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n'])
}

/// The kind and the length of the first token. All bounds are those of ASCII characters.
fn token(rest: &str) -> Option<(Kind, usize)> {
    match rest.as_bytes() {
        [quote @ (b'\'' | b'"'), ..] => Some((Kind::Text, string(rest, *quote)?)),
        // A sign directly before digits belongs to the number: `4 -1` is two numbers, and no expression.
        [b'+' | b'-', digits @ ..] if digits.first().is_some_and(u8::is_ascii_digit) => {
            Some((Kind::Integer, 1 + run(digits, u8::is_ascii_digit)))
        }
        [b'<', b'=' | b'>', ..] | [b'>' | b'!', b'=', ..] => Some((Kind::Symbol, 2)),
        [b'(' | b')' | b',' | b'*' | b'/' | b'%' | b'+' | b'-' | b'=' | b'<' | b'>', ..] => Some((Kind::Symbol, 1)),
        [first, ..] if first.is_ascii_alphanumeric() => Some(word(rest.as_bytes())),
        _ => None,
    }
}

/// An attribute name is letters and digits, a function name is letters and underscores after a letter.
fn word(bytes: &[u8]) -> (Kind, usize) {
    let digits = run(bytes, u8::is_ascii_digit);
    let attribute = run(bytes, u8::is_ascii_alphanumeric);
    let function = run(bytes, |byte| byte.is_ascii_alphabetic() || *byte == b'_');
    match attribute.max(function) {
        length if length == digits => (Kind::Integer, length),
        length => (Kind::Word, length),
    }
}

fn run(bytes: &[u8], belongs: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| belongs(byte)).count()
}

/// The length of a string with its quotes: a backslash takes the next character along, a doubled quote is two quotes.
fn string(rest: &str, quote: u8) -> Option<usize> {
    let mut bytes = rest.bytes().enumerate().skip(1).peekable();
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' {
            bytes.next();
        } else if byte == quote && bytes.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}

/// The text a string literal stands for.
///
/// Only the escaped quote is replaced. Every other backslash stays, as does each of two doubled quotes: the
/// specification is silent, the Go SDK does so, and a LIKE pattern needs its backslashes.
pub(super) fn unquote(literal: &str) -> String {
    let mut chars = literal.chars();
    let quote = chars.next();
    chars.next_back();
    let mut text = String::with_capacity(literal.len());
    while let Some(char) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        match chars.next() {
            escaped if escaped == quote => text.extend(escaped),
            other => text.extend([Some(char), other].into_iter().flatten()),
        }
    }
    text
}

/// A string literal that stands for the text, if any does: the reverse of [`unquote`].
///
/// A text with a backslash before a quote of one kind can only have been written between quotes of the other kind.
pub(super) fn quote(text: &str) -> String {
    if ends_early(text, '\'') {
        format!("\"{}\"", text.replace('"', "\\\""))
    } else {
        format!("'{}'", text.replace('\'', "\\'"))
    }
}

/// Whether the backslash added to escape a quote would itself be escaped by one that is already there.
fn ends_early(text: &str, quote: char) -> bool {
    let mut escaping = false;
    text.chars().any(|char| {
        let early = escaping && char == quote;
        escaping = char == '\\' && !escaping;
        early
    })
}

#[cfg(test)]
mod tests {
    use super::{quote, tokens, unquote};

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<_> = tokens(text).unwrap().into_iter().map(|token| token.text).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn longest_token_wins() {
        check("a-1", &["a", "-1"]);
        check("--10", &["-", "-10"]);
        check("1a=-2b", &["1a", "=", "-2", "b"]);
        check("a<>b<=c", &["a", "<>", "b", "<=", "c"]);
        check("concat_ws(x1)", &["concat_ws", "(", "x1", ")"]);
        check(r"'a\'b''c\\' d", &[r"'a\'b''c\\'", "d"]);
    }

    #[test]
    fn quoting_is_the_reverse_of_unquoting() {
        for literal in [r"''", r"'a\'b'", r#""a'b\"c""#, r#""\'""#, r"'\\'", r"'a''b'", r"'\%\\\''"] {
            let text = unquote(literal);
            assert_eq!(unquote(&quote(&text)), text, "{literal}");
            assert_eq!(tokens(&quote(&text)).unwrap().len(), 1, "{literal}");
        }
    }
}
