//! The uid of an object, which nearly always is a UUID: those take the room of their bits instead of that of their text.
//! What must stay true: a uid is written as it was read.

use std::fmt;

use uuid::Uuid;

#[derive(Clone, PartialEq, Eq)]
pub struct Uid(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    /// In the one form that API servers write: in lower case and with hyphens.
    Uuid(Uuid),
    Other(Box<str>),
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        let is_as_read = |it: &Uuid| it.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
        let uuid = Uuid::try_parse(text).ok().filter(is_as_read);
        Self(uuid.map_or_else(|| Form::Other(text.into()), Form::Uuid))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Uuid(uuid) => write!(f, "{uuid}"),
            Form::Other(text) => f.write_str(text),
        }
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
