//! Which build this is.

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built of; empty where whoever built it did not say: see `release/binary`.
pub const REVISION: &str = match option_env!("EVENTMESH_BUILD_REVISION") {
    Some(revision) => revision,
    None => "",
};

/// Both, for people.
pub fn version() -> String {
    described(VERSION, REVISION)
}

fn described(version: &str, revision: &str) -> String {
    if revision.is_empty() { version.into() } else { format!("{version} ({revision})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_told_where_it_is_known() {
        assert_eq!(described("1.2.3", ""), "1.2.3");
        assert_eq!(described("1.2.3", "0a1b2c"), "1.2.3 (0a1b2c)");
    }
}
