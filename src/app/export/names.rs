//! What an object is called in a Backstage catalog.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::mesh::ObjectRef;
use crate::origins::kubernetes::kinds::is_known;

/// The longest name that Backstage takes, in bytes.
const LONGEST: usize = 63;
/// How many hexadecimal digits set cut or changed names apart: nobody finds two objects with the same 64 bits by chance.
const HASH_DIGITS: usize = 16;

/// The name of an object's entity. It depends on the object alone, so that it stays when others come and go, and so that
/// entities of several exports can refer to each other.
///
/// Different objects have different names, in Backstage's sense, which does not tell upper from lower case:
/// - `<kind>.<namespace>.<name>` where that says it all. Kind and namespace have no dot, so the first two dots part it
///   again, and the kind is a known one, which neither group nor case can make ambiguous.
/// - In all other cases (another kind, characters that Backstage does not take, too long) as much of that as can be
///   kept, then `_` and a hash of group, kind, namespace and name as they are. No name of the first form has a `_`.
pub fn entity_name(object: &ObjectRef) -> String {
    let kind = object.of.kind.to_lowercase();
    let text = format!("{kind}.{}.{}", object.namespace, object.name);
    if is_known(&object.of)
        && is_dns_label(&object.namespace)
        && is_dns_subdomain(&object.name)
        && text.len() <= LONGEST
    {
        return text;
    }
    let hash = hash(object);
    match readable(&text, LONGEST - 1 - HASH_DIGITS) {
        kept if kept.is_empty() => hash,
        kept => format!("{kept}_{hash}"),
    }
}

/// What Backstage takes for a namespace, a part of a host, a part of the prefix of a label's key.
pub fn is_dns_label(text: &str) -> bool {
    let is_edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= LONGEST
        && text.bytes().next().is_some_and(is_edge)
        && text.bytes().next_back().is_some_and(is_edge)
        && text.bytes().all(|byte| is_edge(byte) || byte == b'-')
}

pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// What Backstage takes for a name or for the value of a label.
pub fn is_name(text: &str) -> bool {
    let ends_well = |end: Option<u8>| end.is_some_and(|it| it.is_ascii_alphanumeric());
    text.len() <= LONGEST
        && ends_well(text.bytes().next())
        && ends_well(text.bytes().next_back())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// At most so much of a text, with a single `-` or `.` for everything that is no letter or digit.
fn readable(text: &str, longest: usize) -> String {
    let mut kept = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => kept.push(c),
            _ if kept.is_empty() || kept.ends_with(['.', '-']) => {}
            '.' => kept.push('.'),
            _ => kept.push('-'),
        }
    }
    kept.truncate(longest);
    kept.truncate(kept.trim_end_matches(['.', '-']).len());
    kept
}

fn hash(object: &ObjectRef) -> String {
    let mut hasher = Sha256::new();
    for part in [&object.of.group, &object.of.kind, &object.namespace, &object.name] {
        // With its length, a part ends where it ends.
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut digits = String::new();
    for byte in hasher.finalize() {
        let _ = write!(digits, "{byte:02x}");
    }
    digits.truncate(HASH_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::GroupKind;

    /// The module for Backstage reads the same cases: entities have the same names, whichever way they come.
    #[test]
    fn names_are_those_of_the_backstage_module() {
        let cases: Vec<[String; 5]> = serde_json::from_str(include_str!("../../../tests/entity-names.json")).unwrap();
        assert!(!cases.is_empty());
        for [group, kind, namespace, name, entity] in cases {
            let object = ObjectRef::new(GroupKind::new(&*group, &*kind), &*namespace, name);
            assert_eq!(entity_name(&object), entity);
        }
    }
}
