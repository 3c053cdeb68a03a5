//! The judge: is what a provider sends an answer? Pure, fed piece by piece; how it is cut makes no difference.
//!
//! An answer is one at its first content, not at its first byte. Until then an error inside a 200, an end, or something
//! that is no JSON is a failed attempt, and the next lane can make it good, because nothing has reached the client.

use crate::cost::Usage;
use crate::facts::{Facts, Reader};
use crate::json::Lexer;
use crate::sse::{Event, Stream};

/// A stream in no dialect that we know is let go after so many events: a good answer must not be held back.
pub const UNKNOWN_EVENTS: u32 = 8;
/// And one in a known dialect, without any content that we know, after so many.
pub const KNOWN_EVENTS: u32 = 64;

/// Why something is not an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An error event in a stream; the status that it names or 502, and where its JSON stands in the stream.
    ErrorEvent(u16, (u64, u64)),
    /// A 200 whose body is an error; the status that it names or 502.
    ErrorBody(u16),
    /// Not JSON, cut, or without what the path promises.
    Malformed,
    /// Nothing in it.
    Empty,
    /// A stream that ended at HTTP's level but not at the model's.
    Truncated,
}

/// What is known so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Not enough to tell.
    Wait,
    /// An answer: whole, or one that has begun.
    Answer,
    /// None.
    Bad(Fault),
}

/// What the status and headers announced.
pub enum Shape {
    /// Server-sent events.
    Stream,
    /// One JSON document; whether the path promises `choices` or the like.
    Document {
        /// Chat completions and completions promise it.
        needs_choices: bool,
    },
}

enum Input {
    Stream(Box<Stream>),
    Document { lexer: Box<Lexer>, reader: Box<Reader>, needs_choices: bool },
}

/// Judges one answer.
pub struct Judge {
    input: Input,
    tally: Tally,
    whole: bool,
}

/// What the events of a stream came to.
#[derive(Default)]
struct Tally {
    events: u32,
    content: bool,
    known: bool,
    done: bool,               // the model's own end
    marked: bool,             // `[DONE]`: nothing comes after it
    decided: Option<Verdict>, // the first event that decides does, however events share packets
    error: Option<(u16, (u64, u64))>,
    usage: Usage,
}

impl Tally {
    fn note(&mut self, event: Event) {
        self.events = self.events.saturating_add(1);
        match event {
            Event::Done => {
                self.done = true;
                self.marked = true;
            }
            Event::Alien => {}
            Event::Json(facts, place) => self.read(&facts, place),
        }
        self.decided = self.decided.or_else(|| self.decide(event == Event::Done));
    }

    fn decide(&self, marked: bool) -> Option<Verdict> {
        let patience = if self.known { KNOWN_EVENTS } else { UNKNOWN_EVENTS };
        match self.error {
            _ if self.content => Some(Verdict::Answer),
            Some((status, place)) => Some(Verdict::Bad(Fault::ErrorEvent(status, place))),
            None if marked => Some(Verdict::Bad(Fault::Empty)),
            None if self.events >= patience => Some(Verdict::Answer),
            None => None,
        }
    }

    fn read(&mut self, facts: &Facts, place: (u64, u64)) {
        let other_end = facts.finish && !facts.stop && !facts.error; // "length", "tool_calls": an answer of its kind
        self.known |= facts.known;
        self.content |= facts.content || other_end;
        self.done |= facts.finish;
        self.usage = Usage {
            input: self.usage.input.max(facts.usage.input),
            cached: self.usage.cached.max(facts.usage.cached),
            output: self.usage.output.max(facts.usage.output),
        };
        if facts.error && self.error.is_none() {
            self.error = Some((status_or_502(facts.status), place));
        }
    }
}

fn status_or_502(status: u16) -> u16 {
    if status == 0 {
        502
    } else {
        status
    }
}

impl Judge {
    /// A judge for an answer of this shape.
    pub fn new(shape: Shape) -> Self {
        let input = match shape {
            Shape::Stream => Input::Stream(Box::default()),
            Shape::Document { needs_choices } => {
                Input::Document { lexer: Box::default(), reader: Box::default(), needs_choices }
            }
        };
        Judge { input, tally: Tally::default(), whole: false }
    }

    /// Whether it judges a stream.
    pub fn is_stream(&self) -> bool {
        matches!(self.input, Input::Stream(_))
    }

