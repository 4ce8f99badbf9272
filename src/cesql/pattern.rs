//! The patterns of LIKE. CESQL 1.0.0, section 3.4.3.

use std::str::Chars;

use super::knowledge::{PartialText, Verdict};

/// Fixed texts longer than this are not searched for overlaps, because the search is quadratic.
const LONGEST_OVERLAP: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    source: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Exactly this character.
    One(char),
    /// `_`
    Any,
    /// `%`
    Run,
}

impl Pattern {
    pub(super) fn new(source: String) -> Pattern {
        let mut chars = source.chars().peekable();
        let mut parts = Vec::with_capacity(source.len());
        while let Some(char) = chars.next() {
            parts.push(match char {
                '%' => Part::Run,
                '_' => Part::Any,
                '\\' => Part::One(chars.next_if(|next| matches!(next, '%' | '_')).unwrap_or(char)),
                other => Part::One(other),
            });
        }
        Pattern { source, parts }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether the whole text matches. Only the last `%` is ever tried again, so the work is bounded by the product of
    /// the two lengths.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut at = 0;
        let mut rest = text.chars();
        let mut retry: Option<(usize, Chars<'_>)> = None;
        loop {
            let mut after = rest.clone();
            match (self.parts.get(at), after.next()) {
                (None, None) => return true,
                (Some(Part::Run), _) => {
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                (Some(Part::Any), Some(_)) => {}
                (Some(Part::One(expected)), Some(char)) if *expected == char => {}
                // The last run takes one character more; without one there is nothing left to try.
                _ => match retry.as_mut().map(|(resume, from)| (*resume, from.next(), from.clone())) {
                    Some((resume, Some(_), from)) => {
                        at = resume;
                        rest = from;
                        continue;
                    }
                    _ => return false,
                },
            }
            at += 1;
            rest = after;
        }
    }

    /// Whether the texts of which this is known match. `semantics.md` 4.6, LIKE on an unknown text.
    pub(super) fn decide(&self, text: &dyn PartialText) -> Verdict {
        let fixed = |part: &Part| matches!(part, Part::One(_));
        let head = self.parts.iter().take_while(|part| fixed(part)).count();
        let tail = self.parts.iter().rev().take_while(|part| fixed(part)).count();
        if head == self.parts.len() {
            return text.equals(&fixed_text(&self.parts));
        }
        let (before, rest) = self.parts.split_at(head);
        let (wildcards, after) = rest.split_at(rest.len() - tail);
        let (before, after) = (fixed_text(before), fixed_text(after));

        let starts = certain_if(before.is_empty(), || text.starts_with(&before));
        let ends = certain_if(after.is_empty(), || text.ends_with(&after));
        let matches_between = wildcards.iter().all(|part| *part == Part::Run) && !may_overlap(text, &before, &after);
        match starts.min(ends) {
            Verdict::Definite if !matches_between => Verdict::Possible,
            verdict => verdict,
        }
    }
}

fn certain_if(certain: bool, otherwise: impl FnOnce() -> Verdict) -> Verdict {
    if certain { Verdict::Definite } else { otherwise() }
}

fn fixed_text(parts: &[Part]) -> String {
    let chars = parts.iter().filter_map(|part| match part {
        Part::One(char) => Some(*char),
        Part::Any | Part::Run => None,
    });
    chars.collect()
}

/// Whether a text that starts with `head` and ends with `tail` may be too short for both, as `aba` is for `ab%ba`.
fn may_overlap(text: &dyn PartialText, head: &str, tail: &str) -> bool {
    let longest = head.len().min(tail.len());
    if longest > LONGEST_OVERLAP {
        return true;
    }
    (1..=longest)
        .filter_map(|length| tail.split_at_checked(length))
        .filter(|(shared, _)| head.ends_with(shared))
        .any(|(_, rest)| text.equals(&format!("{head}{rest}")) != Verdict::Never)
}

#[cfg(test)]
mod tests {
    use super::{PartialText, Pattern, Verdict};

    /// A text that is known, but not known to be.
    struct Opaque(&'static str);

    impl PartialText for Opaque {
        fn equals(&self, text: &str) -> Verdict {
            definite_if(self.0 == text)
        }

        fn starts_with(&self, prefix: &str) -> Verdict {
            definite_if(self.0.starts_with(prefix))
        }

        fn ends_with(&self, suffix: &str) -> Verdict {
            definite_if(self.0.ends_with(suffix))
        }
    }

    fn definite_if(holds: bool) -> Verdict {
        if holds { Verdict::Definite } else { Verdict::Never }
    }

    #[test]
    fn fixed_texts_that_may_overlap_are_not_definite() {
        let check = |text, pattern: &str, expected| {
            let pattern = Pattern::new(pattern.to_owned());
            assert_eq!(pattern.decide(&Opaque(text)), expected, "{text}");
        };
        check("aba", "ab%ba", Verdict::Possible);
        check("ab", "ab%b", Verdict::Possible);
        check("abba", "ab%ba", Verdict::Definite);
        check("abcba", "ab%%ba", Verdict::Definite);
        check("abcba", "ab%bb", Verdict::Never);
    }
}
