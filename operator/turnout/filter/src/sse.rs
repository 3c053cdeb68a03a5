//! A stream of server-sent events → one `Facts` for each event with JSON in it. Pure, fed piece by piece, keeps no text.
//!
//! HTML standard, 9.2.6: lines end with LF, CRLF or CR; only `data` matters here. An event counts as soon as the JSON
//! of its data is whole, so that content is not held back for the empty line behind it.

use crate::facts::{Facts, Reader};
use crate::json::Lexer;
use crate::strain::Strainer;

/// What came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A JSON event, and where its data stands in the stream (offsets of its first byte, and after its last).
    Json(Facts, (u64, u64)),
    /// `data: [DONE]`
    Done,
    /// Data that is not JSON: no dialect of ours.
    Alien,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Name(usize), // so many bytes of "data:" have matched
    Data,
    Ignored,
}

const FIELD: &[u8] = b"data:";
const DONE: &[u8] = b"[DONE]";

/// Reads a stream.
pub struct Stream {
    line: Line,
    after_cr: bool,
    lexer: Lexer,
    reader: Reader,
    offset: u64,
    from: Option<u64>,
    done_matched: usize,
    open: bool,    // an event was told whose empty line has not come
    in_line: bool, // the stream ended inside a line
    strainer: Strainer,
}

impl Default for Stream {
    fn default() -> Self {
        Stream {
            line: Line::Name(0),
            after_cr: false,
            lexer: Lexer::default(),
            reader: Reader::default(),
            offset: 0,
            from: None,
            done_matched: 0,
            open: false,
            in_line: false,
            strainer: Strainer::default(),
        }
    }
}

