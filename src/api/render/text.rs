//! The text of an answer, in pieces: what each shard contributes is rendered once and kept packed.
//!
//! Always true:
//! - the tag of a text is a function of its items and their order, not of the shards that they come from: where shards
//!   begin depends on objects that the caller may not see;
//! - a piece that is used again says what rendering its part would say.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;

use crate::api::dto;
use crate::mesh::View;
use crate::mesh::snapshot::ShardId;
use crate::mesh::view::Part;

/// The four lists of an answer, in their order in it.
const LISTS: [&str; 4] = ["eventTypes", "brokers", "subscribables", "sources"];

/// The text of a whole answer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Text {
    pieces: Arc<[Piece]>,
    len: usize,
    packed: usize,
    tag: Arc<str>,
}

/// What one part of a view contributes.
#[derive(Debug)]
struct Piece {
    /// Names the part, where what is shown of it depends on nothing else.
    id: Option<ShardId>,
    /// None where there are no items: most selections have nothing of most parts.
    fragment: Option<Arc<Fragment>>,
}

/// The items of one part in each of the [`LISTS`].
#[derive(Debug)]
struct Fragment([Items; 4]);

/// Some items of one list: their texts, joined by commas and packed.
#[derive(Debug, Default)]
struct Items {
    digests: Box<[Digest]>,
    len: usize,
    packed: Box<[u8]>,
}

/// Names the text of one item.
type Digest = [u8; 16];

impl Text {
    /// The text of a view. What an earlier text of the same grant and selection has already is taken from there.
    ///
    /// # Errors
    /// When an item cannot be written.
    pub fn of(view: View<'_>, earlier: Option<&Self>) -> serde_json::Result<Self> {
        let known = earlier.into_iter().flat_map(|it| &*it.pieces).filter_map(|it| Some((it.id?, &it.fragment)));
        let known: HashMap<_, _> = known.collect();
        let (mut scratch, mut pieces) = (Vec::new(), Vec::new());
        for part in view.parts() {
            let id = part.id();
            let fragment = match id.and_then(|it| known.get(&it)) {
                Some(&fragment) => fragment.clone(),
                None => Fragment::of(part, &mut scratch)?.map(Arc::new),
            };
            // That a part has nothing is worth knowing where it need not be looked through again.
            if id.is_some() || fragment.is_some() {
                pieces.push(Piece { id, fragment });
            }
        }
        Ok(Self::joined(pieces))
    }

    fn joined(pieces: Vec<Piece>) -> Self {
        let (mut hasher, mut len, mut packed) = (blake3::Hasher::new(), "{}".len(), 0);
        for (n, name) in LISTS.iter().enumerate() {
            let items = || pieces.iter().filter_map(|it| it.list(n));
            // The number of items tells where one list ends and the next begins.
            hasher.update(&items().map(|it| it.digests.len() as u64).sum::<u64>().to_le_bytes());
            for items in items() {
                hasher.update(items.digests.as_flattened());
                packed += items.packed.len();
            }
            let texts = items().map(|it| it.len + 1).sum::<usize>().saturating_sub(1);
            len += name.len() + "\"\":[]".len() + texts + usize::from(n > 0);
        }
        let tag = hasher.finalize().to_hex().as_str().get(..32).unwrap_or_default().into();
        Self { pieces: pieces.into(), len, packed, tag }
    }

    /// Names the content: equal content has equal tags, wherever and whenever it is rendered.
    pub fn tag(&self) -> &Arc<str> {
        &self.tag
    }

    /// How many bytes there are to write.
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many bytes of memory it takes, about.
    pub fn size(&self) -> usize {
        // Beside its packed items a fragment has a place for each list.
        let fragments = self.pieces.iter().filter(|it| it.fragment.is_some()).count();
        self.packed + self.pieces.len() * size_of::<Piece>() + fragments * size_of::<Fragment>()
    }

    /// Writes the JSON.
    ///
    /// # Errors
    /// When `to` cannot be written to.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        let mut text = Vec::new();
        for (n, name) in LISTS.iter().enumerate() {
            write!(to, "{}\"{name}\":[", if n == 0 { '{' } else { ',' })?;
            let mut items = self.pieces.iter().filter_map(|it| it.list(n));
            if let Some(first) = items.next() {
                to.write_all(first.unpacked(&mut text)?)?;
            }
            for more in items {
                to.write_all(b",")?;
                to.write_all(more.unpacked(&mut text)?)?;
            }
            to.write_all(b"]")?;
        }
        to.write_all(b"}")
    }
}

