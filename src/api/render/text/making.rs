//! How a text is made of a view. What an earlier text has already is taken from there: parts that did not change as they
//! are, and of others the items that did not.

use std::io;
use std::iter::Enumerate;
use std::slice::Iter;
use std::sync::Arc;

use serde::Serialize;

use super::{Block, Digest, Items, ListText, Mark, Piece, Unwritten};
use crate::api::dto;
use crate::mesh::View;
use crate::mesh::snapshot::{EntryId, ShardId};
use crate::mesh::view::{List, Shown};

/// How many bytes could be written while a list of a part is looked through, about.
pub const LOOK: usize = 256;
/// How many bytes of earlier items are written once more, all together, while one is written anew, about.
const AGAIN: usize = 4;
/// In how many blocks items may be.
pub const BLOCKS: usize = 8;
/// How many bytes of texts their blocks may hold for two that are theirs.
pub const HELD: usize = 3;

/// What it takes to make a text.
pub struct Making<'a> {
    view: View<'a>,
    effort: usize,
    writing: Writing<'a>,
}

impl<'a> Making<'a> {
    /// `effort` is how many bytes may be written anew, about: what is looked through in vain counts as well.
    pub fn new(view: View<'a>, effort: usize) -> Self {
        Self { view, effort, writing: Writing::default() }
    }

    /// A list. What there already is in that of an earlier text is taken from there.
    ///
    /// # Errors
    /// When the effort does not do, an item cannot be written, or the earlier text cannot be read.
    pub fn list(&mut self, list: List, earlier: Option<&'a ListText>) -> Result<ListText, Unwritten> {
        let mut earlier = Earlier::new(earlier);
        let mut pieces = Vec::new();
        for (at, part) in self.view.parts().enumerate() {
            let items = match part.id(list).and_then(|it| earlier.part(it)) {
                Some(known) => known.first().map(|it| it.items.clone()),
                None if !part.may_have_some(list) => None,
                None => self.items(part.shown(list), &mut earlier)?.map(Arc::new),
            };
            pieces.extend(items.map(|items| Piece { at, items }));
        }
        // Vectors grow by doubling.
        pieces.shrink_to_fit();
        Ok(ListText { ids: self.view.ids(list).clone(), newest: self.view.newest(), pieces })
    }

    fn items<'v>(
        &mut self,
        shown: impl Iterator<Item = Shown<'v>>,
        earlier: &mut Earlier<'a>,
    ) -> Result<Option<Items>, Unwritten> {
        for shown in shown {
            let id = shown.id().unwrap_or_default();
            if let Some((items, at)) = earlier.item(id) {
                self.writing.take(items, at);
            } else if let Some(item) = shown.item() {
                self.writing.write(id, &dto::Item::from(item))?;
            }
        }
        let effort = LOOK + self.writing.effort();
        self.effort = self.effort.checked_sub(effort).ok_or(Unwritten::TooMuch)?;
        Ok(self.writing.finish()?)
    }
}

/// Items that are being put together.
#[derive(Default)]
pub struct Writing<'a> {
    placed: Vec<Placed>,
    /// The texts of those that are new.
    json: Vec<u8>,
    /// Earlier ones, of which the others are.
    taken: Vec<&'a Items>,
    /// How many bytes the texts of all of their blocks have.
    held: usize,
}

struct Placed {
    /// Where it is among the new ones, or else in what is held.
    mark: Mark,
    digest: Digest,
    is_new: bool,
}

impl<'a> Writing<'a> {
    /// Writes what is said of an entry.
    pub fn write(&mut self, of: EntryId, item: &impl Serialize) -> serde_json::Result<()> {
        let start = begin(&mut self.json);
        serde_json::to_writer(&mut self.json, item)?;
        let mark = Mark { of, start, end: self.json.len() };
        self.placed.push(Placed { mark, digest: digest(mark.text_in(&self.json)), is_new: true });
        Ok(())
    }

    /// Takes one of earlier items, which come in their order.
    fn take(&mut self, items: &'a Items, at: usize) {
        if !self.taken.last().is_some_and(|it| std::ptr::eq(*it, items)) {
            self.taken.push(items);
            self.held += items.held();
        }
        if let Some((mark, digest)) = items.marks.get(at).zip(items.digests.get(at)) {
            let mark = mark.after(self.held - items.held());
            self.placed.push(Placed { mark, digest: *digest, is_new: false });
        }
    }

    /// How many bytes it is like to write anew, about.
    fn effort(&self) -> usize {
        let again = if self.is_scattered() { self.held / AGAIN } else { 0 };
        self.json.len() + again
    }

    /// Whether it takes too many blocks, or too much that is in them is not needed any more.
    fn is_scattered(&self) -> bool {
        let blocks: usize = self.taken.iter().map(|it| it.blocks.len()).sum();
        blocks + usize::from(!self.json.is_empty()) > BLOCKS || 2 * (self.held + self.json.len()) > HELD * self.len()
    }

