//! From a view to bytes, each piece of work done once.
//!
//! What is said of an object is rendered once per change of it and per grant; a text is put together once per view; a
//! form of it, such as one of its compressions, is made once. Views with equal content share bytes, whoever may see them
//! and whenever they were made. What is kept is bounded, and so is what is under way; what was used last stays.

mod forms;
mod kept;
mod streamed;
mod text;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::http::HeaderValue;
use hashbrown::DefaultHashBuilder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::info_span;

use self::forms::{Form, Forms, FormsOf};
use self::kept::Kept;
use self::text::{Text, Unwritten};
use super::error::ApiError;
use super::negotiate::Encoding;
use super::request::traced;
use crate::mesh::{Grant, Selection, Snapshot};
use crate::tally::{self, Cached, Lookups};

/// How much memory views may take when nobody says otherwise, in bytes.
pub const VIEW_MEMORY: usize = 256 << 20;
/// The part of it that is for texts as they are kept. The rest is for the forms in which they are sent.
const TEXTS: usize = 4;
/// What an entry of a cache takes beside its bytes, about; many small ones are a lot as well.
const ENTRY: usize = 2 << 10;
/// What a name takes in a grant, about.
const NAME: usize = 64;
/// How long a text that nobody asks for is kept. It takes little, and spares whoever comes back rendering all of it anew.
const MAX_IDLE: Duration = Duration::from_mins(10);

/// How many texts or forms are made at once. Those who ask for more wait, so that making them does not keep changes from
/// being linked.
static MAKERS: Semaphore = Semaphore::const_new(4);
/// How many bytes of a text may be written anew on a thread that answers.
const AT_ONCE: usize = 32 << 10;
/// How many texts of selections are made at once for those who may see the same. There are as many selections as one can
/// think of, and those of one must not keep the makers from all others.
const SELECTIONS: usize = 2;
/// How many more of them may wait.
const WAITING: usize = 32;
/// How many keys there may be before the first look at which of them are still needed.
const FEW: usize = 64;

/// The body of an answer, in all forms that are asked for.
pub struct Body {
    tag: Arc<str>,
    /// By encoding, quoted and with its suffix: most answers are 304 and need nothing else.
    etags: [HeaderValue; Encoding::ALL.len()],
    forms: Arc<FormsOf>,
}

impl Body {
    fn new(text: Text, forms: &Forms) -> Self {
        let tag = text.tag().clone();
        let etags = Encoding::ALL.map(|encoding| etag(&tag, encoding));
        Self { tag, etags, forms: forms.of(text) }
    }

    /// Names the content: equal content has equal tags, wherever and whenever it is rendered.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The entity tag of an encoding, whether or not it was made yet.
    pub fn etag(&self, encoding: Encoding) -> HeaderValue {
        let [zstd, brotli, gzip, identity] = &self.etags;
        match encoding {
            Encoding::Zstd => zstd.clone(),
            Encoding::Brotli => brotli.clone(),
            Encoding::Gzip => gzip.clone(),
            Encoding::Identity => identity.clone(),
        }
    }

    /// The body in an encoding, which is made now if it is not kept.
    ///
    /// # Errors
    /// When it cannot be made, or when all that is sent to clients takes too much memory already.
    pub async fn form(&self, encoding: Encoding) -> Result<Form, ApiError> {
        self.forms.get(encoding).await
    }
}

fn etag(tag: &str, encoding: Encoding) -> HeaderValue {
    let quoted = format!("\"{tag}{}\"", encoding.tag_suffix());
    HeaderValue::try_from(quoted).unwrap_or(HeaderValue::from_static("\"\""))
}

/// A grant and its hash: it may name thousands of objects.
#[derive(Clone)]
struct Hashed {
    grant: Arc<Grant>,
    hash: u64,
}

impl Hashed {
    fn new(grant: Arc<Grant>) -> Self {
        static HASHING: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);
        Self { hash: HASHING.hash_one(&grant), grant }
    }

    /// What stands for a grant among views of the snapshot that it was made for: however one comes to see everything,
    /// it is the same.
    fn standing_for(grant: Arc<Grant>) -> Self {
        static EVERYTHING: LazyLock<Hashed> = LazyLock::new(|| Hashed::new(Arc::new(Grant::everything())));
        if grant.is_everything() { EVERYTHING.clone() } else { Self::new(grant) }
    }
}

