//! What the API server alone takes to tell everything: no less can a start take.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::{Api, Http};
use super::{LABEL, load_of_the_machine, median, megabytes, seconds};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CORE: [&str; 4] = [
    "brokers.eventing.knative.dev",
    "eventtypes.eventing.knative.dev",
    "triggers.eventing.knative.dev",
    "subscriptions.messaging.knative.dev",
];
const MARKS: [&str; 2] = ["messaging.knative.dev/subscribable", "duck.knative.dev/source"];
/// The kinds of the generated subscribers.
const SUBSCRIBERS: [&str; 3] =
    ["/api/v1/services", "/apis/apps/v1/deployments", "/apis/serving.knative.dev/v1/services"];
const WHOLE: &str = "accept: application/json\r\n";
const METADATA: &str = "accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json\r\n";
/// The same as the service asks for.
pub const PAGE: usize = 500;
const PAGE_OF_DEFINITIONS: usize = 25;

/// A collection as the service reads it.
#[derive(Clone)]
pub struct Collection {
    path: String,
    query: String,
    accept: &'static str,
    page: usize,
}

/// All that the service reads.
pub fn collections(api: &Api) -> Vec<Collection> {
    let whole = |path: String, page| Collection { path, query: String::new(), accept: WHOLE, page };
    let mut all = vec![whole(DEFINITIONS.into(), PAGE_OF_DEFINITIONS)];
    let definitions = api.json(DEFINITIONS);
    for it in definitions["items"].as_array().expect("definitions") {
        let name = it["metadata"]["name"].as_str().expect("a name");
        if CORE.contains(&name) || MARKS.iter().any(|mark| it["metadata"]["labels"][mark] == "true") {
            let (group, plural) = (&it["spec"]["group"], &it["spec"]["names"]["plural"]);
            let stored = it["spec"]["versions"].as_array().expect("versions").iter().find(|it| it["storage"] == true);
            let text = |it: &Value| it.as_str().expect("text").to_owned();
            let version = text(&stored.expect("a stored version")["name"]);
            all.push(whole(format!("/apis/{}/{version}/{}", text(group), text(plural)), PAGE));
        }
    }
    let labeled = |path: &&str| Collection {
        query: format!("&labelSelector={}", LABEL.replace('/', "%2F")),
        accept: METADATA,
        ..whole((*path).into(), PAGE)
    };
    all.extend(SUBSCRIBERS.iter().map(labeled));
    all
}

/// What came, and how long it took.
#[derive(Clone, Copy, Default)]
pub struct Taken {
    pub bytes: usize,
    pub time: Duration,
}

impl Taken {
    fn of(read: impl FnOnce() -> usize) -> Self {
        let began = Instant::now();
        Self { bytes: read(), time: began.elapsed() }
    }
}

/// One kind after the other.
pub fn one_by_one(api: &Api, collections: &[Collection]) -> Taken {
    Taken::of(|| collections.iter().map(|it| it.list(&mut api.connect(), |_| ())).sum())
}

/// All kinds at the same time.
pub fn all_at_once(api: &Api, collections: &[Collection]) -> Taken {
    Taken::of(|| {
        thread::scope(|scope| {
            let list = |it| scope.spawn(move || Collection::list(it, &mut api.connect(), |_| ()));
            let threads: Vec<_> = collections.iter().map(list).collect();
            threads.into_iter().map(|it| it.join().expect("a list")).sum()
        })
    })
}

/// How many objects there are to read.
pub fn count(api: &Api, collections: &[Collection]) -> usize {
    let mut count = 0;
    for it in collections {
        it.list(&mut api.connect(), |page| {
            let page: Value = serde_json::from_slice(page).expect("JSON");
            count += page["items"].as_array().map_or(0, Vec::len);
        });
    }
    count
}

/// How often each way to read a kind is tried.
const ROUNDS: usize = 2;

/// Tells how long several ways to read the largest kind take, side by side.
pub fn compare_ways(api: &Api, collections: &[Collection]) {
    let triggers = collections.iter().find(|it| it.path.ends_with("/triggers")).expect("triggers");
    let paged = |page: usize| {
        let pages = Collection { page, ..triggers.clone() };
        let name = if page == 0 { "one page".to_owned() } else { format!("pages of {page}") };
        (name, Taken::of(|| pages.list(&mut api.connect(), |_| ())))
    };
    let mut times: BTreeMap<String, (usize, Vec<f64>)> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut tried: Vec<_> = [PAGE, 1000, 2000, 5000, 0].map(paged).into();
        let streamed = Taken::of(|| triggers.stream(&mut api.connect()));
        tried.push(("a streaming list".to_owned(), streamed));
        for (name, taken) in tried {
            let (bytes, times) = times.entry(name).or_default();
            *bytes = taken.bytes;
            times.push(taken.time.as_secs_f64());
        }
    }
    println!("the triggers, read raw ({}):", load_of_the_machine());
    for (name, (bytes, times)) in times {
        println!("  {name}: {} in {}", megabytes(bytes), seconds(median(&times)));
    }
}

impl Collection {
    /// Follows the pages to the end; returns how many bytes came.
    fn list(&self, http: &mut Http<impl Read + Write>, mut on_page: impl FnMut(&[u8])) -> usize {
        let Self { path, query, page, .. } = self;
        let (mut bytes, mut rest) = (0, String::new());
        loop {
            let limit = if *page == 0 { String::new() } else { format!("&limit={page}") };
            let body = http.get(&format!("{path}?continue={rest}{limit}{query}"), self.accept);
            bytes += body.len();
            on_page(&body);
            match continued(&body) {
                Some(more) => rest = more,
                None => return bytes,
            }
        }
    }

    /// Reads a watch up to the end of its initial events; returns how many bytes came.
    fn stream(&self, http: &mut Http<impl Read + Write>) -> usize {
        let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        http.send("GET", &format!("{}?{query}", self.path), self.accept, &[]);
        assert_eq!(http.head().status, 200);
        let mark = "k8s.io/initial-events-end";
        let (mut bytes, mut text) = (0, vec![]);
        loop {
            // The mark may begin in one chunk and end in the next.
            text.drain(..text.len().saturating_sub(mark.len()));
            let before = text.len();
            assert!(http.chunk(&mut text), "the watch goes on");
            bytes += text.len() - before;
            if String::from_utf8_lossy(&text).contains(mark) {
                return bytes;
            }
        }
    }
}

/// Where a page says that there is more, without parsing it: its metadata come first or last.
fn continued(page: &[u8]) -> Option<String> {
    const END: usize = 4096;
    let (first, last) = (&page[..page.len().min(END)], &page[page.len().saturating_sub(END)..]);
    [first, last].into_iter().find_map(|it| {
        let text = String::from_utf8_lossy(it);
        let (_, rest) = text.split_once(r#""continue":""#)?;
        let (token, _) = rest.split_once('"')?;
        (!token.is_empty()).then(|| token.to_owned())
    })
}
