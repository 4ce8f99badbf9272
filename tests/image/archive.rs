//! An image in an archive, unpacked.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::json;

pub struct Image {
    folder: TempDir,
    config: Value,
    /// Of the layers, as they are transferred.
    pub bytes: u64,
    pub layers: usize,
}

impl Image {
    pub fn open() -> Self {
        let archive = std::env::var("EVENTMESH_TEST_IMAGE").expect("EVENTMESH_TEST_IMAGE: the archive of an image");
        let folder = TempDir::new().unwrap();
        unpack(Path::new(&archive), &folder.path().join("archive"));
        let blob = |it: &Value| -> PathBuf {
            let digest = it["digest"].as_str().expect("a digest");
            folder.path().join("archive/blobs").join(digest.replace(':', "/"))
        };
        let manifest = json(blob(&json(folder.path().join("archive/index.json"))["manifests"][0]));
        let config = json(blob(&manifest["config"]))["config"].clone();
        let layers = manifest["layers"].as_array().expect("layers");
        let root = folder.path().join("root");
        for layer in layers {
            unpack(&blob(layer), &root);
        }
        let bytes = layers.iter().filter_map(|it| it["size"].as_u64()).sum();
        let layers = layers.len();
        Self { folder, config, bytes, layers }
    }

    /// What it is run with.
    pub fn config(&self) -> &Value {
        &self.config
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// All files of the root file system.
    pub fn files(&self) -> Vec<String> {
        fn below(folder: &Path) -> Vec<PathBuf> {
            let entries = folder.read_dir().unwrap().map(|it| it.unwrap().path());
            entries.flat_map(|it| if it.is_dir() { below(&it) } else { vec![it] }).collect()
        }
        let root = self.root();
        let name = |it: &PathBuf| it.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        below(&root).iter().map(name).collect()
    }

    /// Runs its program, with files or folders mounted.
    pub fn command(&self, mounts: &[(PathBuf, &str)]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("release/run-image"));
        command.env_clear().arg(self.root());
        command.args(mounts.iter().map(|(from, to)| format!("{}={to}", from.display()))).arg("--");
        command
    }
}

fn unpack(archive: &Path, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let unpacked = Command::new("tar").arg("-xpf").arg(archive).arg("-C").arg(folder).status();
    assert!(unpacked.unwrap().success(), "{}", archive.display());
}
