//! What the process takes of the machine, under the names that all clients of Prometheus use; and what it may take.
//!
//! The system tells this in files. Where there are none, as on other systems than Linux, nothing is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::table::{Table, Value};

/// In which parts of a second Linux tells times to processes, on all machines that this is built for.
const TICKS: f64 = 100.0;
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

pub fn tell(table: &mut Table, began: SystemTime) {
    let started = began.duration_since(UNIX_EPOCH).unwrap_or_default();
    table.add_one(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970.",
        Value::Level(started.as_secs_f64()),
    );
    let status = read("/proc/self/status");
    let memory = [
        ("process_resident_memory_bytes", "Memory that is held.", "VmRSS:"),
        ("process_virtual_memory_bytes", "Memory that is asked for.", "VmSize:"),
    ];
    for (name, help, field) in memory {
        if let Some(bytes) = kilobytes(&status, field) {
            table.add_one(name, help, Value::Gauge(bytes));
        }
    }
    if let Some(seconds) = processor_time(&read("/proc/self/stat")) {
        table.add_one("process_cpu_seconds", "Time of processors that was used.", Value::Seconds(seconds));
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        table.add_one("process_open_fds", "Files and connections that are open.", Value::Gauge(files.count() as u64));
    }
    if let Some(most) = most_files(&read("/proc/self/limits")) {
        table.add_one("process_max_fds", "How many may be open.", Value::Gauge(most));
    }
    if let Some(limit) = memory_limit() {
        table.add_one(
            "eventmesh_memory_limit_bytes",
            "Memory that the process may hold: what its control group is limited to, or else what there is.",
            Value::Gauge(limit),
        );
    }
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The bytes that a line such as `VmRSS:   123 kB` tells.
fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(rest.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Fields 14 and 15: the time in user mode and that in the kernel. The second field is a name, which may have anything in it.
fn processor_time(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(|it| it.parse::<f64>().ok());
    Some((times.next()?? + times.next()??) / TICKS)
}

fn most_files(limits: &str) -> Option<u64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn memory_limit() -> Option<u64> {
    let there_is = kilobytes(&read("/proc/meminfo"), "MemTotal:");
    let allowed = group_limit(Path::new(CONTROL_GROUPS), &read("/proc/self/cgroup"));
    allowed.into_iter().chain(there_is).min()
}

/// The least that a control group of the process and those around it are limited to. In a container, the groups around it
/// cannot be seen, and its own is where all begin.
fn group_limit(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (hierarchy, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|it| it == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        let path = Path::new(path.trim_start_matches('/'));
        let folders: Vec<PathBuf> = path.ancestors().map(|it| hierarchy.join(it)).collect();
        // `max` is none.
        folders.iter().filter_map(|it| read(it.join(file)).trim().parse::<u64>().ok()).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells_is_understood() {
        let status = "Name:\tx\nVmSize:\t  20480 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 100 1 1";
        assert_eq!(processor_time(stat), Some(3.0));
        assert_eq!(processor_time("7 (a"), None);
        let limits =
            "Limit Soft Hard Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(most_files(limits), Some(1024));
        assert_eq!(most_files("Max open files            unlimited unlimited files\n"), None);
    }

    #[test]
    fn the_tightest_control_group_counts() {
        let root = tempfile::TempDir::new().unwrap();
        let set = |path: &str, limit: &str| {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, limit).unwrap();
        };
        set("a/memory.max", "300\n");
        set("a/b/memory.max", "max\n");
        set("memory/memory.limit_in_bytes", "200\n");
        for (groups, expected) in [
            ("0::/a/b\n", Some(300)),
            ("0::/\n", None),
            ("0::/nowhere\n", None),
            ("4:cpu:/\n3:memory,x:/away/from/here\n", Some(200)),
            ("", None),
            ("garbage", None),
        ] {
            assert_eq!(group_limit(root.path(), groups), expected, "{groups}");
        }
    }
}
