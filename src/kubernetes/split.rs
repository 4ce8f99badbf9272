//! A page of a list, cut into its objects while it comes: of a page with all objects of a large kind, no more is held
//! than one of them.

use super::failure::Failure;

/// The largest object that is read, and the most that a page may say beside its objects, in bytes.
const MAX: usize = 64 << 20;

/// Cuts a page. It does not check what it cuts: whoever reads the pieces does.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The page without its objects.
    rest: Vec<u8>,
    /// The beginning of an object that has not come whole.
    begun: Vec<u8>,
    /// How many objects and lists are open.
    depth: usize,
    is_text: bool,
    is_escaped: bool,
    /// Where in the rest the text began that came last.
    text: usize,
    place: Place,
}

/// Where in a page something is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Beside,
    /// In the list of objects, between two of them.
    Between,
    Within,
}

/// The depth between the objects of a page.
const BETWEEN: usize = 2;

impl Splitter {
    /// Goes on with the next bytes, and gives each object that is whole with them.
    ///
    /// # Errors
    /// When an object or the rest is too large, or by whom it is given to.
    pub fn feed(&mut self, bytes: &[u8], mut give: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut left = bytes;
        while let Some((byte, after)) = left.split_first() {
            if self.is_between() && *byte == b'{' {
                self.place = Place::Within;
            }
            if self.place != Place::Within {
                self.step(*byte);
                left = after;
                continue;
            }
            let Some((object, after)) = self.end_of_object(left).and_then(|end| left.split_at_checked(end)) else {
                self.begun.extend_from_slice(left);
                break;
            };
            if self.begun.is_empty() {
                give(object)?;
            } else {
                self.begun.extend_from_slice(object);
                give(&self.begun)?;
                self.begun.clear();
            }
            self.place = Place::Between;
            left = after;
        }
        if self.begun.len() > MAX || self.rest.len() > MAX { Err(Failure::TooLarge) } else { Ok(()) }
    }

    /// The page with an empty list in the place of its objects.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// How many bytes there are up to the end of the object; nothing when it goes on.
    fn end_of_object(&mut self, bytes: &[u8]) -> Option<usize> {
        // Most of a list goes through here: what is counted is better at hand.
        let Self { mut depth, mut is_text, mut is_escaped, .. } = *self;
        let is_end = |byte: &u8| {
            if is_text {
                let was_escaped = is_escaped;
                is_escaped = !was_escaped && *byte == b'\\';
                is_text = was_escaped || *byte != b'"';
                return false;
            }
            match byte {
                b'"' => is_text = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => return false,
            }
            depth == BETWEEN
        };
        let end = bytes.iter().position(is_end);
        (self.depth, self.is_text, self.is_escaped) = (depth, is_text, is_escaped);
        Some(end? + 1)
    }

    /// Whether an object may begin here.
    fn is_between(&self) -> bool {
        self.place == Place::Between && self.depth == BETWEEN && !self.is_text
    }

    /// Goes on by one byte that is in no object.
    fn step(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.is_text => self.is_escaped = true,
            b'"' => {
                self.is_text = !self.is_text;
                if self.is_text && self.depth == 1 {
                    self.text = self.rest.len();
                }
            }
            _ if self.is_text => {}
            b'{' => self.depth += 1,
            b'[' => {
                if self.depth == 1 && self.is_named_items() {
                    self.place = Place::Between;
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth < BETWEEN {
                    self.place = Place::Beside;
                }
            }
            b',' if self.is_between() => return,
            _ => {}
        }
        self.rest.push(byte);
    }

    /// Whether the list that begins is the value of `items`: what came last is its name.
    fn is_named_items(&self) -> bool {
        self.rest.get(self.text..).is_some_and(|it| it.starts_with(br#""items""#))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(page: &[u8], size: usize) -> (Vec<String>, String) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let (mut splitter, mut objects) = (Splitter::default(), vec![]);
        for bytes in page.chunks(size) {
            let give = |object: &[u8]| {
                objects.push(text(object));
                Ok(())
            };
            splitter.feed(bytes, give).expect("small pieces");
        }
        (objects, text(splitter.rest()))
    }

    #[test]
    fn a_page_is_cut_the_same_wherever_it_breaks() {
        let cases: [(&str, &[&str], &str); 9] = [
            (r#"{"items":[],"kind":"L"}"#, &[], r#"{"items":[],"kind":"L"}"#),
            (r#"{"items":null}"#, &[], r#"{"items":null}"#),
            (r#"{"items":[{},{"a":[1]}],"kind":"L"}"#, &["{}", r#"{"a":[1]}"#], r#"{"items":[],"kind":"L"}"#),
            (r#"{"metadata":{"items":[{}]},"items":[{}]}"#, &["{}"], r#"{"metadata":{"items":[{}]},"items":[]}"#),
            (r#"{"kind":"items","other":[{}],"items":[{}]}"#, &["{}"], r#"{"kind":"items","other":[{}],"items":[]}"#),
            (
                r#"{ "items" : [ {"}":"]}\\\"{"} , {"items":[{}]} ] }"#,
                &[r#"{"}":"]}\\\"{"}"#, r#"{"items":[{}]}"#],
                r#"{ "items" : [    ] }"#,
            ),
            (r#"{"items":[{"a":"ä☃"}]}"#, &[r#"{"a":"ä☃"}"#], r#"{"items":[]}"#),
            // What is no list of objects stays, for others to refuse.
            (r#"{"items":[7,{},"{"]}"#, &["{}"], r#"{"items":[7"{"]}"#),
            (r#"{"items":[{},{"a":"#, &["{}"], r#"{"items":["#),
        ];
        for (page, objects, rest) in cases {
            for size in [1, 2, 3, 7, 1000] {
                let (found, left) = split(page.as_bytes(), size);
                assert_eq!(found, objects, "{page} by {size}");
                assert_eq!(left, rest, "{page} by {size}");
            }
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let mut splitter = Splitter::default();
        let mut feed = |bytes: &[u8]| splitter.feed(bytes, |_| Ok(()));
        assert_eq!(feed(br#"{"items":[{"a":""#), Ok(()));
        let much = vec![b'a'; MAX];
        assert_eq!(feed(&much), Err(Failure::TooLarge));
    }
}
