//! Files that the system lets the service open. Each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// How many files may be open beside connections to the service: those to API servers, and what is read and written.
const OTHERS: u64 = 256;

/// How many connections there may be at once to each of the two addresses, of as many as are wanted. The system is asked for
/// as many files as they need, as it lets few be open until it is asked; where it grants less, they are fewer. So there is
/// one left for who asks how the service is, and connections wait instead of failing.
pub fn connections(wanted: u32) -> u32 {
    let needed = 2 * u64::from(wanted) + OTHERS;
    let files = granted(needed);
    let connections = room(files).min(wanted);
    if connections < wanted {
        warn!(
            files,
            connections,
            "No more than {connections} connections are taken at once to each address, not {wanted}: the system lets {files} \
             files be open, and it would take {needed}. Raise its limit (`ulimit -Hn`; with systemd `LimitNOFILE`), or lower \
             --max-connections"
        );
    }
    connections
}

/// How many files may be open once so many were asked for.
fn granted(needed: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let [soft, hard] = [limit.current, limit.maximum].map(|it| it.unwrap_or(u64::MAX));
    let raised = needed.min(hard);
    if raised <= soft {
        return soft;
    }
    let raise = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
    raise.map_or(soft, |()| raised)
}

/// How many connections each of the two addresses can have with so many files.
fn room(files: u64) -> u32 {
    let others = OTHERS.min(files / 2);
    u32::try_from((files - others) / 2).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_and_all_else_have_room() {
        for (files, connections) in
            [(2 * 1024 + 256, 1024), (1024, 384), (256, 64), (4, 1), (0, 1), (u64::MAX, u32::MAX)]
        {
            assert_eq!(room(files), connections, "{files}");
        }
    }
}