    /// How many bytes the texts have, joined by commas.
    fn len(&self) -> usize {
        self.placed.iter().map(|it| it.mark.len() + 1).sum::<usize>().saturating_sub(1)
    }

    /// What was put together, if there is anything. What comes next is other items.
    ///
    /// # Errors
    /// When what is held cannot be unpacked.
    pub fn finish(&mut self) -> io::Result<Option<Items>> {
        if self.placed.is_empty() {
            return Ok(None);
        }
        if self.is_scattered() {
            self.gather()?;
        }
        let mut blocks: Vec<_> = self.taken.drain(..).flat_map(|it| it.blocks.iter().cloned()).collect();
        if !self.json.is_empty() {
            blocks.push(Block::pack(&self.json));
        }
        let marks = self.placed.iter().map(|it| if it.is_new { it.mark.after(self.held) } else { it.mark }).collect();
        let digests = self.placed.iter().map(|it| it.digest).collect();
        let items = Items { marks, digests, len: self.len(), blocks: blocks.into() };
        self.placed.clear();
        self.json.clear();
        self.held = 0;
        Ok(Some(items))
    }

    /// Writes all of them as if they were new.
    fn gather(&mut self) -> io::Result<()> {
        let (mut held, mut json) = (Vec::with_capacity(self.held), Vec::with_capacity(self.len()));
        self.taken.drain(..).try_for_each(|it| it.unpack_blocks(&mut held))?;
        for placed in &mut self.placed {
            let start = begin(&mut json);
            json.extend_from_slice(placed.mark.text_in(if placed.is_new { &self.json } else { &held }));
            placed.mark = Mark { start, end: json.len(), ..placed.mark };
            placed.is_new = true;
        }
        (self.json, self.held) = (json, 0);
        Ok(())
    }
}

/// Where the text of the next item begins, behind a comma where there are others.
fn begin(json: &mut Vec<u8>) -> usize {
    if !json.is_empty() {
        json.push(b',');
    }
    json.len()
}

fn digest(item: &[u8]) -> Digest {
    let mut digest = Digest::default();
    blake3::Hasher::new().update(item).finalize_xof().fill(&mut digest);
    digest
}

/// A list of an earlier text of the same grant and selection. It is gone through once: what is in both texts is in the same
/// order in both, and what the earlier one could have, by its age, it has. Of the parts it has all ids, and of the entries
/// all that are shown: whether one is shown depends on nothing but the entry.
struct Earlier<'a> {
    newest_part: Option<ShardId>,
    newest_entry: EntryId,
    parts: Enumerate<Iter<'a, ShardId>>,
    /// Those that come next, and how many items of the first are behind.
    pieces: &'a [Piece],
    behind: usize,
}

impl<'a> Earlier<'a> {
    fn new(earlier: Option<&'a ListText>) -> Self {
        let (ids, newest_entry, pieces) =
            earlier.map_or((&[][..], EntryId::default(), &[][..]), |it| (&*it.ids, it.newest, &*it.pieces));
        let (newest_part, parts) = (ids.iter().max().copied(), ids.iter().enumerate());
        Self { newest_part, newest_entry, parts, pieces, behind: 0 }
    }

    /// The pieces of a part, one or none; nothing where the part is newer than the list.
    fn part(&mut self, id: ShardId) -> Option<&'a [Piece]> {
        if Some(id) > self.newest_part {
            return None;
        }
        let found = self.parts.find(|(_, known)| **known == id);
        debug_assert!(found.is_some(), "{id:?} is not new");
        let (at, _) = found?;
        self.skip(self.pieces.iter().take_while(|it| it.at < at).count());
        let known = usize::from(self.pieces.first().is_some_and(|it| it.at == at));
        let piece = self.pieces.get(..known)?;
        self.skip(known);
        Some(piece)
    }

    /// Where an item is, among which ones; nothing where the entry is newer than the list, or is not named.
    fn item(&mut self, of: EntryId) -> Option<(&'a Items, usize)> {
        if of == EntryId::default() || of > self.newest_entry {
            return None;
        }
        let place = |(n, piece): (usize, &Piece)| {
            let behind = if n == 0 { self.behind } else { 0 };
            let next = piece.items.marks.iter().skip(behind).position(|it| it.of == of)?;
            Some((n, behind + next))
        };
        let found = self.pieces.iter().enumerate().find_map(place);
        debug_assert!(found.is_some(), "{of:?} is not new");
        let (n, at) = found?;
        self.skip(n);
        self.behind = at + 1;
        self.pieces.first().map(|it| (&*it.items, at))
    }

    fn skip(&mut self, pieces: usize) {
        if pieces > 0 {
            self.pieces = self.pieces.get(pieces..).unwrap_or_default();
            self.behind = 0;
        }
    }
}
