//! Notes what the program is built of and with, for those who ask it.

use std::env;
use std::process::Command;

fn main() {
    // Given by whoever builds a release; elsewhere it would have to be looked for with each build.
    let revision = env::var("EVENTMESH_BUILD_REVISION").unwrap_or_default();
    let revision = if revision.is_empty() { "unknown" } else { revision.trim() };
    let rustc = env::var_os("RUSTC").and_then(|it| Command::new(it).arg("--version").output().ok());
    let said = rustc.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    // `rustc 1.95.0 (…)`
    let rustc = said.split_whitespace().nth(1).unwrap_or("unknown");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=EVENTMESH_BUILD_REVISION");
    println!("cargo::rustc-env=EVENTMESH_BUILD_REVISION={revision}");
    println!("cargo::rustc-env=EVENTMESH_BUILD_RUSTC={rustc}");
}
