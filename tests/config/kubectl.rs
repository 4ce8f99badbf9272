//! `kubectl`, as somebody who deploys the service runs it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs it to its end, and gives what it says.
pub fn kubectl(kubeconfig: Option<&Path>, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new("kubectl");
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    // It keeps what it learns of a server; another one may soon be at its address.
    command.args(["--cache-dir", concat!(env!("CARGO_TARGET_TMPDIR"), "/kubectl")]);
    command.env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/nonexistent")));
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| {
        panic!("this test needs `kubectl` (https://kubernetes.io/docs/tasks/tools), which does not run: {error}")
    });
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The objects that a folder of `config` makes.
pub fn render(folder: &str) -> Vec<Value> {
    let text = kubectl(None, &["kustomize", &format!("config/{folder}")], "");
    yaml(&text.unwrap_or_else(|error| panic!("config/{folder}: {error}")))
}

pub fn yaml(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// The one Deployment there is.
pub fn deployment(objects: &[Value]) -> &Value {
    of_kind(objects, "Deployment").next().unwrap()
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |it| it["kind"] == kind)
}
