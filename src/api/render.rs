//! From a view to bytes, each piece of work done once.
//!
//! A shard is rendered once per revision of it and per grant; a body is put together once per view; an encoding of a
//! body is made once. Views with equal content share bytes, whoever may see them and whenever they were made.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::io::{self, Write as _};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::http::HeaderValue;
use bytes::Bytes;
use hashbrown::DefaultHashBuilder;
use serde::Serialize;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::dto;
use super::error::ApiError;
use super::negotiate::Encoding;
use crate::mesh::snapshot::ShardId;
use crate::mesh::view::Part;
use crate::mesh::{Grant, Selection, Snapshot, View};
use crate::tally::{self, Cached, Lookups};

/// How many bytes of rendered shards are kept, about.
const MAX_FRAGMENTS: u64 = 128 << 20;
/// How many bytes of bodies are kept, about.
const MAX_BODIES: u64 = 512 << 20;
/// What an entry of a cache takes beside its bytes, about; many small ones are a lot as well.
const ENTRY: usize = 2 << 10;
/// How long what nobody asks for is kept.
const MAX_IDLE: Duration = Duration::from_mins(10);
/// A body larger than this is compressed away from the threads that answer.
const LARGE: usize = 64 << 10;

/// How many bodies are made at once. Those who ask for more wait, so that making them does not keep changes from being
/// linked.
static MAKERS: Semaphore = Semaphore::const_new(4);
/// How many bodies of selections are made at once for those who may see the same. There are as many selections as one can
/// think of, and those of one must not keep the makers from all others.
const SELECTIONS: usize = 2;
/// How many more of them may wait.
const WAITING: usize = 32;
/// How many keys there may be before the first look at which of them are still needed.
const FEW: usize = 64;

/// The body of an answer, in all forms that were asked for so far.
#[derive(Debug)]
pub struct Body {
    /// Names the content: equal content has equal tags, wherever and whenever it is rendered.
    tag: String,
    /// By encoding, quoted and with its suffix: most answers are 304 and need nothing else.
    etags: [HeaderValue; Encoding::ALL.len()],
    identity: Bytes,
    compressed: [OnceCell<Bytes>; 3],
}

impl Body {
    fn new(json: Vec<u8>) -> Self {
        let tag = blake3::hash(&json).to_hex().as_str().get(..32).unwrap_or_default().to_owned();
        let etags = Encoding::ALL.map(|encoding| etag(&tag, encoding));
        Self { tag, etags, identity: json.into(), compressed: Default::default() }
    }

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

    /// The body in an encoding, which is made now if nobody has asked for it before.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn form(&self, encoding: Encoding) -> Result<&Bytes, ApiError> {
        match self.cell(encoding) {
            None => Ok(&self.identity),
            Some(cell) => cell.get_or_try_init(|| self.compress(encoding)).await,
        }
    }

    fn cell(&self, encoding: Encoding) -> Option<&OnceCell<Bytes>> {
        let [zstd, brotli, gzip] = &self.compressed;
        match encoding {
            Encoding::Zstd => Some(zstd),
            Encoding::Brotli => Some(brotli),
            Encoding::Gzip => Some(gzip),
            Encoding::Identity => None,
        }
    }

    async fn compress(&self, encoding: Encoding) -> Result<Bytes, ApiError> {
        let json = self.identity.clone();
        let compressed = if json.len() > LARGE {
            off_path(move || compressed(&json, encoding)).await?
        } else {
            compressed(&json, encoding)
        };
        compressed.map(Bytes::from).map_err(|error| ApiError::Internal(format!("{}: {error}", encoding.name())))
    }
}

fn etag(tag: &str, encoding: Encoding) -> HeaderValue {
    let quoted = format!("\"{tag}{}\"", encoding.tag_suffix());
    HeaderValue::try_from(quoted).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Levels at which the time to compress once is well spent on what is sent many times.
fn compressed(json: &[u8], encoding: Encoding) -> io::Result<Vec<u8>> {
    match encoding {
        Encoding::Zstd => zstd::encode_all(json, 3),
        Encoding::Brotli => {
            let mut writer = brotli::CompressorWriter::new(Vec::new(), 64 << 10, 4, 22);
            writer.write_all(json)?;
            Ok(writer.into_inner())
        }
        Encoding::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(5));
            writer.write_all(json)?;
            writer.finish()
        }
        Encoding::Identity => Ok(json.to_vec()),
    }
}

