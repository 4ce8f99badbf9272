//! The text of an answer, in pieces: what each shard contributes is rendered once and kept packed.
//!
//! Always true:
//! - the tag of a text is a function of its items and their order, not of the shards that they come from: where shards
//!   begin depends on objects that the caller may not see;
//! - a piece that is used again says what rendering its part would say.

use std::io::{self, Write};
use std::iter::{Enumerate, Peekable};
use std::slice::Iter;
use std::sync::Arc;

use serde::Serialize;

use crate::api::dto;
use crate::mesh::View;
use crate::mesh::snapshot::ShardId;
use crate::mesh::view::{List, Part};

/// The text of a whole answer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Text {
    /// Of each of [`List::ALL`].
    lists: Arc<[Arc<Pieces>]>,
    len: usize,
    packed: usize,
    tag: Arc<str>,
}

/// A list.
#[derive(Debug)]
struct Pieces {
    /// Of the parts of the view. All texts of a snapshot share them.
    ids: Arc<[ShardId]>,
    /// Of those parts that have items: most selections have nothing of most parts, and so have many callers.
    pieces: Vec<Piece>,
}

/// What one part of a view contributes to a list.
#[derive(Debug)]
struct Piece {
    /// Which part it is.
    at: usize,
    items: Arc<Items>,
}

/// Some items of one list: their texts, joined by commas and packed.
#[derive(Debug)]
struct Items {
    digests: Box<[Digest]>,
    len: usize,
    packed: Box<[u8]>,
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    #[error("writing it takes more than it may")]
    TooMuch,
    #[error("{0}")]
    Failed(#[from] serde_json::Error),
}

/// How many bytes could be written while a list of a part is looked through, about.
const LOOK: usize = 256;

/// Names the text of one item.
type Digest = [u8; 16];

impl Text {
    /// The text of a view. What an earlier text of the same grant and selection has already is taken from there.
    ///
    /// `effort` is how many bytes may be written anew, about: what is looked through in vain counts as well.
    ///
    /// # Errors
    /// When that does not do, or an item cannot be written.
    pub fn of(view: View<'_>, earlier: Option<&Self>, effort: usize) -> Result<Self, Unwritten> {
        let (mut making, mut lists) = (Making { view, effort, scratch: vec![] }, vec![]);
        for (n, list) in List::ALL.into_iter().enumerate() {
            let earlier = earlier.and_then(|it| it.lists.get(n));
            lists.push(match earlier {
                Some(earlier) if view.shows_the_same(list, &earlier.ids) => earlier.clone(),
                _ => Arc::new(making.list(list, earlier.map(|it| &**it))?),
            });
        }
        Ok(Self::joined(lists))
    }

    fn joined(lists: Vec<Arc<Pieces>>) -> Self {
        let (mut hasher, mut len, mut packed) = (blake3::Hasher::new(), "{}".len(), 0);
        for (n, (list, pieces)) in List::ALL.into_iter().zip(&lists).enumerate() {
            let items = || pieces.items();
            // The number of items tells where one list ends and the next begins.
            hasher.update(&items().map(|it| it.digests.len() as u64).sum::<u64>().to_le_bytes());
            for items in items() {
                hasher.update(items.digests.as_flattened());
                packed += items.packed.len();
            }
            let texts = items().map(|it| it.len + 1).sum::<usize>().saturating_sub(1);
            len += name(list).len() + "\"\":[]".len() + texts + usize::from(n > 0);
        }
        let tag = hasher.finalize().to_hex().as_str().get(..32).unwrap_or_default().into();
        Self { lists: lists.into(), len, packed, tag }
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
        let lists = self
            .lists
            .iter()
            .map(|it| size_of_val(&*it.ids) + it.pieces.len() * (size_of::<Piece>() + size_of::<Items>()));
        self.packed + lists.sum::<usize>()
    }

