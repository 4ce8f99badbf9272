//! How a text is made of a view. What an earlier text has already is taken from there: parts that did not change as they
//! are, and of others the items that did not.

use std::io;
use std::iter::Enumerate;
use std::slice::Iter;
use std::sync::Arc;

use serde::Serialize;

use super::{Digest, Items, ListText, Mark, Piece, Unwritten};
use crate::api::dto;
use crate::mesh::View;
use crate::mesh::snapshot::{EntryId, ShardId};
use crate::mesh::view::{List, Shown};

/// How many bytes could be written while a list of a part is looked through, about.
pub const LOOK: usize = 256;
/// How many bytes of an earlier text are read, and packed again, while one is written, about.
const READ: usize = 4;

/// What it takes to make a text.
pub struct Making<'a> {
    view: View<'a>,
    effort: usize,
    writing: Writing,
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
    pub fn list(&mut self, list: List, earlier: Option<&ListText>) -> Result<ListText, Unwritten> {
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
        earlier: &mut Earlier<'_>,
    ) -> Result<Option<Items>, Unwritten> {
        let (read, mut taken) = (earlier.read, 0);
        for shown in shown {
            let id = shown.id().unwrap_or_default();
            if let Some((text, digest)) = earlier.item(id)? {
                taken += text.len();
                self.writing.take(id, text, digest);
            } else if let Some(item) = shown.item() {
                self.writing.write(id, &dto::Item::from(item))?;
            }
        }
        let effort = LOOK + self.writing.json.len() - taken + (earlier.read - read) / READ;
        self.effort = self.effort.checked_sub(effort).ok_or(Unwritten::TooMuch)?;
        Ok(self.writing.finish())
    }
}

/// Items that are being written.
#[derive(Default)]
pub struct Writing {
    json: Vec<u8>,
    marks: Vec<Mark>,
    digests: Vec<Digest>,
}

impl Writing {
    /// Writes what is said of an entry.
    pub fn write(&mut self, of: EntryId, item: &impl Serialize) -> serde_json::Result<()> {
        let start = self.begin();
        serde_json::to_writer(&mut self.json, item)?;
        let digest = digest(self.json.get(start..).unwrap_or_default());
        self.end(of, digest);
        Ok(())
    }

    /// Writes what was said of it before.
    fn take(&mut self, of: EntryId, text: &[u8], digest: Digest) {
        self.begin();
        self.json.extend_from_slice(text);
        self.end(of, digest);
    }

    fn begin(&mut self) -> usize {
        if !self.json.is_empty() {
            self.json.push(b',');
        }
        self.json.len()
    }

    fn end(&mut self, of: EntryId, digest: Digest) {
        self.marks.push(Mark { of, end: self.json.len() });
        self.digests.push(digest);
    }

    /// What was written, if there is anything. What comes next is written anew.
    pub fn finish(&mut self) -> Option<Items> {
        if self.json.is_empty() {
            return None;
        }
        let packed = lz4_flex::block::compress(&self.json).into();
        self.json.clear();
        let (marks, digests) = (self.marks.drain(..).collect(), self.digests.drain(..).collect());
        Some(Items { marks, digests, packed })
    }
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
    /// Of the first piece, once something of it was taken.
    json: Vec<u8>,
    /// How many bytes were unpacked.
    read: usize,
}

impl<'a> Earlier<'a> {
    fn new(earlier: Option<&'a ListText>) -> Self {
        let (ids, newest_entry, pieces) =
            earlier.map_or((&[][..], EntryId::default(), &[][..]), |it| (&*it.ids, it.newest, &*it.pieces));
        let (newest_part, parts) = (ids.iter().max().copied(), ids.iter().enumerate());
        Self { newest_part, newest_entry, parts, pieces, behind: 0, json: vec![], read: 0 }
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

    /// The text of an item and its digest; nothing where the entry is newer than the list, or is not named.
    fn item(&mut self, of: EntryId) -> io::Result<Option<(&[u8], Digest)>> {
        if of == EntryId::default() || of > self.newest_entry {
            return Ok(None);
        }
        let place = |(n, piece): (usize, &Piece)| {
            let behind = if n == 0 { self.behind } else { 0 };
            let next = piece.items.marks.iter().skip(behind).position(|it| it.of == of)?;
            Some((n, behind + next))
        };
        let found = self.pieces.iter().enumerate().find_map(place);
        debug_assert!(found.is_some(), "{of:?} is not new");
        let Some((n, at)) = found else { return Ok(None) };
        self.skip(n);
        self.behind = at + 1;
        let Some(Piece { items, .. }) = self.pieces.first() else { return Ok(None) };
        if self.json.is_empty() {
            items.unpack(&mut self.json)?;
            self.read += items.len();
        }
        Ok(items.text_in(&self.json, at).zip(items.digests.get(at).copied()))
    }

    fn skip(&mut self, pieces: usize) {
        if pieces > 0 {
            self.pieces = self.pieces.get(pieces..).unwrap_or_default();
            self.behind = 0;
            self.json.clear();
        }
    }
}
