//! The mesh as stories: manifests in, the answer out. Each folder of `tests/golden` says in its README what it is about.

mod support;

use eventmesh_catalog::mesh::Grant;
use serde_json::Value;

#[test]
fn every_case_has_its_answer() {
    let mut wrong = vec![];
    let cases = support::cases("golden");
    for case in &cases {
        let snapshot = support::snapshot(support::resources(&support::read(case.join("input.yaml"))));
        let answer = serde_json::to_value(support::answer(&snapshot, &Grant::everything())).unwrap();
        let expected: Value = support::json(case.join("expected.json"));
        if answer != expected {
            let pretty = |it: &Value| serde_json::to_string_pretty(it).unwrap();
            wrong.push(format!("{}\nexpected {}\nfound {}", case.display(), pretty(&expected), pretty(&answer)));
        }
    }
    println!("{} golden cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(cases.len(), 42);
}