impl Stream {
    /// Reads the next piece; `seen` is told each event in order.
    pub fn feed(&mut self, bytes: &[u8], mut seen: impl FnMut(Event)) {
        let mut rest = bytes;
        while let Some(first) = rest.first().copied() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                self.strainer.line_feed(self.offset);
                rest = self.skip(rest, 1); // the second half of a CRLF
                continue;
            }
            let end = rest.iter().position(|c| matches!(c, b'\n' | b'\r'));
            let used = end.unwrap_or(rest.len());
            let text = rest.get(..used).unwrap_or_default();
            self.inside(text);
            rest = self.skip(rest, used);
            if end.is_some() {
                self.after_cr = rest.first() == Some(&b'\r');
                self.line_end(1, &mut seen);
                rest = self.skip(rest, 1);
            }
        }
    }

    /// The end of the stream: a last line may lack its end.
    pub fn finish(&mut self, mut seen: impl FnMut(Event)) {
        let open = self.open;
        self.in_line = self.line != Line::Name(0);
        self.line_end(0, &mut seen);
        if self.from.is_some() {
            self.strainer.said(None); // data that is not whole
        }
        self.strainer.ended(self.offset);
        self.open = (self.open || open) && !self.strainer.took(self.offset); // the end is no empty line
    }

    /// After `finish`: the line breaks that the last event lacks; without its empty line a reader drops it. Not one
    /// more: some readers take that for another event.
    pub fn missing(&self) -> &'static [u8] {
        match (self.open, self.in_line) {
            (false, _) => b"",
            (true, false) => b"\n",
            (true, true) => b"\n\n",
        }
    }

    /// Takes usage events out of what `pass` gives, from the stream's first byte on.
    pub fn take_usage_out(&mut self) {
        self.strainer.start();
    }

    /// Whether `pass` may change or hold something.
    pub fn strains(&self) -> bool {
        self.strainer.is_due()
    }

    /// What goes on of the piece that was fed last, or of all of them; None: the piece as it is.
    pub fn pass(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        self.strainer.pass(piece, self.offset)
    }

    fn skip<'a>(&mut self, rest: &'a [u8], n: usize) -> &'a [u8] {
        self.offset = self.offset.saturating_add(n as u64);
        rest.get(n..).unwrap_or_default()
    }

    /// Bytes of a line, without its end.
    fn inside(&mut self, text: &[u8]) {
        let mut rest = text;
        let mut at = self.offset;
        while let (Line::Name(n), Some((first, tail))) = (self.line, rest.split_first()) {
            self.line = match FIELD.get(n) {
                Some(wanted) if wanted == first && n.saturating_add(1) == FIELD.len() => Line::Data,
                Some(wanted) if wanted == first => Line::Name(n.saturating_add(1)),
                _ => Line::Ignored,
            };
            rest = tail;
            at = at.saturating_add(1);
        }
        if self.line == Line::Data && !rest.is_empty() {
            self.data(rest, at);
        }
    }

    fn data(&mut self, text: &[u8], at: u64) {
        if self.from.is_none() {
            let first = text.iter().position(|c| !matches!(c, b' ' | b'\t')); // what JSON takes for nothing
            self.from = first.map(|n| at.saturating_add(n as u64));
        }
        for c in text.iter().filter(|c| !c.is_ascii_whitespace()) {
            if self.done_matched > DONE.len() {
                break;
            }
            let matches = DONE.get(self.done_matched) == Some(c);
            self.done_matched = if matches { self.done_matched.saturating_add(1) } else { usize::MAX };
        }
        self.lexer.feed(text, &mut self.reader);
    }

    /// A line ended, with a line break of so many bytes (the second one of a CRLF comes later).
    fn line_end(&mut self, width: u64, seen: &mut impl FnMut(Event)) {
        let blank = self.line == Line::Name(0);
        self.open &= !blank;
        if self.line == Line::Data && self.done_matched == DONE.len() {
            self.strainer.said(None);
            seen(Event::Done);
            self.clear();
            self.open = true;
        } else if self.line == Line::Data && self.lexer.finish(&mut self.reader) {
            self.open |= self.from.is_some();
            let facts = self.reader.facts();
            self.strainer.said(Some(&facts));
            seen(Event::Json(facts, (self.from.unwrap_or(self.offset), self.offset)));
            self.clear();
        } else if blank && self.from.is_some() {
            self.strainer.said(None);
            seen(Event::Alien);
            self.clear();
        }
        if blank {
            self.strainer.ended(self.offset.saturating_add(width));
        }
        self.line = Line::Name(0);
    }

    fn clear(&mut self) {
        self.lexer.reset();
        self.reader = Reader::default();
        self.from = None;
        self.done_matched = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<Event> {
        let (mut stream, mut seen) = (Stream::default(), Vec::new());
        pieces.iter().for_each(|p| stream.feed(p, |e| seen.push(e)));
        stream.finish(|e| seen.push(e));
        seen
    }

    #[test]
    fn events_are_found_with_any_line_end_and_any_cut() {
        for end in ["\n", "\r\n", "\r"] {
            let text = [
                ": comment",
                "",
                "event: x",
                "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}",
                "id: 1",
                "",
                "data:{}",
                "",
                "data: {\"choices\":",
                "data: []}",
                "",
                "data: what",
                "",
                "data: [DONE]",
                "",
            ]
            .join(end);
            let whole = events(&[text.as_bytes()]);
            assert!(
                matches!(whole.as_slice(), [Event::Json(a, _), Event::Json(_, _), Event::Json(c, _), Event::Alien, Event::Done]
                if a.content && c.known && c.hollow),
                "{:?}",
                whole
            );
            for cut in 0..=text.len() {
                let (a, b) = text.as_bytes().split_at(cut);
                assert_eq!(events(&[a, b]), whole, "cut at {}", cut);
            }
        }
    }

    #[test]
    fn the_place_of_an_event_is_its_data() {
        let text = b"event: error\ndata:  {\"error\":{\"code\":429}}\n\n";
        match events(&[text]).as_slice() {
            [Event::Json(facts, (from, to))] => {
                assert!(facts.error && facts.status == 429);
                assert_eq!(&text[*from as usize..*to as usize], &b"{\"error\":{\"code\":429}}"[..]);
            }
            other => panic!("{:?}", other),
        }
    }

    #[test]
    fn an_event_of_odd_white_space_spoils_no_other() {
        let seen = events(&[b"data: \x0c\n\ndata: {\"choices\":[]}\n\n"]);
        assert!(matches!(seen.as_slice(), [Event::Alien, Event::Json(facts, _)] if facts.hollow), "{:?}", seen);
    }

    #[test]
    fn only_the_exact_word_is_done() {
        assert_eq!(events(&[b"data: [DONE]x\n\n"]), [Event::Alien]);
        assert_eq!(events(&[b"data: [DON\n\n"]), [Event::Alien]);
        assert_eq!(events(&[b"data: [DONE]"]), [Event::Done]);
        assert_eq!(events(&[b"xdata: [DONE]\n\ndata\n\n"]), []);
    }
}
