//! The API server cannot say who callers are, or what they may see: those who are known go on, nobody else is let in or
//! turned away, and right afterwards everything is as it was.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::callers::{broker, brokers, group, signed, with_key};
use super::support::cluster::{Cluster, eventually};
use super::support::polling::{Poller, Sees};
use super::support::process::{Answer, Service};
use super::support::proxy::{Fault, How, Proxy};
use super::{Times, empty_cluster, serve};

/// Whoever is here may list brokers.
const WIDE: &str = "wide";
/// Whoever is here may do nothing.
const NARROW: &str = "narrow";
const TOKENS: &str = "tokenreviews";
const RIGHTS: &str = "subjectaccessreviews";
const KEYS: &str = "/openid/v1/jwks";
/// How long recovery may take on any machine; a second is wanted.
const LIMIT: Duration = Duration::from_secs(10);
/// So many faults are over before grants of those who are known get too old.
const IN_TIME: usize = 4;

/// Another answer of the server, made from its own.
fn other(change: impl Fn(&mut Value) + Send + Sync + 'static) -> How {
    How::body(move |body| {
        let mut answer = serde_json::from_slice(&body).unwrap();
        change(&mut answer);
        answer.to_string().into()
    })
}

fn faults(of: &str) -> Vec<(&'static str, How)> {
    let mut faults = vec![
        ("answers 500", How::status(500)),
        ("answers 503", How::status(503)),
        ("answers 429", How::Status { code: 429, retry_after: Some(1), body: None }),
        ("forbids it", How::status(403)),
        ("does not know us", How::status(401)),
        ("does not serve it", How::status(404)),
        ("answers with garbage", How::body(|_| b"\xff{\"status\":7}".into())),
        ("answers with nothing", How::body(|_| vec![])),
        ("answers with an empty object", How::body(|_| b"{}".into())),
        ("answers with half of it", How::body(|it| it[..it.len() / 2].into())),
        ("breaks the connection", How::Refuse),
        ("breaks the connection while it answers", How::Cut { after: 20 }),
        ("hangs", How::Hang { resume: false }),
        ("is slow", How::Slow(Duration::from_secs(2))),
        ("says no status", other(|it| _ = it.as_object_mut().unwrap().remove("status"))),
    ];
    if of == TOKENS {
        faults.push(("repeats the token", other(|it| it["spec"] = it["spec"]["token"].clone())));
    } else {
        faults.push(("both allows and denies", other(|it| it["status"] = json!({"allowed": true, "denied": true}))));
        let undecided = json!({"allowed": false, "evaluationError": "the webhook does not answer"});
        faults.push(("could not decide", other(move |it| it["status"] = undecided.clone())));
    }
    faults
}

struct World {
    service: Service,
    proxy: Proxy,
    cluster: Cluster,
}

impl World {
    async fn new() -> Option<Self> {
        let cluster = empty_cluster().await?;
        cluster.install_knative().await;
        cluster.apply(&broker("shop", "bus")).await;
        cluster.grant("shop", WIDE, group(&format!("system:serviceaccounts:{WIDE}")), &[brokers()]).await;
        let proxy = Proxy::start(&cluster).await;
        let service = Self::serve(&proxy);
        Some(Self { service, proxy, cluster })
    }

    fn serve(proxy: &Proxy) -> Service {
        serve(proxy.kubeconfig(), &["--token-cache", "5m"])
    }

    /// Two who are known, and ask all the time.
    async fn known(&self) -> [(Poller, Sees); 2] {
        let start = async |home: &str, sees| {
            let token = self.cluster.caller_token(home, "known").await;
            self.until(&token, sees).await;
            (Poller::start(self.service.caller(&token), Duration::from_millis(25)), sees)
        };
        // What was changed before the start is settled by then, so that what is known counts.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let known = [start(WIDE, Sees::Brokers).await, start(NARROW, Sees::Nothing).await];
        eventually("answers", async || known.iter().all(|(it, _)| it.latest().is_some()).then_some(())).await;
        known
    }

