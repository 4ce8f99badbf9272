//! The text of an answer, in pieces: what each shard contributes is rendered once and kept packed.
//!
//! Always true:
//! - the tag of a text is a function of its items and their order, not of the shards that they come from: where shards
//!   begin depends on objects that the caller may not see;
//! - what is taken from an earlier text says what rendering it would say;
//! - what is held for it beside its own, as others of earlier texts are in the same blocks, is at most half as much.

mod making;

use std::io::{self, Write};
use std::sync::Arc;

use self::making::Making;
use crate::mesh::View;
use crate::mesh::snapshot::{EntryId, ShardId};
use crate::mesh::view::List;

/// The text of a whole answer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Text {
    /// Of each of [`List::ALL`].
    lists: Arc<[Arc<ListText>]>,
    len: usize,
    tag: Arc<str>,
}

/// A list.
#[derive(Debug)]
struct ListText {
    /// Of the parts of the view. All texts of a snapshot share them.
    ids: Arc<[ShardId]>,
    /// Of the entry that came last, whether or not it is in the list.
    newest: EntryId,
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

/// Some items of one list.
#[derive(Debug)]
struct Items {
    marks: Box<[Mark]>,
    digests: Box<[Digest]>,
    /// How many bytes their texts have, joined by commas.
    len: usize,
    /// In which their texts are, and may be others between them: what an earlier text has is shared with it.
    blocks: Box<[Block]>,
}

/// Which entry an item is of, and where its text is in those of all blocks, one after the other.
#[derive(Debug, Clone, Copy)]
struct Mark {
    of: EntryId,
    start: usize,
    end: usize,
}

/// The texts of items that were written together, joined by commas and packed.
#[derive(Debug, Clone)]
struct Block {
    len: usize,
    packed: Arc<[u8]>,
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    #[error("writing it takes more than it may")]
    TooMuch,
    #[error("{0}")]
    Failed(#[from] serde_json::Error),
    #[error("{0}")]
    Unread(#[from] io::Error),
}

/// Names the text of one item.
type Digest = [u8; 16];

impl Text {
    /// The text of a view. What an earlier text of the same grant and selection has already is taken from there.
    ///
    /// `effort` is how many bytes may be written anew, about: what is looked through in vain counts as well.
    ///
    /// # Errors
    /// When that does not do, an item cannot be written, or the earlier text cannot be read.
    pub fn of(view: View<'_>, earlier: Option<&Self>, effort: usize) -> Result<Self, Unwritten> {
        let (mut making, mut lists) = (Making::new(view, effort), vec![]);
        for (n, list) in List::ALL.into_iter().enumerate() {
            let earlier = earlier.and_then(|it| it.lists.get(n));
            lists.push(match earlier {
                Some(earlier) if view.shows_the_same(list, &earlier.ids) => earlier.clone(),
                _ => Arc::new(making.list(list, earlier.map(|it| &**it))?),
            });
        }
        Ok(Self::joined(lists))
    }

    fn joined(lists: Vec<Arc<ListText>>) -> Self {
        let (mut hasher, mut len) = (blake3::Hasher::new(), "{}".len());
        for (n, (list, text)) in List::ALL.into_iter().zip(&lists).enumerate() {
            let items = || text.items();
            // The number of items tells where one list ends and the next begins.
            hasher.update(&items().map(|it| it.digests.len() as u64).sum::<u64>().to_le_bytes());
            for items in items() {
                hasher.update(items.digests.as_flattened());
            }
            let texts = items().map(|it| it.len + 1).sum::<usize>().saturating_sub(1);
            len += name(list).len() + "\"\":[]".len() + texts + usize::from(n > 0);
        }
        let tag = hasher.finalize().to_hex().as_str().get(..32).unwrap_or_default().into();
        Self { lists: lists.into(), len, tag }
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
        let pieces = |it: &ListText| it.items().map(|it| size_of::<Piece>() + it.size()).sum::<usize>();
        self.lists.iter().map(|it| size_of_val(&*it.ids) + pieces(it)).sum()
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
        let Some((list, text)) = List::ALL.get(self.list).zip(self.text.lists.get(self.list)) else {
            return Ok(false);
        };
        if self.piece == 0 {
            write!(json, "{}\"{}\":[", if self.list == 0 { '{' } else { ',' }, name(*list))?;
        } else {
            json.push(b',');
        }
        if let Some(piece) = text.pieces.get(self.piece) {
            piece.items.unpack(json)?;
            self.piece += 1;
        }
        if self.piece == text.pieces.len() {
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

impl ListText {
    fn items(&self) -> impl Iterator<Item = &Items> {
        self.pieces.iter().map(|it| &*it.items)
    }
}

impl Items {
    /// How many bytes the texts of their blocks have.
    fn held(&self) -> usize {
        self.blocks.iter().map(|it| it.len).sum()
    }

    /// How many bytes of memory they take, about.
    fn size(&self) -> usize {
        let packed: usize = self.blocks.iter().map(|it| it.packed.len()).sum();
        size_of::<Self>()
            + size_of_val(&*self.marks)
            + size_of_val(&*self.digests)
            + size_of_val(&*self.blocks)
            + packed
    }

    /// Appends their texts, joined by commas, to a buffer.
    fn unpack(&self, json: &mut Vec<u8>) -> io::Result<()> {
        // Mostly there is one block, with nothing else in it.
        if let [block] = &*self.blocks
            && block.len == self.len
        {
            return block.unpack(json);
        }
        let mut held = Vec::new();
        self.unpack_blocks(&mut held)?;
        for (n, mark) in self.marks.iter().enumerate() {
            if n > 0 {
                json.push(b',');
            }
            json.extend_from_slice(mark.text_in(&held));
        }
        Ok(())
    }

    /// Appends the texts of their blocks to a buffer, one after the other.
    fn unpack_blocks(&self, to: &mut Vec<u8>) -> io::Result<()> {
        self.blocks.iter().try_for_each(|it| it.unpack(to))
    }
}

impl Mark {
    fn len(self) -> usize {
        self.end - self.start
    }

    fn text_in(self, held: &[u8]) -> &[u8] {
        held.get(self.start..self.end).unwrap_or_default()
    }

    /// The same, where so many bytes come before.
    fn after(self, before: usize) -> Self {
        Self { start: before + self.start, end: before + self.end, ..self }
    }
}

impl Block {
    fn pack(text: &[u8]) -> Self {
        Self { len: text.len(), packed: lz4_flex::block::compress(text).into() }
    }

    /// Appends its text to a buffer.
    fn unpack(&self, to: &mut Vec<u8>) -> io::Result<()> {
        let start = to.len();
        to.resize(start + self.len, 0);
        let place = to.get_mut(start..).unwrap_or_default();
        lz4_flex::block::decompress_into(&self.packed, place).map_err(io::Error::other)?;
        Ok(())
    }
}

#[cfg(test)]
pub mod testing {
    use super::making::Writing;
    use super::*;

    /// A text with these event types, a piece for each group of them.
    pub fn text(groups: &[&[&str]]) -> Text {
        of_lists([groups, &[], &[], &[]])
    }

    /// The same, with items in all lists.
    pub fn of_lists(lists: [&[&[&str]]; 4]) -> Text {
        fn piece((at, items): (usize, &&[&str])) -> Option<Piece> {
            let mut writing = Writing::default();
            items.iter().for_each(|it| writing.write(EntryId::default(), it).unwrap());
            Some(Piece { at, items: writing.finish().unwrap()?.into() })
        }
        let list = |groups: &[&[&str]]| {
            let pieces = groups.iter().enumerate().filter_map(piece).collect();
            Arc::new(ListText { ids: Arc::default(), newest: EntryId::default(), pieces })
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
    use super::making::{BLOCKS, HELD, LOOK};
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

    #[test]
    fn items_that_did_not_change_are_taken_from_the_earlier_text() {
        let mut index = Index::default();
        index.apply((0..500).map(|n| Update::Upsert(broker(&format!("{n:03}"), "1"))), true);
        let (grant, selection) = (Grant::everything(), Selection::default());
        let of = |index: &Index, earlier: Option<&Text>, effort| {
            Text::of(index.snapshot().view(&grant, &selection), earlier, effort)
        };
        let text = |index: &Index, earlier: &Text| {
            let anew = of(index, None, usize::MAX).unwrap();
            let text = of(index, Some(earlier), anew.len() / 2).unwrap();
            assert_eq!(written(&text), written(&anew));
            assert_eq!(text.tag(), anew.tag());
            text
        };
        let mut earlier = of(&index, None, usize::MAX).unwrap();
        let every = |n: usize| (0..500).step_by(n).map(|n| format!("{n:03}"));
        // All parts change, and of each a little.
        index.apply(every(20).map(|name| Update::Upsert(broker(&name, "2"))), true);
        earlier = text(&index, &earlier);
        index.apply(every(25).map(|name| Update::Remove(broker(&name, "2").key.clone())), true);
        earlier = text(&index, &earlier);
        index.apply(every(10).map(|name| Update::Upsert(broker(&format!("{name}-new"), "3"))), true);
        earlier = text(&index, &earlier);
        index.apply([Update::Upsert(broker("000", "4")), Update::Upsert(broker("499", "4"))], true);
        text(&index, &earlier);
    }

    #[test]
    fn what_earlier_texts_have_is_shared_within_bounds() {
        let mut index = Index::default();
        index.apply((0..500).map(|n| Update::Upsert(broker(&format!("{n:03}"), "0"))), true);
        let (grant, selection) = (Grant::everything(), Selection::default());
        let mut earlier: Option<Text> = None;
        let mut most = 0;
        for round in 1..4 * BLOCKS {
            let text = Text::of(index.snapshot().view(&grant, &selection), earlier.as_ref(), usize::MAX).unwrap();
            let anew = Text::of(index.snapshot().view(&grant, &selection), None, usize::MAX).unwrap();
            assert_eq!(written(&text), written(&anew));
            assert_eq!((text.tag(), text.len()), (anew.tag(), anew.len()));
            for items in text.lists.iter().flat_map(|it| it.items()) {
                most = most.max(items.blocks.len());
                assert!(items.blocks.len() <= BLOCKS);
                assert!(2 * items.held() <= HELD * items.len, "{} of {}", items.held(), items.len);
            }
            earlier = Some(text);
            // A little at a time, until there are too many blocks; then much, until too much in them is not needed.
            let step = if round < 2 * BLOCKS { 40 } else { 10 };
            let some = |first: usize| (first % step..500).step_by(step).map(|n| format!("{n:03}"));
            index.apply(some(round).map(|name| Update::Upsert(broker(&name, &round.to_string()))), true);
            index.apply(some(7 * round).map(|name| Update::Remove(broker(&name, "").key.clone())), true);
        }
        assert_eq!(most, BLOCKS, "of what changes a little, most is as it was");
    }
}
