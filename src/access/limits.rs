//! How much strangers may cause: how many tokens that nobody could check here the API server is bothered with, and how
//! many lines are written about those that are refused.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// Reviews a second for one client, and how many at once after a rest.
const OF_A_CLIENT: (NonZeroU32, NonZeroU32) = (at_least_one(10), at_least_one(50));
/// The same for all clients together.
const OF_ALL: (NonZeroU32, NonZeroU32) = (at_least_one(100), at_least_one(300));
/// Lines a second about the refusals of one client, and how many at once after a rest.
const LINES_OF_A_CLIENT: (NonZeroU32, NonZeroU32) = (at_least_one(1), at_least_one(10));
/// After how many questions clients that are at rest are forgotten.
const FORGET_EVERY: u32 = 1024;

const fn at_least_one(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

type Keyed = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, MonotonicClock, NoOpMiddleware<std::time::Instant>>;
type Direct = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// Keeps each client, and all of them together, to so many.
pub struct Limits {
    clients: Keyed,
    all: Direct,
    asked: AtomicU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(OF_A_CLIENT)
    }
}

impl Limits {
    /// Those of lines about refusals.
    pub fn of_lines() -> Self {
        Self::new(LINES_OF_A_CLIENT)
    }

    fn new(of_a_client: (NonZeroU32, NonZeroU32)) -> Self {
        let quota = |(rate, burst)| Quota::per_second(rate).allow_burst(burst);
        Self {
            clients: RateLimiter::new(quota(of_a_client), HashMapStateStore::default(), MonotonicClock),
            all: RateLimiter::direct_with_clock(quota(OF_ALL), MonotonicClock),
            asked: AtomicU32::new(0),
        }
    }

    /// Whether a client may have one more.
    pub fn allow(&self, client: IpAddr) -> bool {
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.clients.retain_recent();
        }
        self.clients.check_key(&network(client)).is_ok() && self.all.check().is_ok()
    }
}

/// Whoever has one address of IPv6 has 2^64 of them.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(it) => IpAddr::V6(Ipv6Addr::from_bits(it.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_a_limit_of_its_own_and_all_have_one() {
        let allowed =
            |limits: &Limits, client: &str| (0..200).filter(|_| limits.allow(client.parse().unwrap())).count();
        let limits = Limits::default();
        let is_about = |count: usize, expected: usize| (expected..expected + 10).contains(&count);
        assert!(is_about(allowed(&limits, "192.0.2.1"), 50));
        assert!(is_about(allowed(&limits, "192.0.2.2"), 50));
        assert!(is_about(allowed(&limits, "2001:db8::1"), 50));
        assert!(is_about(allowed(&limits, "2001:db8::2"), 0), "the same network");
        assert!(is_about(allowed(&limits, "::ffff:192.0.2.1"), 0), "the same address");
        let others: usize = (3..20).map(|it| allowed(&limits, &format!("192.0.2.{it}"))).sum();
        assert!(is_about(others, 150), "{others}");
    }
}