    /// Reads the next piece.
    pub fn feed(&mut self, bytes: &[u8]) {
        match &mut self.input {
            Input::Stream(stream) => {
                let tally = &mut self.tally;
                stream.feed(bytes, |event| tally.note(event));
            }
            Input::Document { lexer, reader, .. } => lexer.feed(bytes, reader.as_mut()),
        }
    }

    /// The end of the answer.
    pub fn finish(&mut self) {
        match &mut self.input {
            Input::Stream(stream) => {
                let tally = &mut self.tally;
                stream.finish(|event| tally.note(event));
            }
            Input::Document { lexer, reader, .. } => self.whole = lexer.finish(reader.as_mut()),
        }
    }

    /// What can be said; `end` after `finish`. A stream's answer begins with its first content.
    pub fn verdict(&self, end: bool) -> Verdict {
        let tally = &self.tally;
        match &self.input {
            Input::Document { lexer, reader, needs_choices } => {
                self.document(lexer, &reader.facts(), *needs_choices, end)
            }
            Input::Stream(_) => match tally.decided {
                Some(verdict) => verdict,
                None if end && tally.known && !tally.done => Verdict::Bad(Fault::Truncated),
                None if end => Verdict::Bad(Fault::Empty),
                None => Verdict::Wait,
            },
        }
    }

    /// What can be said of a stream that must be whole before anyone sees it (delivery Complete).
    pub fn whole_verdict(&self, end: bool) -> Verdict {
        let early = self.verdict(end);
        if !self.is_stream() || (early != Verdict::Answer && early != Verdict::Wait) {
            return early;
        }
        match self.fault_under_way(end) {
            Some(fault) => Verdict::Bad(fault),
            None if end => Verdict::Answer,
            None => Verdict::Wait,
        }
    }

    /// What went wrong with a stream after its first content; `end` after `finish`.
    pub fn fault_under_way(&self, end: bool) -> Option<Fault> {
        match self.tally.error {
            Some((status, place)) => Some(Fault::ErrorEvent(status, place)),
            None if end && self.tally.known && !self.tally.done => Some(Fault::Truncated),
            None => None,
        }
    }

    /// After `finish`: the line breaks that a stream's last event lacks.
    pub fn missing(&self) -> &'static [u8] {
        match &self.input {
            Input::Stream(stream) => stream.missing(),
            Input::Document { .. } => b"",
        }
    }

    /// A stream's usage event is for us alone: `pass` takes it out. Before the first piece.
    pub fn take_usage_out(&mut self) {
        if let Input::Stream(stream) = &mut self.input {
            stream.take_usage_out();
        }
    }

    /// Whether `pass` may change or hold something.
    pub fn strains(&self) -> bool {
        matches!(&self.input, Input::Stream(stream) if stream.strains())
    }

    /// What goes on of the piece that was fed last, or of all of them; None: the piece as it is.
    pub fn pass(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        match &mut self.input {
            Input::Stream(stream) => stream.pass(piece),
            Input::Document { .. } => None,
        }
    }

    /// Whether content has come: a stream's first token.
    pub fn has_content(&self) -> bool {
        self.tally.content
    }

    /// Whether a stream has said that nothing more comes. Its client may leave then, before HTTP's own end is here.
    pub fn is_over(&self) -> bool {
        self.tally.marked
    }

    /// Tokens, as far as told.
    pub fn usage(&self) -> Usage {
        match &self.input {
            Input::Stream(_) => self.tally.usage,
            Input::Document { reader, .. } => reader.facts().usage,
        }
    }

    fn document(&self, lexer: &Lexer, facts: &Facts, needs_choices: bool, end: bool) -> Verdict {
        if lexer.is_broken() {
            return Verdict::Bad(Fault::Malformed);
        }
        if !end {
            return Verdict::Wait;
        }
        if !self.whole {
            return Verdict::Bad(Fault::Malformed);
        }
        if facts.error && !facts.content {
            return Verdict::Bad(Fault::ErrorBody(status_or_502(facts.status)));
        }
        if needs_choices && !facts.known {
            return Verdict::Bad(Fault::Malformed);
        }
        if facts.known && !facts.content && (facts.stop || facts.hollow) {
            return Verdict::Bad(Fault::Empty);
        }
        Verdict::Answer
    }
}
