//! A request's body → the few facts that routing needs, and where the model's name stands. Pure, fed piece by piece.
//!
//! The bytes are never re-encoded: the lane puts its own model name between the quotes found here, nothing else changes.

use crate::fit::{Features, Need};
use crate::json::{Kind, Lexer, Sink, Word};
use crate::options::{Change, Options};
use crate::text::{at_least, unescape};
use crate::tokens::Tokens;

/// The most tokens that can be reserved: no limit is higher, and Envoy's limiters ignore a number above it.
pub const MOST_TOKENS: u64 = 1_000_000_000;
/// Tokens around a string or number: quotes, separators, a message's beginning and end (OpenAI's count 4 a message of 4).
const AROUND: u64 = 2;
/// Tokens of an image: the largest that providers document (Anthropic: about 1,600; OpenAI, high detail: up to 1,445).
const IMAGE_TOKENS: u64 = 1_600;

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
    /// What a model must be able to do for it.
    pub need: Need,
    /// What asks the provider for a stream's usage; None: the client asks already, or it cannot be asked.
    pub ask_usage: Option<Change>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Other,
    Model,
    Stream,
    Most,
    Tools,
    Format,
    Options,
}

#[derive(Default)]
struct Facts {
    member: Option<Member>,
    object: bool,
    models: u32,
    model: Option<(String, (u64, u64))>,
    stream: bool,
    most: Option<u64>,
    need: Features,
    /// The most tokens of text.
    text: u64,
    /// Counts them, if one a byte is not good enough.
    tokens: Option<Tokens>,
    images: u64,
    options: Options,
    /// The last key was `type`, or one of bytes in base64.
    names_type: bool,
    names_bytes: bool,
}

impl Facts {
    fn need(&self) -> Need {
        let images = self.images.saturating_mul(IMAGE_TOKENS);
        let tokens = self.text.saturating_add(images).saturating_add(self.most.unwrap_or(0));
        Need { tokens, features: self.need }
    }

    /// The `type` of a part of a prompt, or of the answer's form.
    fn part(&mut self, depth: usize, name: &[u8]) {
        match name {
            b"image_url" | b"input_image" | b"image" => {
                self.images = self.images.saturating_add(1);
                self.need = self.need.and(Features::VISION);
            }
            b"input_audio" => self.need = self.need.and(Features::AUDIO),
            b"json_schema" if depth == 2 && self.member == Some(Member::Format) => {
                self.need = self.need.and(Features::JSON_SCHEMA)
            }
            _ => {}
        }
    }

    fn measure(&mut self, kind: Kind, word: &Word) {
        let bytes = word.span.1.saturating_sub(word.span.0);
        let tokens = match &mut self.tokens {
            Some(tokens) if kind == Kind::Text => tokens.take(),
            _ => bytes, // no tokenizer makes more of them
        };
        if !self.names_bytes && !word.raw.starts_with(b"data:") {
            self.text = self.text.saturating_add(tokens).saturating_add(AROUND);
        }
    }
}

/// Reads a body as it comes.
#[derive(Default)]
pub struct Scanner {
    lexer: Lexer,
    facts: Facts,
}

impl Scanner {
    /// One that looks at each character for what it may be in tokens; the usual one takes each byte for a token.
    pub fn counting() -> Self {
        let tokens = Some(Tokens::default());
        Scanner { facts: Facts { tokens, ..Facts::default() }, ..Scanner::default() }
    }

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
        let need = facts.need();
        match facts.models {
            0 => Err(Refusal::NoModel),
            1 => facts.model.map_or(Err(Refusal::BadModel), |(model, span)| {
                let ask_usage = facts.options.change(span.1.saturating_add(1));
                Ok(Body { model, span, stream: facts.stream, most_tokens: facts.most, need, ask_usage })
            }),
            _ => Err(Refusal::TwoModels),
        }
    }
}

fn member(key: Word) -> Member {
    match key.name().as_ref() {
        b"model" => Member::Model,
        b"stream" => Member::Stream,
        b"max_tokens" | b"max_completion_tokens" | b"max_output_tokens" => Member::Most,
        b"tools" | b"functions" => Member::Tools,
        b"response_format" => Member::Format,
        b"stream_options" => Member::Options,
        _ => Member::Other,
    }
}

impl Sink for Facts {
    fn key(&mut self, depth: usize, key: Word) {
        if depth == 1 {
            self.member = Some(member(key));
            self.models = self.models.saturating_add(u32::from(self.member == Some(Member::Model)));
            self.options.found(self.member == Some(Member::Options));
        } else {
            self.options.key(depth, &key);
            self.names_type = key.raw == b"type";
        }
        self.names_bytes = matches!(key.raw, b"data" | b"file_data");
        self.measure(Kind::Text, &key);
    }

