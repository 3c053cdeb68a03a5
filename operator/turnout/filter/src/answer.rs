//! The lane role's other half: what a provider answers. Held until it is known to be an answer; a failed attempt is
//! marked with `x-turnout-retry`, and Envoy's router goes on to the next lane; everything else passes as it came.

use crate::breaker;
use crate::cost::{dollars, Price, Usage};
use crate::front::Action;
use crate::headers::Headers;
use crate::host::{self, Buffer, Map};
use crate::judge::{Fault, Judge, Shape, Verdict};
use crate::lane::Attempt;
use crate::metrics::{count, Metric, Outcome};
use crate::provider::sanitise;
use crate::request::Request;
use crate::settle::Blame;
use crate::usage;

/// Bytes of an answer that are held at most; a longer one is let go unjudged. Below Envoy's buffer of 32 MiB.
pub const HELD_MOST: usize = 16 * 1024 * 1024;
/// Bytes of a refusal that are read for its message.
const REFUSAL_READ: usize = 16 * 1024;

/// Header of the hop's own answers (see `request::HOP`): Envoy's response flags.
const HOP_FAILED: &str = "x-turnout-hop-failed";

/// Where an attempt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The request is on its way; no headers yet.
    Sending,
    /// The answer is held and judged.
    Judging,
    /// A refusal is held for what its body says.
    Refusal,
    /// A stream passes, and is watched.
    Flowing,
    /// Passes unwatched.
    Passing,
    /// Ours stands in its place; what still comes is dropped.
    Rejected,
}

impl Attempt {
    /// Status and headers of the provider.
    pub fn on_response_headers(&mut self, end: bool) -> Action {
        let headers = host::headers(Map::Response);
        sanitise(&headers);
        self.ended = end;
        self.last = host::now_ms();
        self.status = headers.get(":status").parse().unwrap_or(0);
        if !headers.get(HOP_FAILED).is_empty() {
            return self.hop_failed(headers.get(HOP_FAILED));
        }
        self.note_pause(&headers);
        match self.status {
            200..=299 => self.judged(&headers, end),
            400 | 422 if !end && self.asks_usage.is_some() => self.hold(Phase::Refusal),
            400 if !self.may_fit_elsewhere() => self.passes(Outcome::ClientError),
            400..=404 | 429 if end => self.refusal(b""),
            400..=404 | 429 => self.hold(Phase::Refusal),
            408 | 409 | 100..=199 | 300..=399 | 500..=599 => self.unwilling(),
            _ => self.passes(Outcome::ClientError),
        }
    }