    /// Writes the JSON.
    ///
    /// # Errors
    /// When `to` cannot be written to.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        let (mut reading, mut json) = (self.clone().read(), Vec::new());
        while reading.next(&mut json)? {
            to.write_all(&json)?;
            json.clear();
        }
        Ok(())
    }

    /// The JSON, a little at a time.
    pub fn read(self) -> Reading {
        Reading { text: self, list: 0, piece: 0 }
    }
}

/// The JSON of a text that is read from its beginning to its end.
#[derive(Debug)]
pub struct Reading {
    text: Text,
    /// Where it goes on.
    list: usize,
    piece: usize,
}

impl Reading {
    /// Appends the text of the next piece to a buffer, with all that there is before and after it; false at the end.
    ///
    /// # Errors
    /// When the piece cannot be unpacked.
    pub fn next(&mut self, json: &mut Vec<u8>) -> io::Result<bool> {
        let Some((list, pieces)) = List::ALL.get(self.list).zip(self.text.lists.get(self.list)) else {
            return Ok(false);
        };
        if self.piece == 0 {
            write!(json, "{}\"{}\":[", if self.list == 0 { '{' } else { ',' }, name(*list))?;
        } else {
            json.push(b',');
        }
        if let Some(piece) = pieces.pieces.get(self.piece) {
            piece.items.unpack(json)?;
            self.piece += 1;
        }
        if self.piece == pieces.pieces.len() {
            (self.list, self.piece) = (self.list + 1, 0);
            json.push(b']');
        }
        if self.list == List::ALL.len() {
            json.push(b'}');
        }
        Ok(true)
    }
}

/// What a list is called in an answer.
fn name(list: List) -> &'static str {
    match list {
        List::EventTypes => "eventTypes",
        List::Brokers => "brokers",
        List::Subscribables => "subscribables",
        List::Sources => "sources",
    }
}

impl Pieces {
    fn items(&self) -> impl Iterator<Item = &Items> {
        self.pieces.iter().map(|it| &*it.items)
    }
}

/// A list of an earlier text, gone through once while the list of a later one is made: the parts that are in both are in the
/// same order in both.
struct Known<'a> {
    newest: Option<ShardId>,
    ids: Enumerate<Iter<'a, ShardId>>,
    pieces: Peekable<Iter<'a, Piece>>,
}

impl<'a> Known<'a> {
    fn of(earlier: &'a Pieces) -> Self {
        let (ids, pieces) = (earlier.ids.iter(), earlier.pieces.iter());
        Self { newest: ids.clone().max().copied(), ids: ids.enumerate(), pieces: pieces.peekable() }
    }

    /// What the earlier text has of a part, if it has anything; nothing where the part is newer than that text.
    fn take(&mut self, id: ShardId) -> Option<Option<Arc<Items>>> {
        if Some(id) > self.newest {
            return None;
        }
        let (at, _) = self.ids.find(|(_, known)| **known == id)?;
        while self.pieces.next_if(|it| it.at < at).is_some() {}
        Some(self.pieces.next_if(|it| it.at == at).map(|it| it.items.clone()))
    }
}

/// What it takes to make a text.
struct Making<'a> {
    view: View<'a>,
    effort: usize,
    scratch: Vec<u8>,
}

impl Making<'_> {
    /// A list. What there already is in an earlier text is taken from there.
    fn list(&mut self, list: List, earlier: Option<&Pieces>) -> Result<Pieces, Unwritten> {
        let mut known = earlier.map(Known::of);
        let mut pieces = Vec::new();
        for (at, part) in self.view.parts().enumerate() {
            let items = match part.id(list).and_then(|it| known.as_mut()?.take(it)) {
                Some(items) => items,
                None if !part.may_have_some(list) => None,
                None => self.items(list, part)?,
            };
            pieces.extend(items.map(|items| Piece { at, items }));
        }
        // Vectors grow by doubling.
        pieces.shrink_to_fit();
        Ok(Pieces { ids: self.view.ids(list).clone(), pieces })
    }

    fn items(&mut self, list: List, part: Part<'_>) -> Result<Option<Arc<Items>>, Unwritten> {
        let items = Items::of_list(list, part, &mut self.scratch)?;
        let taken = LOOK + items.as_ref().map_or(0, |it| it.len);
        self.effort = self.effort.checked_sub(taken).ok_or(Unwritten::TooMuch)?;
        Ok(items.map(Arc::new))
    }
}

