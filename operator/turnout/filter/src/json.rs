//! A push lexer for JSON (RFC 8259): bytes in, in any pieces, facts out to a `Sink`. Pure; builds no tree.
//!
//! The structure is checked strictly, so that our reading of a body is any other parser's; what stands inside strings
//! is not (a provider may be laxer or stricter there). How the input is cut makes no difference: that is fuzzed.

use crate::text::unescape;
use std::borrow::Cow;

/// Containers inside one another that are accepted. Python's json stops at about 1,000; nobody nests 256 levels.
pub const DEEPEST: usize = 256;
/// Bytes of a key or scalar that are kept for the sink, raw; longer ones are cut and marked.
pub const KEPT: usize = 1024;

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    Text,
    /// a number
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// A key or scalar: what stands between its quotes, or the bare word.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// Raw bytes, at most `KEPT`.
    pub raw: &'a [u8],
    /// Whether `raw` is all of it.
    pub whole: bool,
    /// Offset in the document of its first byte, and of the byte after its last (both inside the quotes).
    pub span: (u64, u64),
}

impl Word<'_> {
    /// What it spells, its escapes resolved: a key spelt with escapes is the same key.
    pub fn name(&self) -> Cow<'_, [u8]> {
        match self.raw.contains(&b'\\') {
            true => Cow::Owned(unescape(self.raw).unwrap_or_default().into_bytes()),
            false => Cow::Borrowed(self.raw),
        }
    }
}

/// Who listens. `depth`: containers around it; the members of the outermost object have 1.
pub trait Sink {
    /// A member's key; its value follows.
    fn key(&mut self, depth: usize, key: Word);
    /// A container opens, its bracket at this offset; what is in it has `depth` + 1.
    fn open(&mut self, depth: usize, kind: Kind, at: u64);
    /// The container closes.
    fn close(&mut self, depth: usize, kind: Kind, filled: bool);
    /// A string, number or literal.
    fn scalar(&mut self, depth: usize, kind: Kind, word: Word);
    /// A piece of a string, before it is told as key or scalar; of an escape its backslash, and of \\u the digits.
    fn text(&mut self, _piece: &[u8]) {}
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Value,     // a value must come
    FirstItem, // after '[': a value or ']'
    FirstKey,  // after '{': a key or '}'
    Key,       // after ',' in an object
    Colon,     // after a key
    Comma,     // after a value inside a container
    InText,    // inside a string
    InEscape,  // after a backslash inside a string
    InWord,    // inside a number or literal
    Done,      // the document is whole
    Broken,    // not JSON
}

/// The lexer. `feed` it pieces, then `finish`.
pub struct Lexer {
    state: State,
    is_key: bool,
    depth: usize,
    objects: [u64; DEEPEST / 64],
    offset: u64,
    start: u64,
    kept: Vec<u8>,
    whole: bool,
}

impl Default for Lexer {
    fn default() -> Self {
        Lexer {
            state: State::Value,
            is_key: false,
            depth: 0,
            objects: [0; DEEPEST / 64],
            offset: 0,
            start: 0,
            kept: Vec::new(),
            whole: true,
        }
    }
}

impl Lexer {
    /// Back to the start, for the next document; keeps its memory.
    pub fn reset(&mut self) {
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        *self = Lexer { kept, ..Lexer::default() };
    }

