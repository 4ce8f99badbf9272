//! The floor plan: which part may use which. No arrow points up or sideways.

use std::path::{Path, PathBuf};

/// A part: its path below `src`, the parts of this crate that it may use, and the crates that it may use beside `std`.
struct Floor {
    part: &'static str,
    parts: &'static [&'static str],
    crates: &'static [&'static str],
}

/// The first entry that a file's path begins with counts.
const PLAN: &[Floor] = &[
    // Ground: no clock, no log, no IO, no serialization.
    Floor { part: "cesql", parts: &["cesql"], crates: &["thiserror"] },
    // Counts, for all floors.
    Floor { part: "tally", parts: &[], crates: &[] },
    // How a UUID is written.
    Floor { part: "mesh/uid", parts: &[], crates: &["uuid"] },
    // petgraph never leaves the graph.
    Floor { part: "mesh/graph", parts: &["mesh", "cesql"], crates: &["hashbrown", "petgraph"] },
    Floor { part: "mesh", parts: &["mesh", "cesql"], crates: &["hashbrown", "thiserror"] },
    // First floor: what is beside each other knows nothing of each other; an origin holds only a feed to the index.
    Floor { part: "index", parts: &["mesh", "tally"], crates: &["arc_swap", "thiserror", "tokio"] },
    // How an API server is asked, for origins and access alike.
    Floor { part: "kubernetes/backoff", parts: &["kubernetes"], crates: &["getrandom", "tokio"] },
    Floor {
        part: "kubernetes/server",
        parts: &["kubernetes"],
        crates: &[
            "http",
            "http_body_util",
            "k8s_openapi",
            "kube",
            "rustls_pki_types",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
        ],
    },
    Floor {
        part: "kubernetes",
        parts: &["kubernetes", "mesh"],
        crates: &["serde", "serde_json", "thiserror", "tokio"],
    },
    // A cluster is asked and kept up with here, and by access; what its objects mean is pure, and all of the rest.
    Floor {
        part: "origins/kubernetes/cluster",
        parts: &["mesh", "origins::kubernetes", "kubernetes", "index"],
        crates: &["tokio", "tracing"],
    },
    // Reviews are of the types of Kubernetes; how they are asked for is the server's business.
    Floor {
        part: "origins/kubernetes/examine",
        parts: &["mesh", "origins::kubernetes", "kubernetes"],
        crates: &["k8s_openapi"],
    },
    Floor {
        part: "origins/kubernetes/fetch",
        parts: &["mesh", "origins::kubernetes", "kubernetes"],
        crates: &["futures_util", "serde_json", "tokio"],
    },
    Floor {
        part: "origins/kubernetes/once",
        parts: &["mesh", "origins::kubernetes", "kubernetes"],
        crates: &["futures_util", "serde_json", "thiserror", "tokio", "tracing"],
    },
    Floor {
        part: "origins/kubernetes/reflect",
        parts: &["mesh", "origins::kubernetes", "kubernetes"],
        crates: &["serde_json", "tokio", "tracing"],
    },
    Floor {
        part: "origins/kubernetes",
        parts: &["mesh", "origins::kubernetes", "kubernetes"],
        crates: &["hashbrown", "serde", "serde_json", "thiserror"],
    },
    Floor {
        part: "origins",
        parts: &["mesh", "origins", "index"],
        crates: &["notify", "serde_json", "serde_saphyr", "thiserror", "tokio", "tracing", "uuid"],
    },
    // What it takes to know what somebody may see is pure; reviews are of the types of Kubernetes.
    Floor { part: "access/questions", parts: &["mesh"], crates: &[] },
    Floor {
        part: "access/reviews",
        parts: &["access", "kubernetes", "mesh", "tally"],
        crates: &["arc_swap", "k8s_openapi", "tokio"],
    },
    // Whom a change concerns is pure: what bindings say becomes a failure or a fact, and nobody is asked.
    Floor {
        part: "access/rbac/bindings",
        parts: &["access::user", "kubernetes::failure", "kubernetes::paths"],
        crates: &["k8s_openapi", "serde", "serde_json"],
    },
    Floor { part: "access/rbac/changes", parts: &["access::rbac::bindings"], crates: &[] },
    Floor { part: "access/limits", parts: &["access"], crates: &["governor"] },
    // What makes a token good is pure; who is asked for keys, and when, is not.
    Floor {
        part: "access/jwt/configuration",
        parts: &["access::jwt", "kubernetes"],
        crates: &["jiff", "jsonwebtoken", "serde", "serde_saphyr", "thiserror"],
    },
    Floor { part: "access/jwt/address", parts: &[], crates: &["http", "thiserror"] },
    Floor { part: "access/jwt/clock", parts: &[], crates: &["jiff", "tokio"] },
    Floor { part: "access/jwt/keyring", parts: &["access::jwt"], crates: &["tokio", "tracing"] },
    Floor {
        part: "access/jwt/source",
        parts: &["access::jwt", "kubernetes"],
        crates: &["serde", "serde_json", "thiserror", "tokio"],
    },
    Floor {
        part: "access/jwt",
        parts: &["access::user", "kubernetes::server"],
        crates: &["base64", "jsonwebtoken", "serde", "serde_json", "thiserror", "tokio"],
    },
    Floor {
        part: "access",
        parts: &["access", "kubernetes", "mesh", "tally"],
        crates: &[
            "arc_swap",
            "blake3",
            "futures_util",
            "getrandom",
            "moka",
            "sha2",
            "subtle",
            "thiserror",
            "tokio",
            "tracing",
        ],
    },
    // Second floor: axum, status codes and wire types are nowhere below.
    Floor { part: "api/render/streamed", parts: &["api"], crates: &["bytes", "http_body", "tokio"] },
    Floor {
        part: "api",
        parts: &["api", "access", "index", "mesh", "tally"],
        crates: &[
            "arc_swap",
            "axum",
            "blake3",
            "brotli",
            "bytes",
            "flate2",
            "futures_util",
            "hashbrown",
            "lru",
            "lz4_flex",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tower_service",
            "tracing",
            "utoipa",
            "utoipa_swagger_ui",
            "zstd",
        ],
    },
    // Roof: everything.
    Floor { part: "app", parts: &[""], crates: &[""] },
    Floor { part: "config", parts: &[""], crates: &[""] },
    Floor { part: "telemetry", parts: &[""], crates: &[""] },
    Floor { part: "main", parts: &[""], crates: &[""] },
];

