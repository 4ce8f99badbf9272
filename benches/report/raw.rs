//! What the API server alone takes to tell everything: no less can a start take.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::LABEL;
use super::client::{Api, Http};
use super::figures::timed;

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
/// As clients that read in pages ask.
const PAGE: usize = 500;
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

/// curl, which knows how to be trusted by an API server.
pub struct Curl {
    server: String,
    configuration: PathBuf,
    _folder: TempDir,
}

impl Curl {
    /// # Errors
    /// When there is no curl.
    pub fn of(api: &Api) -> Result<Self, String> {
        let found = Command::new("curl").arg("--version").output();
        found.map_err(|error| format!("curl cannot be started: {error} (apt-get install curl)"))?;
        let folder = TempDir::new().map_err(|it| it.to_string())?;
        // Not among the arguments, which everybody on the machine may read.
        let configuration = folder.path().join("curlrc");
        let authority = folder.path().join("authority.pem");
        std::fs::write(&authority, api.authority()).map_err(|it| it.to_string())?;
        let token = api.token();
        let content = format!(
            "silent\nshow-error\nfail\ncacert = \"{}\"\nheader = \"Authorization: Bearer {token}\"\n",
            authority.display(),
        );
        std::fs::write(&configuration, content).map_err(|it| it.to_string())?;
        Ok(Self { server: api.server(), configuration, _folder: folder })
    }

    /// How long it takes to read all kinds at the same time, and how many answers that were.
    pub fn all_at_once(&self, collections: &[Collection], in_pages: bool) -> (Duration, usize) {
        let list = |it: &Collection| {
            let mut pages = 0;
            // For people, which it takes curl to be for, a server would indent what it says.
            it.list_with(in_pages, |path| self.get(&format!("{path}&pretty=false"), it.accept), |_| pages += 1);
            pages
        };
        timed(|| {
            thread::scope(|scope| {
                let lists: Vec<_> = collections.iter().map(|it| scope.spawn(move || list(it))).collect();
                lists.into_iter().map(|it| it.join().expect("a list")).sum()
            })
        })
    }

    fn get(&self, path: &str, accept: &str) -> Vec<u8> {
        let mut command = Command::new("curl");
        command.arg("--config").arg(&self.configuration).arg("--header").arg(accept.trim_end());
        let answer = command.arg(format!("{}{path}", self.server)).output().expect("curl runs");
        assert!(answer.status.success(), "{path}: {}", String::from_utf8_lossy(&answer.stderr));
        answer.stdout
    }
}

/// How many objects there are to read, and in how many pages.
pub fn count(api: &Api, collections: &[Collection]) -> (usize, usize) {
    let (mut count, mut pages) = (0, 0);
    for it in collections {
        let mut http = api.connect();
        let items = |page: &[u8]| {
            let page: Value = serde_json::from_slice(page).expect("JSON");
            count += page["items"].as_array().map_or(0, Vec::len);
            pages += 1;
        };
        it.list_with(true, |path| http.get(path, it.accept), items);
    }
    (count, pages)
}

/// Seconds that it takes to read the largest kind in one page, and as a streaming list.
pub fn compare_ways(api: &Api, collections: &[Collection], rounds: usize) -> (Vec<f64>, Vec<f64>) {
    let triggers = collections.iter().find(|it| it.path.ends_with("/triggers")).expect("triggers");
    let round = |_| {
        let page = timed(|| {
            let mut http = api.connect();
            triggers.list_with(false, |path| http.get(path, triggers.accept), |_| ());
        });
        let streamed = timed(|| triggers.stream(&mut api.connect()));
        (page.0.as_secs_f64(), streamed.0.as_secs_f64())
    };
    (0..rounds).map(round).unzip()
}

impl Collection {
    /// Follows the pages to the end, or reads all at once.
    fn list_with(&self, in_pages: bool, mut get: impl FnMut(&str) -> Vec<u8>, mut on_page: impl FnMut(&[u8])) {
        let Self { path, query, page, .. } = self;
        let limit = if in_pages { format!("&limit={page}") } else { String::new() };
        let mut rest = String::new();
        loop {
            let body = get(&format!("{path}?continue={rest}{limit}{query}"));
            on_page(&body);
            match continued(&body) {
                Some(more) => rest = more,
                None => return,
            }
        }
    }

    /// Reads a watch up to the end of its initial events.
    fn stream(&self, http: &mut Http<impl Read + Write>) {
        let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        http.send("GET", &format!("{}?{query}", self.path), self.accept, &[]);
        assert_eq!(http.head().status, 200);
        let mark = "k8s.io/initial-events-end";
        let mut text = vec![];
        loop {
            // The mark may begin in one chunk and end in the next.
            text.drain(..text.len().saturating_sub(mark.len()));
            assert!(http.chunk(&mut text), "the watch goes on");
            if text.windows(mark.len()).any(|it| it == mark.as_bytes()) {
                return;
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