/// A grant and its hash: it may name thousands of objects, and is looked for with each shard.
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

/// A body, or why there is none.
type Rendered = Result<Arc<Body>, ApiError>;

/// The bodies of views, kept while they are asked for.
#[derive(Clone)]
pub struct Bodies {
    fragments: moka::sync::Cache<(ShardId, Hashed), Arc<Fragment>>,
    /// The newest body for each grant and selection, with the revision that it was made from.
    views: moka::future::Cache<(Hashed, Selection), (u64, Rendered), DefaultHashBuilder>,
    /// The view that was made last. Mostly there is one who polls, and who finds it here needs no cache.
    latest: Arc<ArcSwapOption<Latest>>,
    /// Bodies by tag.
    by_tag: Arc<Mutex<Held<String, Body>>>,
    queues: Arc<Mutex<Held<Hashed, Queue>>>,
    looked_for_fragments: Arc<Lookups>,
    looked_for_views: Arc<Lookups>,
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
        let weight = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let fragments = moka::sync::Cache::builder()
            .max_capacity(MAX_FRAGMENTS)
            .time_to_idle(MAX_IDLE)
            .weigher(move |_, it: &Arc<Fragment>| weight(ENTRY + it.bytes()))
            .build();
        let views = moka::future::Cache::builder()
            .max_capacity(MAX_BODIES)
            .time_to_idle(MAX_IDLE)
            .weigher(move |(_, selection): &(_, Selection), (_, it): &(u64, Rendered)| {
                // A body has room for its compressed forms, and a selection is held in pieces.
                let body = it.as_ref().map_or(0, |it| 2 * it.identity.len());
                weight(ENTRY + 8 * selection.written_len() + body)
            })
            .build_with_hasher(DefaultHashBuilder::default());
        Self {
            fragments,
            views,
            latest: Arc::default(),
            by_tag: Arc::default(),
            queues: Arc::default(),
            looked_for_fragments: Arc::default(),
            looked_for_views: Arc::default(),
        }
    }
}

impl Bodies {
    /// Brings up to date what is counted late.
    pub async fn settle(&self) {
        self.fragments.run_pending_tasks();
        self.views.run_pending_tasks().await;
    }

    /// What is kept.
    pub fn caches(&self) -> [Cached; 2] {
        let cached = |name, entries, held, limit: Option<u64>, lookups: &Lookups| Cached {
            name,
            entries,
            bytes: limit.map(|limit| tally::Bytes { held, limit }),
            hits: lookups.hits(),
            misses: lookups.misses(),
        };
        let Self { fragments, views, .. } = self;
        let (of_fragments, of_views) = (fragments.policy().max_capacity(), views.policy().max_capacity());
        [
            cached("views", views.entry_count(), views.weighted_size(), of_views, &self.looked_for_views),
            cached(
                "fragments",
                fragments.entry_count(),
                fragments.weighted_size(),
                of_fragments,
                &self.looked_for_fragments,
            ),
        ]
    }

    /// The body of a view of a snapshot. Those who ask for the same at the same time wait for one rendering.
    ///
    /// # Errors
    /// When it cannot be rendered.
    pub async fn get(&self, snapshot: &Arc<Snapshot>, grant: Arc<Grant>, selection: Selection) -> Rendered {
        let revision = snapshot.revision();
        if let Some(latest) = &*self.latest.load()
            && latest.is(revision, &grant, &selection)
        {
            self.looked_for_views.note(true);
            return Ok(latest.body.clone());
        }
        let key = (Hashed::new(grant), selection);
        // What a grant allows, it allows of the snapshot that it was made for, and of no other.
        let view = self.views.get(&key).await;
        self.looked_for_views.note(matches!(&view, Some((made_from, Ok(_))) if *made_from == revision));
        match view {
            Some((made_from, Ok(body))) if made_from == revision => return Ok(body),
            Some((made_from, _)) if made_from > revision => return self.render(snapshot.clone(), key).await,
            _ => (),
        }
        let rendered = async {
            let rendered = self.render(snapshot.clone(), key.clone()).await;
            if let Ok(body) = &rendered {
                let (Hashed { grant, .. }, selection) = key.clone();
                self.latest.store(Some(Arc::new(Latest { revision, grant, selection, body: body.clone() })));
            }
            (revision, rendered)
        };
        // A failure is tried again by the next one who asks.
        let outdated = |(made_from, it): &(u64, Rendered)| *made_from < revision || it.is_err();
        // Boxed, so that those who find a body need not move about all that it takes to make one.
        let (made_from, body) =
            Box::pin(self.views.entry(key.clone()).or_insert_with_if(rendered, outdated)).await.into_value();
        // Whoever waited for another may be given what that one asked for.
        if made_from == revision { body } else { self.render(snapshot.clone(), key).await }
    }

