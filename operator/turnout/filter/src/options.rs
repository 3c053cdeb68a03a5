//! `stream_options` of a request → what to change in the body so that the provider reports a stream's usage. Pure.
//!
//! Absent: it is added behind the model's name. `null`, or an object in which `include_usage` is absent, false or null:
//! it asks for it from now on, the client's other options stay. True: nothing, the client asks itself. Anything else
//! (another type, `stream_options` or `include_usage` twice) is the client's own affair and goes as it came.

use crate::json::{Kind, Word};

/// Bytes of a body that are put in the place of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Offset of the first byte replaced.
    pub from: u64,
    /// Offset of the byte after the last; `from` if nothing is taken away.
    pub to: u64,
    /// What comes in their place.
    pub text: &'static str,
}

const MEMBER: &str = r#","stream_options":{"include_usage":true}"#;
const VALUE: &str = r#"{"include_usage":true}"#;
const ONLY: &str = r#""include_usage":true"#;
const FIRST: &str = r#""include_usage":true,"#;

/// Listens to a request's members.
#[derive(Default)]
pub struct Options {
    members: u32,
    /// Its value comes next, or is being read.
    inside: bool,
    asks: u32,
    /// The last key inside was `include_usage`.
    names: bool,
    change: Option<Change>,
}

impl Options {
    /// A member of the request begins; whether it is `stream_options`.
    pub fn found(&mut self, it_is: bool) {
        self.inside = it_is;
        self.members = self.members.saturating_add(u32::from(it_is));
    }

    /// A key at a greater depth than the request's members.
    pub fn key(&mut self, depth: usize, key: &Word) {
        self.names = self.inside && depth == 2 && key.name().as_ref() == b"include_usage";
        if self.names {
            self.asks = self.asks.saturating_add(1);
            self.change = None;
        }
    }

    /// A container opens at this offset.
    pub fn open(&mut self, depth: usize, kind: Kind, at: u64) {
        if self.inside && depth == 1 && kind == Kind::Object {
            let place = at.saturating_add(1);
            self.change = Some(Change { from: place, to: place, text: ONLY });
        }
        self.names = false;
    }

    /// A container closes.
    pub fn close(&mut self, depth: usize, filled: bool) {
        if !self.inside || depth != 1 {
            return;
        }
        self.inside = false;
        if filled && self.asks == 0 {
            self.change = self.change.map(|change| Change { text: FIRST, ..change });
        }
    }

    /// A string, number or literal.
    pub fn scalar(&mut self, depth: usize, kind: Kind, word: &Word) {
        let (from, to) = word.span;
        match depth {
            1 if self.inside && kind == Kind::Null => self.change = Some(Change { from, to, text: VALUE }),
            2 if self.names && matches!(kind, Kind::False | Kind::Null) => {
                self.change = Some(Change { from, to, text: "true" });
            }
            _ => {}
        }
        self.names = false;
        self.inside &= depth != 1;
    }

    /// What asks for usage; `behind_model`: offset of the byte behind the model's name and its quote.
    pub fn change(&self, behind_model: u64) -> Option<Change> {
        match (self.members, self.asks) {
            (0, _) => Some(Change { from: behind_model, to: behind_model, text: MEMBER }),
            (1, 0 | 1) => self.change,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::body::{Body, Scanner};

    fn scan(text: &str) -> Body {
        let mut scanner = Scanner::default();
        scanner.feed(text.as_bytes());
        scanner.finish().unwrap()
    }

    #[test]
    fn usage_is_asked_for_wherever_it_can_be() {
        for (options, asking) in [
            ("", r#","stream_options":{"include_usage":true}"#),
            (r#","stream_options":null"#, r#","stream_options":{"include_usage":true}"#),
            (r#","stream_options": { }"#, r#","stream_options": {"include_usage":true }"#),
            (r#","stream_options":{"a":[{}]}"#, r#","stream_options":{"include_usage":true,"a":[{}]}"#),
            (r#","stream_options":{"include_usage":false}"#, r#","stream_options":{"include_usage":true}"#),
            (r#","stream_options":{"b":1,"include_usage":null}"#, r#","stream_options":{"b":1,"include_usage":true}"#),
            (
                r#","stream_\u006fptions":{"include\u005fusage":false}"#,
                r#","stream_\u006fptions":{"include\u005fusage":true}"#,
            ),
            (
                r#","stream_options":{"a":{"include_usage":true}}"#,
                r#","stream_options":{"include_usage":true,"a":{"include_usage":true}}"#,
            ),
            (
                r#","a":{"stream_options":{"include_usage":true}}"#,
                r#","stream_options":{"include_usage":true},"a":{"stream_options":{"include_usage":true}}"#,
            ),
        ] {
            let body = format!(r#"{{"model":"m"{},"stream":true}}"#, options);
            let change = scan(&body).ask_usage.expect(&body);
            let (from, to) = (change.from as usize, change.to as usize);
            let asked = [&body[..from], change.text, &body[to..]].concat();
            assert_eq!(asked, format!(r#"{{"model":"m"{},"stream":true}}"#, asking));
            assert_eq!(scan(&asked).ask_usage, None, "{}", asked);
        }
    }

    #[test]
    fn what_asks_already_or_is_no_option_goes_as_it_came() {
        for options in [
            r#"{"include_usage":true}"#,
            r#"{"include_usage":1}"#,
            r#"{"include_usage":{}}"#,
            r#"{"include_usage":[null]}"#,
            r#"{"include_usage":false,"include_usage":true}"#,
            r#"{"include_usage":true},"stream_options":null"#,
            r#"null,"stream_options":{}"#,
            "true",
            "[]",
            r#"[{"include_usage":false}]"#,
            r#""include_usage""#,
        ] {
            let body = format!(r#"{{"model":"m","stream_options":{}}}"#, options);
            assert_eq!(scan(&body).ask_usage, None, "{}", body);
        }
    }
}
