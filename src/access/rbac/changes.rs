//! When whose rights changed last.

use std::collections::HashMap;
use std::time::Instant;

use super::bindings::{Subject, Subjects, Whom};

/// Of how many it is known when theirs changed. Where it would be more, everybody's did.
const MAX_SUBJECTS: usize = 1 << 14;

/// The last change of the rights of each, and of everybody's.
#[derive(Debug, Default)]
pub struct Changes {
    everybody: Change,
    subjects: HashMap<Subject, Change>,
    /// How many there were.
    count: u64,
}

/// One of many changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// How many there had been with it; 0 where there has not been one.
    pub epoch: u64,
    pub at: Option<Instant>,
}

impl Changes {
    /// Notes a change that concerns these.
    pub fn note(&mut self, whom: &Whom) {
        self.count += 1;
        let change = Change { epoch: self.count, at: Some(Instant::now()) };
        if let Whom::Only(subjects) = whom {
            self.subjects.extend(subjects.iter().map(|it| (*it, change)));
            if self.subjects.len() <= MAX_SUBJECTS {
                return;
            }
        }
        self.everybody = change;
        self.subjects = HashMap::new();
    }

    /// The last change that concerns any of these.
    pub fn last_of(&self, subjects: &Subjects) -> Change {
        let theirs = subjects.as_slice().iter().filter_map(|it| self.subjects.get(it)).copied();
        theirs.fold(self.everybody, |one, other| if other.epoch > one.epoch { other } else { one })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::user::User;

    impl Changes {
        /// As if so much more time had passed since the last change of everybody's.
        pub fn grow_older(&mut self, by: std::time::Duration) {
            self.everybody.at = self.everybody.at.and_then(|it| it.checked_sub(by));
        }
    }

    fn subjects(name: &str, groups: &[String]) -> Subjects {
        Subjects::of(&User { name: name.into(), groups: groups.to_vec(), ..User::default() })
    }

    fn only(subjects: &[Subject]) -> Whom {
        Whom::Only(subjects.into())
    }

    #[test]
    fn a_change_counts_for_those_whom_it_concerns() {
        let staff = ["staff".to_owned()];
        let (jane, john, staff) = (subjects("jane", &staff), subjects("john", &staff), subjects("nobody", &staff));
        let epochs = |changes: &Changes| [&jane, &john].map(|it| changes.last_of(it).epoch);
        let mut changes = Changes::default();
        assert_eq!(epochs(&changes), [0, 0]);
        changes.note(&only(&jane.as_slice()[..1]));
        assert_eq!(epochs(&changes), [1, 0]);
        changes.note(&only(&[]));
        assert_eq!(epochs(&changes), [1, 0], "nobody's");
        changes.note(&only(staff.as_slice()));
        assert_eq!(epochs(&changes), [3, 3], "of a group that they are in");
        changes.note(&Whom::Everybody);
        changes.note(&only(&john.as_slice()[..1]));
        assert_eq!(epochs(&changes), [4, 5]);
    }

    #[test]
    fn where_too_many_change_it_is_everybody() {
        let crowd: Vec<_> = (0..MAX_SUBJECTS).map(|it| format!("group-{it}")).collect();
        let (jane, crowd) = (subjects("jane", &[]), subjects("crowd", &crowd));
        let mut changes = Changes::default();
        changes.note(&only(&crowd.as_slice()[1..]));
        assert_eq!(changes.last_of(&jane).epoch, 0);
        changes.note(&only(&crowd.as_slice()[..1]));
        assert_eq!(changes.last_of(&jane).epoch, 2);
        assert!(changes.subjects.is_empty(), "and nobody needs to be remembered");
    }
}
