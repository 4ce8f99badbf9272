//! Label selectors: what is written parses, or is refused; and what was parsed is written so that it parses to the same.
#![no_main]

use eventmesh_catalog::mesh::selector::LabelSelector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(selector) = text.parse::<LabelSelector>() {
        let written = selector.to_string();
        assert_eq!(written.parse::<LabelSelector>().expect("what is written parses"), selector, "{written}");
    }
});
