//! The uid of an object, which nearly always is a UUID: those take the room of their bits instead of that of their text.
//! What must stay true: a uid is written as it was read.

use std::fmt;

#[derive(Clone, PartialEq, Eq)]
pub struct Uid(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    /// In the one form that API servers write: in lower case and with hyphens.
    Uuid([u8; 16]),
    Other(Box<str>),
}

/// Before which of its bytes a UUID has a hyphen.
const HYPHENS: [usize; 4] = [4, 6, 8, 10];

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self(uuid(text).map_or_else(|| Form::Other(text.into()), Form::Uuid))
    }
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let digit = |c: char| c.to_digit(16).filter(|_| !c.is_ascii_uppercase()).and_then(|it| u8::try_from(it).ok());
    let mut chars = text.chars();
    let mut bytes = [0; 16];
    for (n, byte) in bytes.iter_mut().enumerate() {
        if HYPHENS.contains(&n) && chars.next() != Some('-') {
            return None;
        }
        *byte = digit(chars.next()?)? << 4 | digit(chars.next()?)?;
    }
    chars.next().is_none().then_some(bytes)
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match &self.0 {
            Form::Uuid(bytes) => bytes,
            Form::Other(text) => return f.write_str(text),
        };
        for (n, byte) in bytes.iter().enumerate() {
            write!(f, "{}{byte:02x}", if HYPHENS.contains(&n) { "-" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_written_as_it_was_read() {
        let cases = [
            ("3e359f0b-ac18-46a4-b649-7eacdd95562f", true),
            ("00000000-0000-0000-0000-000000000000", true),
            ("3E359F0B-ac18-46a4-b649-7eacdd95562f", false),
            ("3e359f0bac1846a4b6497eacdd95562f", false),
            ("3e359f0b-ac18-46a4-b649-7eacdd95562", false),
            ("3e359f0b-ac18-46a4-b649-7eacdd95562f0", false),
            ("3e359f0b-ac18-46a4-b649-7eacdd95562ü", false),
            ("shop-orders", false),
            ("", false),
        ];
        for (text, is_uuid) in cases {
            let uid = Uid::from(text);
            assert_eq!(uid.to_string(), text);
            assert_eq!(matches!(uid.0, Form::Uuid(_)), is_uuid, "{text}");
        }
    }
}