    /// Asks until this is the answer; until then there is none. Says for how long.
    async fn until(&self, token: &str, expected: Sees) -> Duration {
        let began = Instant::now();
        let mut caller = self.service.caller(token);
        loop {
            let answer = caller.mesh().await;
            if Sees::from(&answer) == expected {
                return began.elapsed();
            }
            is_unavailable(&answer);
            assert!(began.elapsed() < super::PATIENCE, "{expected:?} does not come, but {}", answer.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn is_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("Retry-After"), "2");
    assert_eq!(answer.header("Content-Type"), "application/problem+json");
    assert_eq!(answer.header("WWW-Authenticate"), "");
}

async fn live_through(of: &str) {
    let Some(mut world) = World::new().await else { return };
    let mut times = vec![];
    for (n, faults) in faults(of).chunks(IN_TIME).enumerate() {
        if n > 0 {
            world.service = World::serve(&world.proxy);
        }
        let known = world.known().await;
        for (m, (what, how)) in faults.iter().enumerate() {
            let (home, sees) = if m % 2 == 0 { (WIDE, Sees::Brokers) } else { (NARROW, Sees::Nothing) };
            let newcomer = world.cluster.caller_token(home, &format!("newcomer-{n}-{m}")).await;
            let nobody = format!("nobody-knows-this-token-{n}-{m}");
            world.proxy.inject(Fault::new(how.clone()).resource(of));
            let (mut of_newcomer, mut of_nobody) = (world.service.caller(&newcomer), world.service.caller(&nobody));
            let (to_newcomer, to_nobody) = tokio::join!(of_newcomer.mesh(), of_nobody.mesh());
            match how {
                // It may be just in time.
                How::Slow(_) if to_newcomer.status == 200 => assert_eq!(Sees::from(&to_newcomer), sees),
                _ => is_unavailable(&to_newcomer),
            }
            match how {
                How::Slow(_) if to_nobody.status == 401 => {}
                _ if of == RIGHTS => assert_eq!(to_nobody.status, 401, "who it is can be found out"),
                _ => is_unavailable(&to_nobody),
            }
            world.proxy.heal();
            let took = world.until(&newcomer, sees).await;
            println!("{of}: the server {what}; afterwards {took:.0?} until a newcomer has an answer");
            times.push(took);
            assert_eq!(Sees::from(&of_nobody.mesh().await), Sees::Refused, "no error is kept");
        }
        for (poller, sees) in &known {
            assert_eq!(poller.all(), [*sees], "known callers go on");
        }
    }
    Times::of(&format!("recovery, {of}"), times).within(LIMIT);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_callers_are_cannot_be_found_out() {
    live_through(TOKENS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_callers_may_see_cannot_be_found_out() {
    live_through(RIGHTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_cannot_be_fetched() {
    let Some(mut world) = World::new().await else { return };
    let elsewhere = format!("{}{KEYS}", world.cluster.server());
    let real = world.cluster.caller_token(WIDE, "real").await;
    let key = world.cluster.signing_key();
    let faults = [
        ("answers 503", How::status(503)),
        ("answers with garbage", How::body(|_| b"\xff{\"keys\":7}".into())),
        ("answers without end", How::body(|_| vec![b' '; 2 << 20])),
        ("sends elsewhere", How::Redirect(elsewhere)),
        ("breaks the connection", How::Refuse),
        ("hangs", How::Hang { resume: false }),
    ];
    let mut times = vec![];
    for (n, (what, how)) in faults.into_iter().enumerate() {
        // Nothing is known yet.
        world.proxy.inject(Fault::new(how.clone()).path(KEYS));
        world.service = World::serve(&world.proxy);
        eventually("a whole mesh", async || (world.service.admin("/readyz").status == 200).then_some(())).await;
        is_unavailable(&world.service.caller(&real).mesh().await);
        world.proxy.heal();
        let took = world.until(&real, Sees::Brokers).await;

        // Keys are known, and go on counting; others cannot be looked for.
        world.proxy.inject(Fault::new(how).path(KEYS));
        let newcomer = world.cluster.caller_token(WIDE, &format!("newcomer-{n}")).await;
        assert_eq!(Sees::from(&world.service.caller(&newcomer).mesh().await), Sees::Brokers, "while it {what}");
        let unknown = signed(&with_key(&real, &format!("unknown-{n}")), &key, |_| {});
        is_unavailable(&world.service.caller(&unknown).mesh().await);
        world.proxy.heal();
        let until_refused = world.until(&unknown, Sees::Refused).await;
        println!(
            "keys: the server {what}; afterwards {took:.0?} until there is an answer, {until_refused:.0?} until an \
             unknown key is refused"
        );
        times.extend([took, until_refused]);
    }
    Times::of("recovery, keys", times).within(LIMIT);

    // The server has other keys now: whoever asks with one of them is known, and nobody with an older one.
    let rotated = other(|it| it["keys"][0]["kid"] = "rotated".into());
    world.proxy.inject(Fault::new(rotated).path(KEYS));
    let mut old = world.service.caller(&world.cluster.caller_token(WIDE, "old").await);
    assert_eq!(Sees::from(&old.mesh().await), Sees::Brokers, "nobody has looked yet");
    // Unknown keys make it look, unless it did so in vain a moment ago.
    let mut asked = 0;
    eventually("that older keys do not count", async || {
        asked += 1;
        let unknown = signed(&with_key(&real, &format!("not-rotated-{asked}")), &key, |_| {});
        assert_eq!(Sees::from(&world.service.caller(&unknown).mesh().await), Sees::Refused);
        let later = world.cluster.caller_token(WIDE, "later").await;
        (Sees::from(&world.service.caller(&later).mesh().await) == Sees::Refused).then_some(())
    })
    .await;
    let later = world.cluster.caller_token(WIDE, "later").await;
    assert_eq!(Sees::from(&world.service.caller(&later).mesh().await), Sees::Refused);
    world.proxy.heal();
    println!("keys: rotated back, {:.0?} until there is an answer", world.until_known(&later).await);
}

impl World {
    /// Asks until a token is accepted that was refused. Says for how long.
    async fn until_known(&self, token: &str) -> Duration {
        let began = Instant::now();
        eventually("an answer", async || {
            (Sees::from(&self.service.caller(token).mesh().await) == Sees::Brokers).then_some(())
        })
        .await;
        began.elapsed()
    }
}
