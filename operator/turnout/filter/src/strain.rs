//! Takes the usage event out of a stream whose client did not ask for it. Pure, fed by `sse`; all other bytes stay.
//!
//! The usage event is one whose data is one JSON document that tells tokens and nothing else, with empty `choices`, and
//! it comes after a finish reason. Until that has been seen not a byte is held; from then on only the event that has
//! not ended, and only while it may yet be the usage event. What tells usage beside anything else is left alone.
//!
//! Offsets count the bytes of the stream from its beginning.

use crate::facts::Facts;

/// What the current event has said so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Usage,
    Other,
}

/// Keeps the place of each usage event, and the bytes of the event that has not ended.
pub struct Strainer {
    on: bool,
    finished: bool,
    /// Where the current event begins.
    from: u64,
    said: Said,
    /// Usage events, in order; those that have been taken out are forgotten.
    cuts: Vec<(u64, u64)>,
    /// The current event, as far as it has come and is held.
    kept: Vec<u8>,
}

impl Default for Strainer {
    fn default() -> Self {
        Strainer { on: false, finished: false, from: 0, said: Said::Nothing, cuts: Vec::new(), kept: Vec::new() }
    }
}

impl Strainer {
    /// From now on; before the stream's first byte.
    pub fn start(&mut self) {
        self.on = true;
    }

    /// Whether there may be something to take out or to hold.
    pub fn is_due(&self) -> bool {
        self.on && self.finished
    }

    /// Something was said in the current event; `facts` if it was JSON.
    pub fn said(&mut self, facts: Option<&Facts>) {
        let usage = self.finished && facts.map_or(false, |f| f.only_usage);
        self.said = if usage && self.said == Said::Nothing { Said::Usage } else { Said::Other };
        self.finished |= facts.map_or(false, |f| f.finish);
    }

    /// The current event ended before `at`.
    pub fn ended(&mut self, at: u64) {
        if self.on && self.said == Said::Usage {
            self.cuts.push((self.from, at));
        }
        self.from = at;
        self.said = Said::Nothing;
    }

    /// A line break's second byte stands at `at`; it belongs to the event that the first one ended.
    pub fn line_feed(&mut self, at: u64) {
        if self.from != at {
            return;
        }
        self.from = at.saturating_add(1);
        if let Some(cut) = self.cuts.last_mut().filter(|cut| cut.1 == at) {
            cut.1 = self.from;
        }
    }

    /// Whether the last event before `at` was taken out.
    pub fn took(&self, at: u64) -> bool {
        self.cuts.last().map_or(false, |cut| cut.1 == at)
    }

    /// What of a piece goes on, with what was held before; None: the piece as it is. `at`: where the piece ends.
    pub fn pass(&mut self, piece: &[u8], at: u64) -> Option<Vec<u8>> {
        let until = if self.is_due() && self.said != Said::Other { self.from } else { at };
        let start = at.saturating_sub(piece.len() as u64).saturating_sub(self.kept.len() as u64);
        self.cuts.retain(|cut| cut.1 > start);
        if self.kept.is_empty() && self.cuts.is_empty() && until == at {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.kept);
        bytes.extend_from_slice(piece);
        let slice = |from: u64, to: u64| {
            let place = |offset: u64| usize::try_from(offset.saturating_sub(start)).unwrap_or(usize::MAX);
            bytes.get(place(from)..place(to)).unwrap_or_default()
        };
        let (mut out, mut next) = (Vec::with_capacity(bytes.len()), start);
        for (from, to) in &self.cuts {
            out.extend_from_slice(slice(next, *from));
            next = next.max(*to);
        }
        out.extend_from_slice(slice(next, until));
        self.kept = slice(until, at).to_vec();
        Some(out)
    }
}