impl Items {
    fn of_list(list: List, part: Part<'_>, scratch: &mut Vec<u8>) -> serde_json::Result<Option<Self>> {
        match list {
            List::EventTypes => Self::of(part.event_types().map(dto::EventType::from), scratch),
            List::Brokers => Self::of(part.brokers().map(dto::Broker::from), scratch),
            List::Subscribables => Self::of(part.subscribables().map(dto::Subscribable::from), scratch),
            List::Sources => Self::of(part.sources().map(dto::Source::from), scratch),
        }
    }

    /// Nothing where there are no items.
    fn of(items: impl Iterator<Item = impl Serialize>, scratch: &mut Vec<u8>) -> serde_json::Result<Option<Self>> {
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
            return Ok(None);
        }
        let packed = lz4_flex::block::compress(scratch);
        Ok(Some(Self { digests: digests.into(), len: scratch.len(), packed: packed.into() }))
    }

    /// Appends their text to a buffer.
    fn unpack(&self, json: &mut Vec<u8>) -> io::Result<()> {
        let start = json.len();
        json.resize(start + self.len, 0);
        let place = json.get_mut(start..).unwrap_or_default();
        lz4_flex::block::decompress_into(&self.packed, place).map_err(io::Error::other)?;
        Ok(())
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
        of_lists([groups, &[], &[], &[]])
    }

    /// The same, with items in all lists.
    pub fn of_lists(lists: [&[&[&str]]; 4]) -> Text {
        fn piece((at, items): (usize, &&[&str])) -> Option<Piece> {
            Some(Piece { at, items: Items::of(items.iter(), &mut vec![]).unwrap()?.into() })
        }
        let list = |groups: &[&[&str]]| {
            let pieces = groups.iter().enumerate().filter_map(piece).collect();
            Arc::new(Pieces { ids: Arc::default(), pieces })
        };
        Text::joined(lists.map(list).to_vec())
    }

    pub fn written(text: &Text) -> String {
        let mut json = Vec::new();
        text.write(&mut json).unwrap();
        String::from_utf8(json).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{of_lists, text, written};
    use super::*;
    use crate::index::Index;
    use crate::mesh::resource::testing::broker;
    use crate::mesh::{Grant, Selection, Update};

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
        let a: &[&[&str]] = &[&["a"]];
        let [event_types, brokers] =
            [[a, &[], &[], &[]], [&[], a, &[], &[]]].map(|lists| of_lists(lists).tag().clone());
        assert_ne!(event_types, brokers);
    }

    #[test]
    fn effort_is_for_what_has_changed() {
        let mut index = Index::default();
        index.apply((0..2000).map(|n| Update::Upsert(broker(&n.to_string(), "1"))), true);
        let (grant, selection) = (Grant::everything(), Selection::default());
        let text = |index: &Index, earlier, effort| {
            let text = Text::of(index.snapshot().view(&grant, &selection), earlier, effort);
            text.map_err(|error| assert!(matches!(error, Unwritten::TooMuch), "{error}"))
        };
        assert!(text(&index, None, 100 << 10).is_err());
        let all = text(&index, None, usize::MAX).unwrap();
        assert!(all.len() > 100 << 10);
        assert_eq!(text(&index, Some(&all), 0).unwrap().tag(), all.tag());
        index.apply([Update::Upsert(broker("1234", "2"))], true);
        assert!(text(&index, Some(&all), LOOK).is_err());
        let some = text(&index, Some(&all), 100 << 10).unwrap();
        assert_eq!(some.tag(), text(&index, None, usize::MAX).unwrap().tag());
        assert_ne!(some.tag(), all.tag());
    }
}
