//! What a caller with certain rights is answered: the rights cases of `tests/golden-faults`, with `faults.json` read as
//! the role of the caller.

mod support;

use std::path::Path;

use support::roles::{CASES, Role};

#[test]
fn rights_decide_what_is_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-faults");
    for case in CASES {
        check(&folder.join(case));
    }
}

fn check(case: &Path) {
    let input = support::read(case.join("input.yaml"));
    let resources = support::resources(&input);
    let grant = Role::of(case).grant(&resources);
    let answer = serde_json::to_value(support::answer(&support::snapshot(resources), &grant)).unwrap();
    let expected = support::json(case.join("expected.json"));
    let [found, wanted] = [&answer, &expected["body"]].map(|it| serde_json::to_string_pretty(it).unwrap());
    assert!(found == wanted, "{}\nexpected {wanted}\nfound {found}\nfor {grant:#?}", case.display());
    assert_eq!(expected["status"][0], 200);
}