    /// Whether one whole document has been read, and nothing but white space after it.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether what came cannot be JSON.
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Reads the next piece.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl Sink) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = match self.state {
                State::InText => self.text(rest, sink),
                State::InWord => self.word(rest, sink),
                State::InEscape => {
                    self.keep(rest.get(..1).unwrap_or_default());
                    self.state = State::InText;
                    1
                }
                State::Broken => return,
                _ => {
                    self.structure(rest.first().copied().unwrap_or_default(), sink);
                    1
                }
            };
            self.offset = self.offset.saturating_add(used as u64);
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// The end of the input; true if it was one whole document.
    pub fn finish(&mut self, sink: &mut impl Sink) -> bool {
        if self.state == State::InWord {
            self.end_word(sink); // a bare number or literal ends with the input
        }
        self.is_done()
    }

    fn structure(&mut self, byte: u8, sink: &mut impl Sink) {
        match (self.state, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => {}
            (State::Value | State::FirstItem, b'{') => self.push(true, sink),
            (State::Value | State::FirstItem, b'[') => self.push(false, sink),
            (State::FirstItem, b']') => self.pop(false, false, sink),
            (State::FirstKey, b'}') => self.pop(true, false, sink),
            (State::Comma, b']') => self.pop(false, true, sink),
            (State::Comma, b'}') => self.pop(true, true, sink),
            (State::Comma, b',') => self.state = if self.in_object() { State::Key } else { State::Value },
            (State::Colon, b':') => self.state = State::Value,
            (State::FirstKey | State::Key, b'"') => self.begin(true, State::InText, 1),
            (State::Value | State::FirstItem, b'"') => self.begin(false, State::InText, 1),
            (State::Value | State::FirstItem, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.begin(false, State::InWord, 0);
                self.keep(&[byte]);
            }
            _ => self.state = State::Broken,
        }
    }

    fn begin(&mut self, is_key: bool, state: State, skip: u64) {
        self.is_key = is_key;
        self.state = state;
        self.start = self.offset.saturating_add(skip);
        self.kept.clear();
        self.whole = true;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.kept.len());
        self.whole &= bytes.len() <= room;
        self.kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    /// Reads on inside a string; returns how many bytes were used.
    fn text(&mut self, rest: &[u8], sink: &mut impl Sink) -> usize {
        let plain = plain(rest);
        self.keep(rest.get(..plain).unwrap_or_default());
        sink.text(rest.get(..plain).unwrap_or_default());
        match rest.get(plain) {
            None => return plain,
            Some(b'\\') => {
                self.keep(b"\\");
                sink.text(b"\\");
                self.state = State::InEscape;
            }
            Some(_) => {
                let end = self.offset.saturating_add(plain as u64);
                let word = Word { raw: &self.kept, whole: self.whole, span: (self.start, end) };
                if self.is_key {
                    sink.key(self.depth, word);
                    self.state = State::Colon;
                } else {
                    sink.scalar(self.depth, Kind::Text, word);
                    self.after_value();
                }
            }
        }
        plain.saturating_add(1)
    }

    /// Reads on inside a number or literal; the byte after it is not used up.
    fn word(&mut self, rest: &[u8], sink: &mut impl Sink) -> usize {
        let inside = |c: &u8| matches!(c, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.');
        let used = rest.iter().position(|c| !inside(c)).unwrap_or(rest.len());
        self.keep(rest.get(..used).unwrap_or_default());
        if used < rest.len() {
            let at = self.offset;
            self.offset = at.saturating_add(used as u64);
            self.end_word(sink);
            self.offset = at;
        }
        used
    }

    fn end_word(&mut self, sink: &mut impl Sink) {
        let kind = match self.kept.as_slice() {
            b"true" => Kind::True,
            b"false" => Kind::False,
            b"null" => Kind::Null,
            number if !self.whole || is_number(number) => Kind::Number,
            _ => {
                self.state = State::Broken;
                return;
            }
        };
        let word = Word { raw: &self.kept, whole: self.whole, span: (self.start, self.offset) };
        sink.scalar(self.depth, kind, word);
        self.after_value();
    }

    fn after_value(&mut self) {
        self.state = if self.depth == 0 { State::Done } else { State::Comma };
    }

    fn in_object(&self) -> bool {
        let at = self.depth.saturating_sub(1);
        self.objects.get(at / 64).map_or(false, |bits| bits >> (at % 64) & 1 == 1)
    }

    fn push(&mut self, object: bool, sink: &mut impl Sink) {
        let bit = 1_u64 << (self.depth % 64);
        match self.objects.get_mut(self.depth / 64) {
            Some(bits) if object => *bits |= bit,
            Some(bits) => *bits &= !bit,
            None => {
                self.state = State::Broken;
                return;
            }
        }
        sink.open(self.depth, if object { Kind::Object } else { Kind::Array }, self.offset);
        self.depth = self.depth.saturating_add(1);
        self.state = if object { State::FirstKey } else { State::FirstItem };
    }

    fn pop(&mut self, object: bool, filled: bool, sink: &mut impl Sink) {
        if self.in_object() != object {
            self.state = State::Broken;
            return;
        }
        self.depth = self.depth.saturating_sub(1);
        sink.close(self.depth, if object { Kind::Object } else { Kind::Array }, filled);
        self.after_value();
    }
}

/// How many bytes come before the next quote or backslash: eight at a time, prompts are mostly text.
fn plain(bytes: &[u8]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let chunks = bytes.chunks_exact(8);
    let tail = chunks.remainder();
    let mut at = 0_usize;
    for chunk in chunks {
        let word = <[u8; 8]>::try_from(chunk).map_or(0, u64::from_le_bytes);
        let (quote, slash) = (word ^ LOW.wrapping_mul(0x22), word ^ LOW.wrapping_mul(0x5c));
        let zero = |x: u64| x.wrapping_sub(LOW) & !x & LOW.wrapping_mul(0x80);
        let hit = zero(quote) | zero(slash);
        if hit != 0 {
            return at.saturating_add(hit.trailing_zeros() as usize / 8);
        }
        at = at.saturating_add(8);
    }
    at.saturating_add(tail.iter().position(|c| matches!(c, b'"' | b'\\')).unwrap_or(tail.len()))
}

/// RFC 8259's grammar of numbers.
fn is_number(text: &[u8]) -> bool {
    let (whole, mut rest) = digits(text.strip_prefix(b"-").unwrap_or(text));
    if whole.is_empty() || (whole.len() > 1 && whole.first() == Some(&b'0')) {
        return false;
    }
    if let Some(after) = rest.strip_prefix(b".") {
        let (fraction, after) = digits(after);
        if fraction.is_empty() {
            return false;
        }
        rest = after;
    }
    if let Some(after) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let unsigned = after.strip_prefix(b"+").or_else(|| after.strip_prefix(b"-")).unwrap_or(after);
        let (exponent, after) = digits(unsigned);
        return !exponent.is_empty() && after.is_empty();
    }
    rest.is_empty()
}

/// The digits that `text` begins with, and the rest.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    (text.get(..end).unwrap_or_default(), text.get(end..).unwrap_or_default())
}
