//! `promtool`, which comes with Prometheus.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::not_run;

/// Runs it in a folder, and gives what it says when it finds fault. Where it is missing, says that `what` was not checked; in
/// CI that is a failure.
pub fn promtool(what: &str, arguments: &[&str], folder: &Path, input: &str) -> Result<(), String> {
    let mut command = Command::new("promtool");
    let spawned = command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = match spawned.stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "promtool does not run: {error}");
            not_run(&format!("{what}: promtool does not run ({error}); `apt-get install prometheus` brings it"));
            return Ok(());
        }
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    // What it only warns of is told, and is no failure to it.
    let warns = arguments == ["check", "metrics"] && !said.trim().is_empty();
    if output.status.success() && !warns { Ok(()) } else { Err(said) }
}