    fn open(&mut self, depth: usize, kind: Kind, at: u64) {
        self.options.open(depth, kind, at);
        self.object |= depth == 0 && kind == Kind::Object;
    }

    fn close(&mut self, depth: usize, kind: Kind, filled: bool) {
        self.options.close(depth, filled);
        if depth == 1 && kind == Kind::Array && filled && self.member == Some(Member::Tools) {
            self.need = self.need.and(Features::TOOLS);
        }
    }

    fn text(&mut self, piece: &[u8]) {
        if let Some(tokens) = &mut self.tokens {
            tokens.feed(piece);
        }
    }

    fn scalar(&mut self, depth: usize, kind: Kind, word: Word) {
        self.measure(kind, &word);
        self.options.scalar(depth, kind, &word);
        if depth != 1 {
            if std::mem::take(&mut self.names_type) && kind == Kind::Text {
                self.part(depth, word.raw);
            }
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
    fn what_it_needs_is_seen_wherever_it_stands() {
        for (members, features) in [
            (r#""messages":[{"role":"user","content":"tools, image_url, json_schema"}]"#, Features::NONE),
            (r#""tools":[{"type":"function"}]"#, Features::TOOLS),
            (r#""functions":[{"name":"f"}]"#, Features::TOOLS),
            (r#""tools":[],"tool_choice":"none""#, Features::NONE),
            (r#""messages":[{"content":[{"type":"image_url","image_url":{"url":"http://a/b"}}]}]"#, Features::VISION),
            (r#""input":[{"content":[{"image_url":"x","type":"input_image"}]}]"#, Features::VISION),
            (r#""messages":[{"content":[{"type":"input_audio"}]}]"#, Features::AUDIO),
            (r#""response_format":{"type":"json_schema","json_schema":{}}"#, Features::JSON_SCHEMA),
            (r#""response_format":{"type":"json_object"}"#, Features::NONE),
            (r#""messages":[{"type":"json_schema"}]"#, Features::NONE),
        ] {
            let body = format!(r#"{{{},"model":"a"}}"#, members);
            assert_eq!(scan(&body).unwrap().need.features, features, "{}", members);
        }
    }

    #[test]
    fn its_length_is_a_bound_that_bytes_of_images_do_not_inflate() {
        let tokens = |body: &str| {
            let mut counting = Scanner::counting();
            counting.feed(body.as_bytes());
            (scan(body).unwrap().need.tokens, counting.finish().unwrap().need.tokens)
        };
        let prompt = "word ".repeat(1_000);
        let (plain, counted) = tokens(&format!(r#"{{"model":"a","messages":[{{"content":"{}"}}]}}"#, prompt));
        assert!((5_000..5_050).contains(&plain) && (2_800..2_950).contains(&counted), "{} {}", plain, counted);
        let (longer, _) = tokens(&format!(r#"{{"model":"a","max_tokens":9000,"messages":[{{"content":"{}"}}]}}"#, prompt));
        assert!((14_000..14_070).contains(&longer), "{}", longer);
        let bytes = "A".repeat(100_000);
        let image = format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}"#, bytes);
        let audio = format!(r#"{{"type":"input_audio","input_audio":{{"data":"{}","format":"wav"}}}}"#, bytes);
        let parts = tokens(&format!(r#"{{"model":"a","messages":[{{"content":[{},{}]}}]}}"#, image, audio));
        assert!((1_600..1_800).contains(&parts.0) && (1_600..1_800).contains(&parts.1), "{:?}", parts);
    }

    #[test]
    fn a_count_is_of_characters_and_escapes_as_the_model_reads_them() {
        let tokens = |text: &str| {
            let mut counting = Scanner::counting();
            counting.feed(format!(r#"{{"model":"a","n":{}}}"#, text).as_bytes());
            counting.finish().unwrap().need.tokens
        };
        let empty = tokens(r#""""#);
        for (text, want) in [(r#""a b""#, 2), (r#""\n\n""#, 2), (r#""a\"b""#, 3), ("1234", 4), (r#""data:x""#, -2)] {
            assert_eq!(tokens(text) as i64 - empty as i64, want, "{}", text);
        }
    }

    #[test]
    fn stream_is_only_true() {
        for (value, want) in [("true", true), ("false", false), ("\"true\"", false), ("1", false), ("[true]", false)] {
            assert_eq!(scan(&format!(r#"{{"model":"a","stream":{}}}"#, value)).unwrap().stream, want, "{}", value);
        }
    }
}