impl PartialEq for Hashed {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.grant == other.grant
    }
}

impl Eq for Hashed {}

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

/// A view and its body.
struct Latest {
    revision: u64,
    grant: Arc<Grant>,
    selection: Selection,
    body: Arc<Body>,
}

impl Latest {
    fn is(&self, revision: u64, grant: &Arc<Grant>, selection: &Selection) -> bool {
        self.revision == revision && Arc::ptr_eq(&self.grant, grant) && self.selection == *selection
    }
}

/// A text that was made of a view, and the body with its content.
#[derive(Clone)]
struct Made {
    text: Text,
    /// May be made of an earlier text: what differs is where shards begin, or which of them are known by another name.
    body: Arc<Body>,
}

/// The views of one grant and selection: the newest, with the revision that it was made from.
#[derive(Default)]
struct Views {
    newest: Mutex<Option<(u64, Made)>>,
    /// Held while one is made: whoever asks for the same waits for it.
    making: Arc<tokio::sync::Mutex<()>>,
}

impl Views {
    fn newest(&self) -> Option<(u64, Made)> {
        locked(&self.newest).clone()
    }
}

/// The bodies of views, kept while they are asked for.
#[derive(Clone)]
pub struct Bodies {
    views: Arc<Kept<(Hashed, Selection), Arc<Views>>>,
    forms: Forms,
    /// The view that was made last. Mostly there is one who polls, and who finds it here needs no cache.
    latest: Arc<ArcSwapOption<Latest>>,
    /// Bodies by tag.
    by_tag: Arc<Mutex<Held<Arc<str>, Body>>>,
    /// By the hash of the grant, which is large: of the few that there are, hardly two have the same.
    queues: Arc<Mutex<Held<u64, Queue>>>,
    lookups: Arc<Lookups>,
}

/// What somebody still holds, by a key.
struct Held<K, V> {
    by_key: HashMap<K, Weak<V>>,
    /// With how many keys to look again for those that nobody needs: looking each time would cost more than it gains.
    full: usize,
}

impl<K, V> Default for Held<K, V> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), full: FEW }
    }
}

impl<K: Eq + Hash, V> Held<K, V> {
    /// What there already is, or else what is made.
    fn get_or(&mut self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(held) = self.by_key.get(&key).and_then(Weak::upgrade) {
            return held;
        }
        if self.by_key.len() >= self.full {
            self.by_key.retain(|_, it| it.strong_count() > 0);
            self.full = FEW.max(2 * self.by_key.len());
        }
        let value = Arc::new(make());
        self.by_key.insert(key, Arc::downgrade(&value));
        value
    }
}

/// Those who may see the same and ask for selections.
struct Queue {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Queue {
    fn default() -> Self {
        let semaphore = |count| Arc::new(Semaphore::new(count));
        Self { places: semaphore(SELECTIONS + WAITING), turns: semaphore(SELECTIONS) }
    }
}

/// The right to make a body, for as long as it is held.
struct Turn {
    _place: OwnedSemaphorePermit,
    _next: OwnedSemaphorePermit,
    _queue: Arc<Queue>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new(VIEW_MEMORY)
    }
}

impl Bodies {
    /// Bodies that take so many bytes of memory, about, all together.
    pub fn new(bytes: usize) -> Self {
        let texts = bytes / TEXTS;
        Self {
            views: Arc::new(Kept::new(texts, MAX_IDLE)),
            forms: Forms::new(bytes - texts),
            latest: Arc::default(),
            by_tag: Arc::default(),
            queues: Arc::default(),
            lookups: Arc::default(),
        }
    }

    /// What is kept, and of forms also what is being sent.
    pub fn caches(&self) -> [Cached; 2] {
        let ((entries, held), limit) = (self.views.totals(), self.views.room());
        let bytes = tally::Bytes { held: held as u64, limit: limit as u64 };
        [Cached::new("views", entries as u64, Some(bytes), &self.lookups), self.forms.cached()]
    }