    async fn render(&self, snapshot: Arc<Snapshot>, (grant, selection): (Hashed, Selection)) -> Rendered {
        // The whole view is not counted: whoever polls it is not kept waiting by selections.
        let turn = if selection.is_everything() { None } else { Some(self.turn(&grant).await?) };
        let bodies = self.clone();
        off_path(move || {
            let _turn = turn;
            let view = snapshot.view(&grant.grant, &selection);
            let body = Body::new(bodies.json(view, &grant)?);
            Ok(bodies.shared(body))
        })
        .await?
        .map_err(|error: serde_json::Error| ApiError::Internal(error.to_string()))
    }

    /// Waits for the turn to make the body of a selection.
    async fn turn(&self, grant: &Hashed) -> Result<Turn, ApiError> {
        let queue = locked(&self.queues).get_or(grant.clone(), Queue::default);
        let place = queue.places.clone().try_acquire_owned().map_err(|_| ApiError::TooManySelections)?;
        let turn = queue.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|error| ApiError::Internal(error.to_string()))?;
        Ok(Turn { _place: place, _next: turn, _queue: queue })
    }

    fn json(&self, view: View<'_>, grant: &Hashed) -> serde_json::Result<Vec<u8>> {
        let fragments = view.parts().map(|part| self.fragment(&part, grant)).collect::<Result<Vec<_>, _>>()?;
        let mut json = Vec::with_capacity(fragments.iter().map(|it| it.bytes() + 4).sum::<usize>() + 64);
        for (n, name) in LISTS.iter().enumerate() {
            json.extend_from_slice(if n == 0 { b"{\"" } else { b",\"" });
            json.extend_from_slice(name.as_bytes());
            json.extend_from_slice(b"\":[");
            let mut filled = fragments.iter().filter_map(|it| it.0.get(n)).filter(|it| !it.is_empty());
            json.extend(filled.next().into_iter().flatten());
            for more in filled {
                json.push(b',');
                json.extend_from_slice(more);
            }
            json.push(b']');
        }
        json.push(b'}');
        Ok(json)
    }

    fn fragment(&self, part: &Part<'_>, grant: &Hashed) -> serde_json::Result<Arc<Fragment>> {
        let Some(id) = part.id() else { return Fragment::new(*part).map(Arc::new) };
        let key = (id, grant.clone());
        let kept = self.fragments.get(&key);
        self.looked_for_fragments.note(kept.is_some());
        if let Some(fragment) = kept {
            return Ok(fragment);
        }
        let fragment = Arc::new(Fragment::new(*part)?);
        self.fragments.insert(key, fragment.clone());
        Ok(fragment)
    }

    /// The body with this content that there already is, or else this one.
    fn shared(&self, body: Body) -> Arc<Body> {
        locked(&self.by_tag).get_or(body.tag.clone(), || body)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The four lists of an answer, in their order in it.
const LISTS: [&str; 4] = ["eventTypes", "brokers", "subscribables", "sources"];

/// What one shard contributes to each of the [`LISTS`]: items joined by commas.
#[derive(Debug)]
struct Fragment([Vec<u8>; 4]);

impl Fragment {
    fn new(part: Part<'_>) -> serde_json::Result<Self> {
        Ok(Self([
            joined(part.event_types().map(dto::EventType::from))?,
            joined(part.brokers().map(dto::Broker::from))?,
            joined(part.subscribables().map(dto::Subscribable::from))?,
            joined(part.sources().map(dto::Source::from))?,
        ]))
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

fn joined(items: impl Iterator<Item = impl Serialize>) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::new();
    for item in items {
        if !json.is_empty() {
            json.push(b',');
        }
        serde_json::to_writer(&mut json, &item)?;
    }
    json.shrink_to_fit();
    Ok(json)
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
