//! The mesh as stories: manifests in, the answer out. Each folder of `tests/golden` says in its README what it is about.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eventmesh_catalog::mesh::{Grant, Resource};
use support::events::Dice;

#[test]
fn every_case_has_its_answer() {
    let wrong: Vec<_> = cases().iter().filter_map(|case| check(case, "as written", resources(case)).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_order_of_the_documents_does_not_matter() {
    let mut wrong = vec![];
    for case in cases() {
        let mut resources = resources(&case);
        resources.reverse();
        wrong.extend(check(&case, "reversed", resources.clone()).err());
        for seed in 0..5 {
            shuffle(&mut resources, &mut Dice(seed));
            wrong.extend(check(&case, &format!("shuffled by {seed}"), resources.clone()).err());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn cases() -> Vec<PathBuf> {
    let cases = support::cases("golden");
    assert_eq!(cases.len(), 42);
    cases
}

fn resources(case: &Path) -> Vec<Arc<Resource>> {
    support::resources(&support::read(case.join("input.yaml")))
}

/// Byte for byte, but for the white space that makes the expected answer readable.
fn check(case: &Path, order: &str, resources: Vec<Arc<Resource>>) -> Result<(), String> {
    let answer = support::answer(&support::snapshot(resources), &Grant::everything());
    let found = serde_json::to_string_pretty(&answer).expect("an answer is JSON");
    let expected = support::read(case.join("expected.json"));
    if found == expected.trim_end() {
        return Ok(());
    }
    let same = serde_json::to_value(&answer).is_ok_and(|it| it == support::json(case.join("expected.json")));
    let how = if same { "the fields are in another order" } else { "" };
    Err(format!("{} {order} {how}\nexpected {expected}\nfound {found}", case.display()))
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], dice: &mut Dice) {
    for n in (1..items.len()).rev() {
        items.swap(n, dice.below(n + 1));
    }
}