    /// The body of a view of a snapshot. Those who ask for the same at the same time wait for one rendering.
    ///
    /// The grant is one that was made for this snapshot: what it allows, it allows of no other.
    ///
    /// # Errors
    /// When it cannot be rendered.
    pub async fn get(
        &self,
        snapshot: &Arc<Snapshot>,
        grant: Arc<Grant>,
        selection: Selection,
    ) -> Result<Arc<Body>, ApiError> {
        let revision = snapshot.revision();
        if let Some(latest) = &*self.latest.load()
            && latest.is(revision, &grant, &selection)
        {
            self.lookups.note(true);
            return Ok(latest.body.clone());
        }
        let key = (Hashed::standing_for(grant.clone()), selection);
        let views = self.views.get_or(&key, || (Arc::default(), entry(&key.0.grant, &key.1)));
        let newest = views.newest().filter(|(made_from, _)| *made_from == revision);
        self.lookups.note(newest.is_some());
        match newest {
            Some((_, made)) => Ok(made.body),
            // Boxed, so that those whose answer is there need not move about all that it takes to make one.
            None => Box::pin(self.renewed(views, snapshot, grant, key)).await,
        }
    }

    /// The body of a view that was not there a moment ago.
    async fn renewed(
        &self,
        views: Arc<Views>,
        snapshot: &Arc<Snapshot>,
        grant: Arc<Grant>,
        key: (Hashed, Selection),
    ) -> Result<Arc<Body>, ApiError> {
        let revision = snapshot.revision();
        let making = views.making.clone().lock_owned().await;
        let earlier = match views.newest() {
            Some((made_from, made)) if made_from == revision => return Ok(made.body),
            Some((made_from, _)) if made_from > revision => {
                // Who comes late has nothing that others wait for.
                drop(making);
                return self.render(snapshot.clone(), key, None, |_, made| made.body).await;
            }
            newest => newest.map(|(_, made)| made),
        };
        // What takes no longer than waiting for somebody else to do it.
        let at_once = earlier.as_ref().and_then(|it| self.made(snapshot, &key, Some(it), AT_ONCE).ok());
        let bodies = self.clone();
        let keep = move |key, made| {
            let body = bodies.keep(views, revision, grant, key, made);
            drop(making);
            body
        };
        match at_once {
            Some(made) => Ok(keep(key, made)),
            None => self.render(snapshot.clone(), key, earlier, keep).await,
        }
    }

    /// Keeps what was made of a view.
    fn keep(
        &self,
        views: Arc<Views>,
        revision: u64,
        grant: Arc<Grant>,
        key: (Hashed, Selection),
        made: Made,
    ) -> Arc<Body> {
        *locked(&views.newest) = Some((revision, made.clone()));
        let Made { text, body } = made;
        let selection = key.1.clone();
        let size = entry(&key.0.grant, &selection) + text.size();
        self.latest.store(Some(Arc::new(Latest { revision, grant, selection, body: body.clone() })));
        self.views.put(key, views, size);
        body
    }

    /// Makes what is kept in the end: it is finished whoever waits for it, so that those who have little time get it when they
    /// ask again.
    async fn render(
        &self,
        snapshot: Arc<Snapshot>,
        key: (Hashed, Selection),
        earlier: Option<Made>,
        keep: impl FnOnce((Hashed, Selection), Made) -> Arc<Body> + Send + 'static,
    ) -> Result<Arc<Body>, ApiError> {
        // The whole view is not counted: whoever polls it is not kept waiting by selections.
        let turn = if key.1.is_everything() { None } else { Some(self.turn(&key.0).await?) };
        let bodies = self.clone();
        let making = off_path(move || {
            let _turn = turn;
            bodies.made(&snapshot, &key, earlier.as_ref(), usize::MAX).map(|made| keep(key, made))
        });
        let made = traced(|| info_span!("render"), making).await?;
        made.map_err(|error| ApiError::Internal(error.to_string()))
    }

    fn made(
        &self,
        snapshot: &Snapshot,
        (grant, selection): &(Hashed, Selection),
        earlier: Option<&Made>,
        effort: usize,
    ) -> Result<Made, Unwritten> {
        let text = Text::of(snapshot.view(&grant.grant, selection), earlier.map(|it| &it.text), effort)?;
        let body = self.body(&text);
        Ok(Made { text, body })
    }

    /// The body with the content of a text that there already is, or else a new one.
    fn body(&self, text: &Text) -> Arc<Body> {
        locked(&self.by_tag).get_or(text.tag().clone(), || Body::new(text.clone(), &self.forms))
    }