    /// The provider's body, piece by piece.
    pub fn on_response_body(&mut self, size: usize, end: bool) -> Action {
        self.ended |= end;
        match self.phase {
            Phase::Judging => self.judge_body(size, end),
            Phase::Flowing => self.flow(size, end),
            Phase::Refusal if end || size > REFUSAL_READ => {
                let body = host::buffer(Buffer::Response, 0, size.min(REFUSAL_READ));
                self.read = size;
                self.refusal(&body)
            }
            Phase::Refusal => Action::Pause,
            Phase::Rejected => {
                host::set_buffer(Buffer::Response, 0, size, b"");
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    /// Trailers end an answer whose body did not.
    pub fn on_response_trailers(&mut self) -> Action {
        match self.phase {
            Phase::Judging | Phase::Refusal => self.on_response_body(self.read, true),
            Phase::Flowing => self.flow(0, true),
            _ => Action::Continue,
        }
    }

    fn hold(&mut self, phase: Phase) -> Action {
        self.phase = phase;
        Action::Pause
    }

    pub(crate) fn passes(&mut self, outcome: Outcome) -> Action {
        self.phase = Phase::Passing;
        let word = outcome.word();
        self.with(|r, context| r.settle(context, outcome, Blame::Lane, word));
        Action::Continue
    }

    /// Whether a model that takes longer prompts is still to come.
    pub(crate) fn may_fit_elsewhere(&self) -> bool {
        let wider = self.with(|r, _| {
            let window = r.current_model().map_or(0, |m| m.talent.window);
            let ahead = r.chain.steps.get(r.begun..).unwrap_or_default();
            window > 0 && ahead.iter().any(|step| r.model(*step).map_or(false, |m| m.talent.window > window))
        });
        wider.unwrap_or(false)
    }

    fn judged(&mut self, headers: &Headers, end: bool) -> Action {
        if !matches!(headers.get("content-encoding"), "" | "identity") {
            return self.passes(Outcome::Ok); // cannot be read: accept-encoding is taken away, so this is the provider's will
        }
        let asked = self.with(|r, _| (matches!(r.path, "/chat/completions" | "/completions"), r.stream));
        let (needs_choices, asked_for_stream) = asked.unwrap_or_default();
        let stream = headers.get("content-type").starts_with("text/event-stream");
        self.alien = needs_choices && stream != asked_for_stream;
        let shape = if stream { Shape::Stream } else { Shape::Document { needs_choices } };
        let mut judge = Judge::new(shape);
        if self.asks_usage.is_some() {
            judge.take_usage_out();
        }
        self.judge = Some(judge);
        self.with(|r, _| note_plain(r));
        self.phase = Phase::Judging;
        if end {
            return self.judge_body(0, true);
        }
        Action::Pause
    }

    fn judge_body(&mut self, size: usize, end: bool) -> Action {
        let fresh = host::buffer(Buffer::Response, self.read, size.saturating_sub(self.read));
        self.read = size;
        let holds = self.with(|r, _| r.holds()).unwrap_or(false);
        let judge = match &mut self.judge {
            Some(judge) => judge,
            None => return Action::Continue,
        };
        if !fresh.is_empty() {
            self.last = host::now_ms();
        }
        let had_content = judge.has_content();
        judge.feed(&fresh);
        if end {
            judge.finish();
        }
        let verdict = if holds || end { judge.whole_verdict(end) } else { judge.verdict(end) };
        let began = judge.is_stream() && judge.has_content() && !had_content;
        if began {
            self.note_first_token();
        }
        match verdict {
            Verdict::Wait if size > HELD_MOST => self.release(end),
            Verdict::Wait => Action::Pause,
            Verdict::Answer if self.alien => self.reject(Fault::Malformed),
            Verdict::Answer => self.release(end),
            Verdict::Bad(fault) => self.reject(fault),
        }
    }

    /// An answer: a document or a held stream is whole, a live stream has begun.
    fn release(&mut self, end: bool) -> Action {
        let stream = self.judge.as_ref().map_or(false, Judge::is_stream);
        if stream {
            host::drop_header(Map::Response, "content-length"); // its end may be told in more bytes
        }
        if stream && self.judge.as_ref().map_or(false, Judge::strains) {
            self.read = self.strain(&host::buffer(Buffer::Response, 0, self.read));
        }
        if stream && !end {
            self.phase = Phase::Flowing;
            self.with(|r, _| close_circuit(r)); // its end may be minutes away
            if self.judge.as_ref().map_or(false, |judge| judge.is_over() && judge.fault_under_way(false).is_none()) {
                self.went_well();
            }
            return Action::Continue;
        }
        let cost = self.note_usage();
        self.close_event(self.read);
        if let (false, Some(cost)) = (stream, cost) {
            host::set_header(Map::Response, "x-token-cost", &dollars(cost));
        }
        self.passes(Outcome::Ok)
    }

    /// Gives a whole stream's last event its empty line, if the provider did not. `size`: bytes in the buffer.
    fn close_event(&self, size: usize) {
        let missing = self.judge.as_ref().map_or(&b""[..], |judge| judge.missing());
        if !missing.is_empty() {
            host::set_buffer(Buffer::Response, size, 0, missing);
        }
    }

    /// Takes the usage event out of what Envoy has in its buffer, if it is for us alone. Returns the bytes that are left.
    ///
    /// Nothing can be added to a body that ended with trailers; what is held then is an event that did not end.
    fn strain(&mut self, piece: &[u8]) -> usize {
        match self.judge.as_mut().and_then(|judge| judge.pass(piece)) {
            Some(rest) => {
                host::set_buffer(Buffer::Response, 0, piece.len(), &rest);
                rest.len()
            }
            None => piece.len(),
        }
    }

    /// A live stream after its first content; one that does not end as the model ends is told so in the stream.
    fn flow(&mut self, size: usize, end: bool) -> Action {
        let fresh = host::buffer(Buffer::Response, 0, size);
        self.last = host::now_ms();
        let judge = match &mut self.judge {
            Some(judge) => judge,
            None => return Action::Continue,
        };
        judge.feed(&fresh);
        if end {
            judge.finish();
        }
        let (fault, over) = (judge.fault_under_way(end), judge.is_over());
        let size = self.strain(&fresh);
        match fault {
            None if end || over => self.went_well(),
            None => {}
            Some(fault) => self.broke(fault, size),
        }
        if end {
            if fault.is_none() {
                self.close_event(size);
            }
            self.phase = Phase::Passing;
        }
        Action::Continue
    }

    /// A live stream has come to its end, as far as the model goes.
    fn went_well(&mut self) {
        self.note_usage();
        self.with(|r, context| r.settle(context, Outcome::Ok, Blame::Lane, ""));
    }

    /// Notes tokens and cost. The cost in picodollars, if price and tokens are known: unknown is not free.
    pub(crate) fn note_usage(&mut self) -> Option<u64> {
        let usage = self.judge.as_ref().map(Judge::usage).unwrap_or_default();
        let noted = self.with(|r, _| {
            let step = r.current?.step; // None: settled, and so noted
            let price = r.model(step).map(|m| m.price).unwrap_or_default();
            r.usage = usage;
            r.cost = price.of(usage);
            Some(r.cost).filter(|_| price != Price::default() && usage != Usage::default())
        });
        noted.flatten()
    }

    fn note_first_token(&self) {
        let now = host::now_ms();
        self.with(|r, context| {
            let current = match r.current.as_mut().filter(|c| c.context == context) {
                Some(current) => current,
                None => return,
            };
            let ms = now.saturating_sub(current.started);
            current.first_token = Some(ms);
            let step = current.step;
            let group = r.group().map(|g| g.name.as_str()).unwrap_or_default();
            let model = r.model(step).map(|m| m.name.as_str()).unwrap_or_default();
            count(Metric::FirstTokenMs, &[group, model, r.arm()], ms);
        });
    }
}

/// A lane that refused to be asked for usage has answered without.
fn note_plain(r: &Request) {
    let lane = r.current_model().filter(|m| r.plain.contains(&m.lane));
    if let Some(lane) = lane.and_then(|m| r.table.lanes.get(m.lane)) {
        usage::note_refused(&lane.id, host::now_ms());
    }
}

/// A stream has begun: a half-open circuit closes now; a closed one waits for the stream's end.
fn close_circuit(r: &mut Request) {
    let model = r.current_model();
    let lane = model.and_then(|m| r.table.lanes.get(m.lane));
    if let (Some(model), Some(lane)) = (model, lane) {
        if r.chain.permit == Some(model.lane) {
            breaker::succeeded(&lane.id, &model.rules, host::now_ms());
            r.chain.permit = None;
        }
    }
}
