//! Following events from conduit to conduit (`semantics.md` 6.3).

use std::collections::HashSet;
use std::hash::Hash;

/// Whether `goal` is among the nodes reached from `start` by any number of steps, none included.
///
/// `step` names the nodes that are next to one. Circles are harmless.
pub fn reaches<N: Copy + Eq + Hash>(start: N, goal: N, mut step: impl FnMut(N, &mut Vec<N>)) -> bool {
    let mut seen = HashSet::new();
    let mut next = vec![start];
    while let Some(node) = next.pop() {
        if node == goal {
            return true;
        }
        if seen.insert(node) {
            step(node, &mut next);
        }
    }
    false
}
