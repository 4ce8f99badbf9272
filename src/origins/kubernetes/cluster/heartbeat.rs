//! Is the API server there? Connections that hang look as if nothing happened, so it is asked now and then.
//!
//! It is asked through one connection that is kept for that: what makes connections dead without a word, as a firewall
//! does that was started anew, makes this one dead as well, and that shows.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::kubernetes::failure::Failure;
use crate::kubernetes::server::Server;

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(2);
/// How often it is asked while it does not answer.
const EVERY_WHEN_AWAY: Duration = Duration::from_millis(250);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What is known of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// When it was asked what it has answered last.
    pub at: Instant,
    /// It has not answered what it was asked since.
    pub is_away: bool,
}

/// Asks as long as it is kept.
pub struct Heartbeat {
    pub beats: watch::Receiver<Beat>,
    task: tokio::task::JoinHandle<()>,
}

impl Heartbeat {
    /// Asks, and wakes those who wait when there is an answer again.
    pub fn start(server: Server, wake: watch::Sender<()>) -> Self {
        let (tell, beats) = watch::channel(Beat { at: Instant::now(), is_away: false });
        let task = tokio::spawn(async move {
            loop {
                let Beat { at, is_away } = *tell.borrow();
                tokio::time::sleep(if is_away { EVERY_WHEN_AWAY } else { EVERY }).await;
                let asked = Instant::now();
                match tokio::time::timeout(PATIENCE, server.version()).await {
                    // Whoever refuses, or has too much to do, is there.
                    Ok(
                        Ok(_)
                        | Err(
                            Failure::Unauthorized(_)
                            | Failure::Refused(_)
                            | Failure::Absent
                            | Failure::Busy { status: 429, .. },
                        ),
                    ) => {
                        tell.send_replace(Beat { at: asked, is_away: false });
                        if is_away {
                            wake.send_replace(());
                        }
                    }
                    Ok(Err(_)) | Err(_) if is_away => (),
                    Ok(Err(_)) | Err(_) => {
                        tell.send_replace(Beat { at, is_away: true });
                    }
                }
            }
        });
        Self { beats, task }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}
