//! A request's body → the few facts that routing needs, and where the model's name stands. Pure, fed piece by piece.
//!
//! The bytes are never re-encoded: the lane puts its own model name between the quotes found here, nothing else changes.

use crate::json::{Kind, Lexer, Sink, Word};
use crate::text::{at_least, unescape};

/// The most tokens that can be reserved: Envoy's limiter ignores a number above this, and would take 1.
pub const MOST_TOKENS: u64 = 1_000_000_000;

/// Why a body is refused; each is a client's mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Not one JSON object.
    NotJson,
    /// No member `model`.
    NoModel,
    /// `model` is no string, or one that cannot be read, or empty, or longer than `json::KEPT`.
    BadModel,
    /// More than one member `model`: two parsers could read two different models.
    TwoModels,
}

/// What a body says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Body {
    /// The model's name, unescaped.
    pub model: String,
    /// Offsets of the name's first byte and of the byte after its last, both inside the quotes.
    pub span: (u64, u64),
    /// `"stream": true`
    pub stream: bool,
    /// The largest of max_tokens, max_completion_tokens and max_output_tokens; None without any.
    pub most_tokens: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Other,
    Model,
    Stream,
    Most,
}

#[derive(Default)]
struct Facts {
    member: Option<Member>,
    object: bool,
    models: u32,
    model: Option<(String, (u64, u64))>,
    stream: bool,
    most: Option<u64>,
}

/// Reads a body as it comes.
#[derive(Default)]
pub struct Scanner {
    lexer: Lexer,
    facts: Facts,
}

impl Scanner {
    /// Reads the next piece.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.lexer.feed(bytes, &mut self.facts);
    }

    /// The end of the body.
    pub fn finish(mut self) -> Result<Body, Refusal> {
        let whole = self.lexer.finish(&mut self.facts);
        let facts = self.facts;
        if !whole || !facts.object {
            return Err(Refusal::NotJson);
        }
        match facts.models {
            0 => Err(Refusal::NoModel),
            1 => facts.model.map_or(Err(Refusal::BadModel), |(model, span)| {
                Ok(Body { model, span, stream: facts.stream, most_tokens: facts.most })
            }),
            _ => Err(Refusal::TwoModels),
        }
    }
}

/// The member of a key; a key spelt with escapes is the same key.
fn member(key: Word) -> Member {
    let spelt;
    let name = if key.raw.contains(&b'\\') {
        spelt = unescape(key.raw).unwrap_or_default();
        spelt.as_bytes()
    } else {
        key.raw
    };
    match name {
        b"model" => Member::Model,
        b"stream" => Member::Stream,
        b"max_tokens" | b"max_completion_tokens" | b"max_output_tokens" => Member::Most,
        _ => Member::Other,
    }
}

impl Sink for Facts {
    fn key(&mut self, depth: usize, key: Word) {
        if depth == 1 {
            self.member = Some(member(key));
            self.models = self.models.saturating_add(u32::from(self.member == Some(Member::Model)));
        }
    }

    fn open(&mut self, depth: usize, kind: Kind) {
        self.object |= depth == 0 && kind == Kind::Object;
    }

    fn close(&mut self, _: usize, _: Kind, _: bool) {}

    fn scalar(&mut self, depth: usize, kind: Kind, word: Word) {
        if depth != 1 {
            return;
        }
        match self.member.take() {
            Some(Member::Model) if kind == Kind::Text && word.whole => {
                self.model = unescape(word.raw).filter(|name| !name.is_empty()).map(|name| (name, word.span));
            }
            Some(Member::Stream) => self.stream = kind == Kind::True,
            Some(Member::Most) if kind == Kind::Number => {
                self.most = self.most.max(Some(at_least(word.raw, MOST_TOKENS)))
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Result<Body, Refusal> {
        let mut scanner = Scanner::default();
        scanner.feed(text.as_bytes());
        scanner.finish()
    }

    #[test]
    fn the_top_level_members_are_found_wherever_they_stand() {
        let text = r#"{"messages":[{"model":"no","stream":true,"content":"\"model\":\"no\""}],
            "max_tokens": 7, "model" : "gpt-4.1" ,"stream":true,"max_completion_tokens":12}"#;
        let body = scan(text).unwrap();
        assert_eq!((body.model.as_str(), body.stream, body.most_tokens), ("gpt-4.1", true, Some(12)));
        assert_eq!(&text[body.span.0 as usize..body.span.1 as usize], "gpt-4.1");
    }

    #[test]
    fn an_escaped_name_is_read_and_its_raw_place_kept() {
        let text = r#"{"model":"a\u0062\/c"}"#;
        let body = scan(text).unwrap();
        assert_eq!(body.model, "ab/c");
        assert_eq!(&text[body.span.0 as usize..body.span.1 as usize], r"a\u0062\/c");
    }

    #[test]
    fn two_models_are_refused_however_they_are_spelt() {
        assert_eq!(scan(r#"{"model":"a","model":"b"}"#), Err(Refusal::TwoModels));
        assert_eq!(scan(r#"{"model":"a","\u006dodel":"b"}"#), Err(Refusal::TwoModels));
        assert_eq!(scan(r#"{"model":{},"model":"b"}"#), Err(Refusal::TwoModels));
    }

    #[test]
    fn what_names_no_model_is_refused() {
        assert_eq!(scan(r#"{"modle":"a"}"#), Err(Refusal::NoModel));
        for bad in [
            r#"{"model":1}"#,
            r#"{"model":null}"#,
            r#"{"model":["a"]}"#,
            r#"{"model":{"model":"a"}}"#,
            r#"{"model":""}"#,
            r#"{"model":"\ud800"}"#,
        ] {
            assert_eq!(scan(bad), Err(Refusal::BadModel), "{}", bad);
        }
        for bad in ["", "[]", "\"model\"", r#"[{"model":"a"}]"#, r#"{"model":"a""#, r#"{"model":"a"} x"#] {
            assert_eq!(scan(bad), Err(Refusal::NotJson), "{}", bad);
        }
    }

    #[test]
    fn stream_is_only_true() {
        for (value, want) in [("true", true), ("false", false), ("\"true\"", false), ("1", false), ("[true]", false)] {
            assert_eq!(scan(&format!(r#"{{"model":"a","stream":{}}}"#, value)).unwrap().stream, want, "{}", value);
        }
    }
}