impl Piece {
    /// The items of one of the [`LISTS`], if there are any.
    fn list(&self, n: usize) -> Option<&Items> {
        self.fragment.as_ref().map(|it| it.list(n)).filter(|it| it.len > 0)
    }
}

impl Fragment {
    /// Nothing where there are no items.
    fn of(part: Part<'_>, scratch: &mut Vec<u8>) -> serde_json::Result<Option<Self>> {
        let fragment = Self([
            Items::of(part.event_types().map(dto::EventType::from), scratch)?,
            Items::of(part.brokers().map(dto::Broker::from), scratch)?,
            Items::of(part.subscribables().map(dto::Subscribable::from), scratch)?,
            Items::of(part.sources().map(dto::Source::from), scratch)?,
        ]);
        let Self(lists) = &fragment;
        Ok(lists.iter().any(|it| it.len > 0).then_some(fragment))
    }

    fn list(&self, n: usize) -> &Items {
        let Self([event_types, brokers, subscribables, sources]) = self;
        match n {
            0 => event_types,
            1 => brokers,
            2 => subscribables,
            _ => sources,
        }
    }
}

impl Items {
    fn of(items: impl Iterator<Item = impl Serialize>, scratch: &mut Vec<u8>) -> serde_json::Result<Self> {
        scratch.clear();
        let mut digests = Vec::new();
        for item in items {
            if !scratch.is_empty() {
                scratch.push(b',');
            }
            let start = scratch.len();
            serde_json::to_writer(&mut *scratch, &item)?;
            digests.push(digest(scratch.get(start..).unwrap_or_default()));
        }
        if scratch.is_empty() {
            return Ok(Self::default());
        }
        let packed = lz4_flex::block::compress(scratch);
        Ok(Self { digests: digests.into(), len: scratch.len(), packed: packed.into() })
    }

    /// Their text, in a buffer that is used again and again.
    fn unpacked<'a>(&self, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
        buffer.resize(self.len, 0);
        lz4_flex::block::decompress_into(&self.packed, buffer).map_err(io::Error::other)?;
        Ok(buffer)
    }
}

fn digest(item: &[u8]) -> Digest {
    let mut digest = Digest::default();
    blake3::Hasher::new().update(item).finalize_xof().fill(&mut digest);
    digest
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// A text with these event types, a piece for each group of them.
    pub fn text(groups: &[&[&str]]) -> Text {
        let mut scratch = Vec::new();
        let mut items = |items: &[&str]| Items::of(items.iter(), &mut scratch).unwrap();
        let mut fragment = |group: &[&str]| Fragment([items(group), items(&[]), items(&[]), items(&[])]);
        let pieces = groups.iter().map(|it| Piece { id: None, fragment: Some(Arc::new(fragment(it))) });
        Text::joined(pieces.collect())
    }

    pub fn written(text: &Text) -> String {
        let mut json = Vec::new();
        text.write(&mut json).unwrap();
        String::from_utf8(json).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{text, written};
    use super::*;

    #[test]
    fn a_text_is_what_its_items_are() {
        let json =
            |items: &str| format!("{{\"eventTypes\":[{items}],\"brokers\":[],\"subscribables\":[],\"sources\":[]}}");
        for (groups, items) in [
            (&[] as &[&[&str]], ""),
            (&[&[], &[]], ""),
            (&[&["a"]], r#""a""#),
            (&[&["a", "b"], &[], &["c"]], r#""a","b","c""#),
        ] {
            let text = text(groups);
            assert_eq!(written(&text), json(items));
            assert_eq!(text.len(), json(items).len());
        }
    }

    #[test]
    fn tags_name_items_and_not_the_shards_that_they_are_in() {
        let tag = |groups: &[&[&str]]| text(groups).tag().clone();
        let one = tag(&[&["a", "b", "c"]]);
        assert_eq!(tag(&[&[], &["a"], &["b", "c"], &[]]), one);
        for other in
            [&[&["a", "b"] as &[&str]] as &[&[&str]], &[&["b", "a", "c"]], &[&["a", "bc"]], &[&["ab", "c"]], &[]]
        {
            assert_ne!(tag(other), one, "{other:?}");
        }
        let [event_types, brokers] = [0, 1].map(|n| {
            let mut lists = [&[] as &[&str], &[], &[], &[]].map(|it| Items::of(it.iter(), &mut vec![]).unwrap());
            lists[n] = Items::of(["a"].iter(), &mut vec![]).unwrap();
            Text::joined(vec![Piece { id: None, fragment: Some(Arc::new(Fragment(lists))) }]).tag().clone()
        });
        assert_ne!(event_types, brokers);
    }
}
