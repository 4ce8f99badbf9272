//! What is to hold for every case of a kind.

use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Tries a property on so many cases. One that fails is made small and shown.
pub fn check<S: Strategy>(name: &str, cases: u32, strategy: S, property: impl Fn(S::Value) -> Result<(), String>) {
    let number = |name| std::env::var(name).ok().map(|it: String| it.parse::<u32>().expect("a number"));
    let cases = cases * number("EVENTMESH_PROPERTY_CASES").unwrap_or(1);
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number("EVENTMESH_PROPERTY_SEED").unwrap_or(0).to_le_bytes());
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_time: 30_000, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let start = Instant::now();
    let outcome = runner.run(&strategy, |case| property(case).map_err(TestCaseError::fail));
    println!("{name}: {cases} cases in {:.1?}", start.elapsed());
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