    /// Waits for the turn to make the body of a selection.
    async fn turn(&self, grant: &Hashed) -> Result<Turn, ApiError> {
        let queue = locked(&self.queues).get_or(grant.hash, Queue::default);
        let place = queue.places.clone().try_acquire_owned().map_err(|_| ApiError::TooManySelections)?;
        let turn = queue.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|error| ApiError::Internal(error.to_string()))?;
        Ok(Turn { _place: place, _next: turn, _queue: queue })
    }
}

/// What an entry takes beside the text of its view.
fn entry(grant: &Grant, selection: &Selection) -> usize {
    // A selection is held in pieces, and a grant may name thousands of namespaces and objects.
    ENTRY + 8 * selection.written_len() + NAME * grant.names()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs work that takes its time away from the threads that answer.
async fn off_path<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let permit = MAKERS.acquire().await.map_err(|error| ApiError::Internal(error.to_string()))?;
    // The work goes on when the one who asked goes away, and the permit with it.
    let permitted = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(permitted).await.map_err(|error| ApiError::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::mesh::grant::Scope;

    fn within(namespaces: &[&str]) -> Arc<Grant> {
        Arc::new(Grant::scoped(Scope::Namespaces(namespaces.iter().map(ToString::to_string).collect())))
    }

    fn selected(labels: &str) -> Selection {
        Selection { labels: labels.parse().unwrap(), ..Selection::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn selections_of_one_are_nobody_elses_wait() {
        let (bodies, snapshot) = (Bodies::default(), Arc::new(Snapshot::default()));
        let get = |grant: Arc<Grant>, selection| {
            let (bodies, snapshot) = (bodies.clone(), snapshot.clone());
            async move { bodies.get(&snapshot, grant, selection).await.map(|_| ()) }
        };
        let greedy = within(&["a"]);
        let hashed = Hashed::new(greedy.clone());
        let first = bodies.turn(&hashed).await.ok().unwrap();
        let second = bodies.turn(&hashed).await.ok().unwrap();
        let waiting: Vec<_> =
            (0..WAITING).map(|n| tokio::spawn(get(greedy.clone(), selected(&format!("waits={n}"))))).collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(waiting.iter().all(|it| !it.is_finished()));
        // Equal rights are the same, whoever has them.
        assert_eq!(get(within(&["a"]), selected("one=more")).await, Err(ApiError::TooManySelections));
        assert_eq!(get(greedy.clone(), Selection::default()).await, Ok(()), "the whole view is not counted");
        assert_eq!(get(within(&["b"]), selected("one=more")).await, Ok(()), "nor are others");
        // Who goes away makes place.
        waiting[0].abort();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let next = tokio::spawn(get(greedy.clone(), selected("one=more")));
        drop(first);
        for it in waiting.into_iter().skip(1).chain([next]) {
            assert_eq!(it.await.unwrap(), Ok(()));
        }
        drop(second);
        assert_eq!(get(greedy, selected("yet=more")).await, Ok(()));
    }

    /// Those who wait for no time at all get it in the end.
    #[tokio::test]
    async fn what_was_begun_is_finished_whoever_waits_for_it() {
        let (bodies, snapshot) = (Bodies::default(), Arc::new(Snapshot::default()));
        let impatient = async {
            while bodies.get(&snapshot, within(&["a"]), Selection::default()).now_or_never().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), impatient).await.expect("it is kept");
    }

    #[tokio::test]
    async fn who_may_see_many_single_namespaces_takes_as_much_room() {
        let names: Vec<_> = (0..1000).map(|it| it.to_string()).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let size = async |grant: Arc<Grant>| {
            let bodies = Bodies::default();
            bodies.get(&Arc::new(Snapshot::default()), grant, Selection::default()).await.unwrap();
            bodies.views.totals().1
        };
        let (few, many) = (size(within(&["0"])).await, size(within(&names)).await);
        assert_eq!(many - few, 999 * NAME);
    }

    #[test]
    fn what_is_held_is_found_and_the_rest_is_cleared_away_now_and_then() {
        let mut held = Held::default();
        let kept: Vec<_> = (0..FEW).map(|n| held.get_or(n, || n)).collect();
        for n in FEW..100 * FEW {
            held.get_or(n, || n);
            assert!(held.by_key.len() <= 2 * FEW, "{n}");
        }
        for (n, it) in kept.iter().enumerate() {
            assert!(Arc::ptr_eq(it, &held.get_or(n, || 0)));
        }
        drop(kept);
        assert_eq!(*held.get_or(0, || 7), 7, "nobody holds it any more");
    }
}
