//! The forms of bodies: JSON and its compressions, each made once while it is kept, all together within a bound.
//!
//! JSON that is large is not made for one client alone: it is written while it is sent.
//!
//! Always true:
//! - all forms that there are, kept or under way to a client, take no more than [`Forms::new`] was told, and one body if
//!   that is larger; whoever asks for more waits, and is refused in the end;
//! - what is kept is at most half of that, so that there always is room for what is not;
//! - the forms of a body that is gone are not kept;
//! - what was begun is finished and kept, whoever waits for it: those who have little time get it when they ask again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tracing::info_span;

use super::kept::Kept;
use super::off_path;
use super::streamed::Streamed;
use super::text::Text;
use crate::api::error::ApiError;
use crate::api::negotiate::Encoding;
use crate::api::request::traced;
use crate::tally::{self, Cached, Lookups};

/// A text larger than this is written away from the threads that answer.
const LARGE: usize = 64 << 10;
/// JSON of more bytes than this, and more than a quarter of what may be kept, is written while it is sent, for the first
/// who asks for it: mostly there is nobody else before something changes, and it would take the place of much else in vain.
const STREAMED: usize = 1 << 20;
/// How many bytes of a text, about, become one when it is compressed. Where there is room for them from the beginning, they
/// need not be moved again and again.
const PACKED: usize = 8;
/// What a permit stands for, in bytes.
const UNIT: usize = 1 << 10;
/// How long a form that nobody asks for is kept. Whoever polls is answered 304, which takes the text alone, and after a change
/// there is another text: a form is for those who come soon after one another, and takes several times as much as the text.
/// Forms of what somebody saw before their rights changed go as well, with the next that is kept.
const MAX_IDLE: Duration = Duration::from_mins(2);
/// How long to wait for room.
const PATIENCE: Duration = Duration::from_secs(10);

/// The forms of all bodies.
#[derive(Clone)]
pub struct Forms(Arc<Inner>);

struct Inner {
    /// By the text's number and the encoding.
    kept: Kept<(u64, Encoding), Bytes>,
    room: Arc<Semaphore>,
    units: u32,
    numbers: AtomicU64,
    lookups: Lookups,
}

