//! Keeping up with the folders: told by the system where it tells, and by looking now and then in any case.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::{Manifests, Problem, scan};
use crate::index::status::Status;
use crate::index::{Batch, Closed, Feed};

/// How often to look without being told: not every file system tells, and a folder that went away cannot be watched.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);

/// Reports the folders' objects and keeps them up to date, for as long as there is an index. What is wrong with the
/// files is logged when it appears, and told as it is now.
///
/// # Errors
/// When the index has ended.
pub async fn run(mut manifests: Manifests, feed: Feed) -> Result<(), Closed> {
    let (mut watches, mut changes) = Watches::new(&manifests.options.roots);
    let settle = manifests.options.settle;
    let (mut was_complete, mut problems) = (false, vec![]);
    loop {
        watches.renew();
        let (refreshed, updates) = refresh(manifests).await;
        manifests = refreshed;
        let complete = was_complete || manifests.is_complete();
        if !updates.is_empty() {
            info!(files = manifests.file_count(), objects = manifests.object_count(), "Manifests read");
        }
        let status = (problems != manifests.problems()).then(|| {
            log(&problems, manifests.problems());
            problems = manifests.problems().to_vec();
            Status { problems: problems.iter().map(ToString::to_string).collect(), ..Status::default() }
        });
        if !updates.is_empty() || complete != was_complete || status.is_some() {
            feed.send(Batch { updates, complete, status }).await?;
            was_complete = complete;
        }
        // Either is a reason to look.
        let wait = if manifests.is_settled() { LOOK_ANYWAY } else { settle };
        let _ = tokio::time::timeout(wait, changes.recv()).await;
        tokio::time::sleep(settle).await;
        while changes.try_recv().is_ok() {}
    }
}

/// Reading files blocks.
async fn refresh(mut manifests: Manifests) -> (Manifests, Vec<crate::mesh::Update>) {
    let work = move || {
        let updates = manifests.refresh();
        (manifests, updates)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(refreshed) => refreshed,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}

/// Logs each problem once, when it appears, and once when it is gone.
fn log(before: &[Problem], now: &[Problem]) {
    let (was, is): (HashSet<_>, HashSet<_>) = (before.iter().collect(), now.iter().collect());
    for problem in now.iter().filter(|it| !was.contains(it)) {
        warn!(file = %problem.place.file.display(), line = problem.place.line, code = problem.what.code(), "{problem}");
    }
    for healed in before.iter().filter(|it| !is.contains(it)) {
        info!(file = %healed.place.file.display(), code = healed.what.code(), "No longer a problem: {healed}");
    }
}

/// The watches on the roots.
struct Watches {
    /// With the identity of the folder that is watched, if one is.
    roots: Vec<(PathBuf, Option<(u64, u64)>)>,
    watcher: Option<RecommendedWatcher>,
    /// Kept where there is no watcher to keep it: without a sender there is no waiting for one.
    _tell_changed: mpsc::Sender<()>,
}

impl Watches {
    /// The watches, and where they tell that something changed.
    fn new(roots: &[PathBuf]) -> (Self, mpsc::Receiver<()>) {
        let (tell_changed, changes) = mpsc::channel(1);
        let tell = tell_changed.clone();
        let on_event = move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|it| it.kind.is_access()) {
                // One waiting message says it all.
                let _ = tell.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(on_event);
        if let Err(error) = &watcher {
            warn!(reason = %error, "The system does not tell of changed files; looking every {LOOK_ANYWAY:?} instead");
        }
        let roots = roots.iter().map(|it| (it.clone(), None)).collect();
        (Self { roots, watcher: watcher.ok(), _tell_changed: tell_changed }, changes)
    }

    /// Watches the roots as they are now: one that went away and came back is another folder.
    fn renew(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        for (root, watched) in &mut self.roots {
            let now = scan::identity(root);
            if *watched == now {
                continue;
            }
            if watched.take().is_some() {
                // Fails where the system has noticed by itself.
                let _ = watcher.unwatch(root);
            }
            *watched = now.filter(|_| is_watched(watcher, root));
        }
    }
}

fn is_watched(watcher: &mut RecommendedWatcher, root: &Path) -> bool {
    let watching = watcher.watch(root, RecursiveMode::Recursive);
    if let Err(error) = &watching {
        debug!(file = %root.display(), reason = %error, "Not watched; looking every {LOOK_ANYWAY:?} instead");
    }
    watching.is_ok()
}