#[test]
fn every_file_keeps_to_its_floor() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let crates = dependencies();
    let mut wrong = vec![];
    for file in rust_files(&source) {
        let name = file.strip_prefix(&source).unwrap().with_extension("").to_string_lossy().replace('\\', "/");
        // Tests in files of their own may use anything.
        if name == "lib" || name.ends_with("/tests") || name.ends_with("/testing") {
            continue;
        }
        let is_in = |part: &str| name == part || name.starts_with(&format!("{part}/"));
        let floor = PLAN.iter().find(|it| is_in(it.part)).unwrap_or_else(|| panic!("{name} has no floor"));
        let code = code_of(&file);
        for used in paths_after(&code, "crate::") {
            let within = |part: &&str| part.is_empty() || used == **part || used.starts_with(&format!("{part}::"));
            // `origins` may use all of `origins::kubernetes`, but not the other way round.
            if !floor.parts.iter().any(within) {
                wrong.push(format!("{name} uses crate::{used}"));
            }
        }
        for krate in crates.iter().filter(|it| uses_crate(&code, it)) {
            if !floor.crates.iter().any(|it| it.is_empty() || it == krate) {
                wrong.push(format!("{name} uses {krate}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_ground_floor_has_no_clock_and_no_io() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let grounds = ["mesh", "cesql"].map(|it| source.join(it));
    let files = grounds.iter().flat_map(|it| rust_files(it)).chain(grounds.iter().map(|it| it.with_extension("rs")));
    for file in files {
        let code = code_of(&file);
        for banned in
            ["std::time", "std::fs", "std::io", "std::net", "std::env", "std::thread", "println!", "Serialize"]
        {
            assert!(!code.contains(banned), "{} has {banned}", file.display());
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries: Vec<_> = folder.read_dir().unwrap().map(|it| it.unwrap().path()).collect();
    let inner = entries.iter().filter(|it| it.is_dir()).flat_map(|it| rust_files(it));
    entries.iter().filter(|it| it.extension().is_some_and(|it| it == "rs")).cloned().chain(inner).collect()
}

/// Without comments, and without the unit tests at the end.
fn code_of(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths that follow a prefix, as far as they are names; a list in braces counts with each of its names.
fn paths_after(code: &str, prefix: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut paths = vec![];
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let path: String = rest.chars().take_while(|c| is_path(*c)).collect();
        let list = rest[path.len()..].strip_prefix('{').and_then(|it| it.split('}').next());
        match list {
            Some(list) => paths.extend(list.split(',').map(|it| format!("{path}{}", it.trim()))),
            None => paths.push(path),
        }
    }
    paths
}

fn uses_crate(code: &str, krate: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let path = format!("{krate}::");
    code.match_indices(&path).any(|(at, _)| !code[..at].chars().next_back().is_some_and(is_name))
}

/// The names of the crates that the manifest depends on, as code spells them.
fn dependencies() -> Vec<String> {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let table = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names = table.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim().replace('-', "_"));
    names.collect()
}