impl Forms {
    /// Forms of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(2);
        let kept = Kept::new(units as usize * UNIT / 2, MAX_IDLE);
        let room = Arc::new(Semaphore::new(units as usize));
        Self(Arc::new(Inner { kept, room, units, numbers: AtomicU64::new(0), lookups: Lookups::default() }))
    }

    /// The forms of one more text.
    pub fn of(&self, text: Text) -> Arc<FormsOf> {
        let number = self.0.numbers.fetch_add(1, Ordering::Relaxed);
        let (all, streamed, making) = (self.clone(), AtomicBool::new(false), Default::default());
        Arc::new(FormsOf { all, number, text, streamed, making })
    }

    /// How many are kept, and how many bytes those take and those that are being sent.
    pub fn cached(&self) -> Cached {
        let Inner { kept, room, units, lookups, .. } = &*self.0;
        let held = (*units as usize).saturating_sub(room.available_permits());
        let bytes = |units: usize| (units * UNIT) as u64;
        let bytes = tally::Bytes { held: bytes(held), limit: bytes(*units as usize) };
        Cached::new("forms", kept.totals().0 as u64, Some(bytes), lookups)
    }

    /// Waits for room for so many bytes. No one is kept waiting for more than half of all there is.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let units = units(bytes).min(self.0.units / 2);
        match tokio::time::timeout(PATIENCE, self.0.room.clone().acquire_many_owned(units)).await {
            Ok(room) => room.map_err(|error| ApiError::Internal(error.to_string())),
            Err(_) => Err(ApiError::NoRoom),
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// A form on its way to a client.
#[derive(Debug)]
pub enum Form {
    /// All of it, the same for all who ask.
    Whole(Bytes),
    /// Written for one client.
    Streamed(Streamed),
}

impl From<Form> for Body {
    fn from(form: Form) -> Self {
        match form {
            Form::Whole(bytes) => Self::from(bytes),
            Form::Streamed(streamed) => Self::new(streamed),
        }
    }
}

/// The forms of one text.
pub struct FormsOf {
    all: Forms,
    number: u64,
    text: Text,
    /// Whether somebody was sent the JSON while it was written.
    streamed: AtomicBool,
    /// Held while a form is made: whoever asks for the same waits for it.
    making: [Arc<Mutex<()>>; Encoding::ALL.len()],
}

impl FormsOf {
    /// A form, which is made now where it is not kept.
    ///
    /// # Errors
    /// When it cannot be made, or when there is no room.
    pub async fn get(self: &Arc<Self>, encoding: Encoding) -> Result<Form, ApiError> {
        let key = (self.number, encoding);
        let kept = self.all.0.kept.get(&key);
        self.all.0.lookups.note(kept.is_some());
        match kept {
            Some(kept) => Ok(Form::Whole(kept)),
            // Boxed, so that those who get what is kept need not move about all that it takes to make it.
            None => Box::pin(self.made(key)).await,
        }
    }

    /// A form that was not kept a moment ago.
    async fn made(self: &Arc<Self>, key: (u64, Encoding)) -> Result<Form, ApiError> {
        let (_, encoding) = key;
        if encoding == Encoding::Identity && self.is_for_one() {
            let room = self.all.room(self.text.size()).await?;
            return Ok(Form::Streamed(Streamed::new(self.text.clone(), room)));
        }
        let making = self.making(encoding).clone().lock_owned().await;
        if let Some(kept) = self.all.0.kept.get(&key) {
            return Ok(Form::Whole(kept));
        }
        // A form is not larger than the text; what it is smaller by is given back.
        let room = self.all.room(self.text.len()).await?;
        let this = self.clone();
        let write = move || {
            let _making = making;
            this.make(encoding, room)
        };
        let written = async { if self.text.len() > LARGE { off_path(write).await? } else { write() } };
        let span = || info_span!("compress", eventmesh.encoding = encoding.name());
        traced(span, written).await.map(Form::Whole)
    }

    /// Whether JSON that is asked for now is for this one client: it is large, and either nobody asked for it before or it
    /// could not be kept.
    fn is_for_one(&self) -> bool {
        let (len, room) = (self.text.len(), self.all.0.kept.room());
        len > STREAMED.max(room / 4) && (!self.streamed.swap(true, Ordering::Relaxed) || len > room)
    }

    /// Makes a form that has this room, and keeps it.
    fn make(&self, encoding: Encoding, mut room: OwnedSemaphorePermit) -> Result<Bytes, ApiError> {
        let written = written(&self.text, encoding);
        let bytes = written.map_err(|error| ApiError::Internal(format!("{}: {error}", encoding.name())))?;
        let spare = room.num_permits().saturating_sub(units(bytes.len()) as usize);
        drop(room.split(spare));
        let form = Bytes::from_owner(Roomed { bytes, _room: room });
        self.all.0.kept.put((self.number, encoding), form.clone(), form.len());
        Ok(form)
    }

    fn making(&self, encoding: Encoding) -> &Arc<Mutex<()>> {
        let [zstd, brotli, gzip, identity] = &self.making;
        match encoding {
            Encoding::Zstd => zstd,
            Encoding::Brotli => brotli,
            Encoding::Gzip => gzip,
            Encoding::Identity => identity,
        }
    }
}

impl Drop for FormsOf {
    fn drop(&mut self) {
        for encoding in Encoding::ALL {
            self.all.0.kept.remove(&(self.number, encoding));
        }
    }
}

/// Bytes, and the room that they take for as long as somebody holds them.
struct Roomed {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Roomed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes a text in an encoding, at a level at which the time to compress once is well spent on what is sent many times.
/// The text itself is never there as a whole, unless that is what is wanted.
fn written(text: &Text, encoding: Encoding) -> io::Result<Vec<u8>> {
    let packed = || Vec::with_capacity(text.len() / PACKED);
    let mut bytes = match encoding {
        Encoding::Zstd => {
            let mut encoder = zstd::Encoder::new(packed(), zstd_level(text.len()))?;
            encoder.set_pledged_src_size(Some(text.len() as u64))?;
            text.write(&mut encoder)?;
            encoder.finish()?
        }
        Encoding::Brotli => {
            let mut encoder = brotli::CompressorWriter::new(packed(), 64 << 10, 4, brotli_window(text.len()));
            text.write(&mut encoder)?;
            encoder.into_inner()
        }
        Encoding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(packed(), flate2::Compression::new(5));
            text.write(&mut encoder)?;
            encoder.finish()?
        }
        Encoding::Identity => {
            let mut json = Vec::with_capacity(text.len());
            text.write(&mut json)?;
            json
        }
    };
    // What was too much room is given back: the form counts by its length alone.
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// How hard to look for what repeats in a text of so many bytes. From about ten megabytes on, the least effort makes a mesh
/// no larger than some more does, in about half of the time; shorter ones are a few hundredths larger with it.
fn zstd_level(len: usize) -> i32 {
    if len < 10 << 20 { 3 } else { 1 }
}

/// How far back to look in a text of so many bytes, as the power of two: over all of it, up to 4 MiB. The compressor takes
/// twice the window, however short the text is.
fn brotli_window(len: usize) -> u32 {
    usize::BITS.saturating_sub(len.leading_zeros()).clamp(16, 22)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::super::text::testing::{text, written};
    use super::*;

    /// A text of a little more than so many KiB that no other is equal to.
    fn large(kib: usize, name: &str) -> Text {
        text(&[&[&name.repeat((kib << 10) / name.len())]])
    }

    fn kept(forms: &Forms) -> usize {
        forms.0.kept.totals().1
    }

    async fn sent(form: Form) -> Bytes {
        axum::body::to_bytes(form.into(), usize::MAX).await.unwrap()
    }

    #[tokio::test]
    async fn every_form_says_the_same() {
        for text in [text(&[]), text(&[&["a", "b"], &["c"]]), large(200, "abc")] {
            let (json, forms) = (written(&text), Forms::new(1 << 20).of(text));
            for encoding in Encoding::ALL {
                let form = sent(forms.get(encoding).await.unwrap()).await;
                let mut decoded = Vec::new();
                match encoding {
                    Encoding::Zstd => decoded = zstd::decode_all(&*form).unwrap(),
                    Encoding::Brotli => brotli::BrotliDecompress(&mut &*form, &mut decoded).unwrap(),
                    Encoding::Gzip => {
                        io::copy(&mut flate2::read::GzDecoder::new(&*form), &mut decoded).unwrap();
                    }
                    Encoding::Identity => decoded = form.to_vec(),
                }
                assert_eq!(String::from_utf8(decoded).unwrap(), json, "{}", encoding.name());
                let again = sent(forms.get(encoding).await.unwrap()).await;
                assert_eq!(again.as_ptr(), form.as_ptr(), "it is made once");
            }
        }
    }

    #[test]
    fn compressing_brotli_looks_back_over_all_of_a_text_and_no_further() {
        for (len, window) in [(0, 16), (1 << 16, 17), (100 << 10, 17), (1 << 20, 21), (4 << 20, 22), (64 << 20, 22)] {
            assert_eq!(brotli_window(len), window, "{len}");
        }
    }

    #[test]
    fn compressing_zstd_does_not_look_hard_where_it_finds_no_more() {
        for (len, level) in [(0, 3), (1 << 20, 3), (10 << 20, 1), (64 << 20, 1)] {
            assert_eq!(zstd_level(len), level, "{len}");
        }
        let long = large(11 << 10, "0123456789");
        assert_eq!(zstd_level(long.len()), 1);
        let decoded = zstd::decode_all(&*super::written(&long, Encoding::Zstd).unwrap()).unwrap();
        assert!(decoded == written(&long).as_bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_and_what_is_under_way_are_bounded_together() {
        let forms = Forms::new(100 << 10);
        let bodies: Vec<_> = (0..5).map(|n| forms.of(large(30, &n.to_string()))).collect();
        // Whoever reads slowly holds what is being sent.
        let mut held = vec![];
        for body in &bodies[..3] {
            held.push(body.get(Encoding::Identity).await.unwrap());
        }
        assert!(kept(&forms) <= 50 << 10);
        let refused = bodies[3].get(Encoding::Identity).await;
        assert_eq!(refused.unwrap_err(), ApiError::NoRoom);
        assert_eq!(bodies[3].get(Encoding::Zstd).await.unwrap_err(), ApiError::NoRoom, "it might be as large");
        let waiting = tokio::spawn(async move { sent(bodies[4].get(Encoding::Identity).await.unwrap()).await.len() });
        tokio::time::sleep(PATIENCE / 2).await;
        assert!(!waiting.is_finished());
        held.clear();
        assert!(waiting.await.unwrap() > 30 << 10, "room is given back");
    }

    /// Those who wait for no time at all get it in the end.
    #[tokio::test]
    async fn what_was_begun_is_kept_whoever_waits_for_it() {
        let forms = Forms::new(100 << 10);
        let body = forms.of(large(80, "patience"));
        let impatient = async {
            while body.get(Encoding::Gzip).now_or_never().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, impatient).await.expect("it is kept");
        assert!(kept(&forms) > 0);
        drop(body);
        let given_back = async {
            while (kept(&forms), forms.0.room.available_permits()) != (0, 100) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, given_back).await.expect("it goes with its body");
    }

    #[tokio::test]
    async fn what_is_larger_than_all_room_is_made_and_not_kept() {
        let forms = Forms::new(10 << 10);
        let body = forms.of(large(40, "large"));
        for _ in 0..2 {
            assert!(sent(body.get(Encoding::Identity).await.unwrap()).await.len() > 40 << 10);
        }
        assert_eq!(kept(&forms), 0);
        assert_eq!(forms.0.room.available_permits(), 10);
    }

    #[tokio::test]
    async fn what_was_used_last_stays() {
        let forms = Forms::new(100 << 10);
        let bodies: Vec<_> = (0..6).map(|n| forms.of(large(15, &n.to_string()))).collect();
        for body in &bodies {
            body.get(Encoding::Identity).await.unwrap();
            bodies[0].get(Encoding::Identity).await.unwrap();
        }
        let is_kept = |n: usize| forms.0.kept.get(&(bodies[n].number, Encoding::Identity)).is_some();
        assert_eq!([0, 1, 2, 3, 4, 5].map(is_kept), [true, false, false, false, true, true]);
    }

    #[tokio::test]
    async fn forms_go_with_their_body_and_with_the_last_who_reads_them() {
        let forms = Forms::new(100 << 10);
        let body = forms.of(large(20, "gone"));
        let form = body.get(Encoding::Identity).await.unwrap();
        body.get(Encoding::Gzip).await.unwrap();
        drop(body);
        assert_eq!(kept(&forms), 0);
        assert!(forms.0.room.available_permits() < 80);
        drop(form);
        assert_eq!(forms.0.room.available_permits(), 100);
    }

    #[tokio::test]
    async fn what_is_large_is_not_kept_for_one() {
        let forms = Forms::new(8 << 20);
        let item = "ab".repeat(15 << 10);
        let text = text(&[&[item.as_str()] as &[_]; 40]);
        let (json, len) = (written(&text), text.len());
        let body = forms.of(text);
        let mut streamed = Body::from(body.get(Encoding::Identity).await.unwrap());
        assert_eq!(streamed.size_hint().exact(), Some(len as u64));
        let frame = streamed.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(frame.len() < len / 8);
        assert_eq!(streamed.size_hint().exact(), Some((len - frame.len()) as u64));
        let room = forms.0.room.available_permits();
        assert!(room < 8 << 10, "the text counts for as long as it is read");
        assert!(room > 7 << 10, "the JSON is not there");
        let rest = axum::body::to_bytes(streamed, usize::MAX).await.unwrap();
        assert!([frame, rest].concat() == json.as_bytes());
        assert_eq!((kept(&forms), forms.0.room.available_permits()), (0, 8 << 10));

        let second = body.get(Encoding::Identity).await.unwrap();
        assert_eq!(kept(&forms), len);
        assert!(sent(second).await == json);
        body.get(Encoding::Gzip).await.unwrap();
        assert!(kept(&forms) > len, "what takes time is made once");
    }

    #[tokio::test]
    async fn what_has_no_place_is_never_there_as_a_whole() {
        let forms = Forms::new(2 << 20);
        let body = forms.of(large(1100, "ab"));
        for _ in 0..3 {
            assert!(matches!(body.get(Encoding::Identity).await, Ok(Form::Streamed(_))));
            assert_eq!(forms.0.room.available_permits(), 2 << 10, "it is given back by whoever reads no further");
        }
    }
}
