//! The lane role's other half: what a provider answers. Held until it is known to be an answer; a failed attempt is
//! marked with `x-turnout-retry`, and Envoy's router goes on to the next lane; everything else passes as it came.

use crate::breaker;
use crate::cost::dollars;
use crate::front::Action;
use crate::headers::Headers;
use crate::host::{self, Buffer, Map};
use crate::judge::{Fault, Judge, Shape, Verdict};
use crate::lane::{note_refusal, refuse, Attempt};
use crate::metrics::{count, Metric, Outcome};
use crate::refusal;
use crate::replies;
use crate::request::{Request, NEUTRAL};

/// Bytes of an answer that are held at most; a longer one is let go unjudged. Below Envoy's buffer of 32 MiB.
pub const HELD_MOST: usize = 16 * 1024 * 1024;
/// Bytes of a refusal that are read for its message.
const REFUSAL_READ: usize = 16 * 1024;
/// Seconds of Retry-After that are waited out on a lane alone, and shut no lane.
const WAITED_FOR: u64 = 2;
/// Seconds that a Retry-After shuts a lane at most.
const SHUT_MOST: u64 = 300;

/// Header of the hop's own answers (see `request::HOP`): Envoy's response flags.
const HOP_FAILED: &str = "x-turnout-hop-failed";

/// Where an attempt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The request is on its way; no headers yet.
    Sending,
    /// The answer is held and judged.
    Judging,
    /// A refusal is held for its message.
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
        match self.status {
            200..=299 => self.judged(&headers, end),
            401..=404 if end => self.refused(b""),
            401..=404 => self.hold(Phase::Refusal),
            408 | 409 | 429 | 300..=399 | 500..=599 => self.unwilling(&headers),
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
                self.refused(&body)
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

    fn passes(&mut self, outcome: Outcome) -> Action {
        self.phase = Phase::Passing;
        let word = outcome.word();
        self.with(|r, context| r.settle(context, outcome, 0, word));
        Action::Continue
    }

    fn judged(&mut self, headers: &Headers, end: bool) -> Action {
        if !matches!(headers.get("content-encoding"), "" | "identity") {
            return self.passes(Outcome::Ok); // cannot be read: accept-encoding is taken away, so this is the provider's will
        }
        let needs_choices = self.with(|r, _| matches!(r.path, "/chat/completions" | "/completions")).unwrap_or(false);
        let stream = headers.get("content-type").starts_with("text/event-stream");
        let shape = if stream { Shape::Stream } else { Shape::Document { needs_choices } };
        self.judge = Some(Judge::new(shape));
        self.phase = Phase::Judging;
        if end {
            return self.judge_body(0, true);
        }
        Action::Pause
    }

    /// 408, 409, 429, redirects and 5xx: the next lane, a short wait on a lane alone, or on to the client.
    fn unwilling(&mut self, headers: &Headers) -> Action {
        let (status, wait) = (self.status, retry_after(headers));
        let asked = wait.filter(|_| matches!(status, 429 | 503)).unwrap_or(0);
        let shut_ms = if asked > WAITED_FOR { asked.min(SHUT_MOST).saturating_mul(1000) } else { 0 };
        let outcome = if status == 429 { Outcome::RateLimited } else { Outcome::ServerError };
        let wait = wait.filter(|w| *w <= WAITED_FOR && matches!(status, 429 | 503));
        self.with(|r, context| {
            r.settle(context, outcome, shut_ms, &status.to_string());
            retry(r, wait);
        });
        if (300..400).contains(&status) {
            host::set_header(Map::Response, ":status", "502"); // a client that follows it would leave the router
            host::drop_header(Map::Response, "location");
        }
        self.phase = Phase::Passing;
        Action::Continue
    }

    /// A held stream's hop got no answer from the provider: `flags` are Envoy's of that.
    fn hop_failed(&mut self, flags: &str) -> Action {
        let outcome = if flags.contains("UT") { Outcome::Timeout } else { Outcome::Connection };
        self.with(|r, context| {
            r.settle(context, outcome, 0, outcome.word());
            if r.has_more() || (r.has_spare() && outcome == Outcome::Connection) {
                host::set_header(Map::Response, "x-turnout-retry", "1");
            }
        });
        self.phase = Phase::Passing;
        Action::Continue
    }

    /// 401–404: our credential, account or model; noted, and never passed on as if it were the client's.
    fn refused(&mut self, body: &[u8]) -> Action {
        let status = self.status;
        let ours = self.with(|r, context| {
            let lane = r.current.and_then(|c| r.lane(c.step));
            let credential = lane.and_then(|l| l.credential.as_ref()).map_or("", |(_, value)| value.as_str());
            let message = refusal::message(body, credential);
            note_refusal(r, status, &message);
            let elsewhere = status == 404 && r.path != "/chat/completions"; // perhaps only this path is missing there
            let name = r.current.and_then(|c| r.model(c.step)).map(|m| m.name.clone()).unwrap_or_default();
            r.settle(context, Outcome::Refused, if elsewhere { NEUTRAL } else { 0 }, &status.to_string());
            retry(r, None);
            replies::provider_refused(&name, status)
        });
        self.replace(502, &ours.unwrap_or_default())
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
        let verdict = if holds { judge.whole_verdict(end) } else { judge.verdict(end) };
        let began = judge.is_stream() && judge.has_content() && !had_content;
        if began {
            self.note_first_token();
        }
        match verdict {
            Verdict::Wait if size > HELD_MOST => self.release(end),
            Verdict::Wait => Action::Pause,
            Verdict::Answer => self.release(end),
            Verdict::Bad(fault) => self.reject(fault),
        }
    }

    /// An answer: a document or a held stream is whole, a live stream has begun.
    fn release(&mut self, end: bool) -> Action {
        let stream = self.judge.as_ref().map_or(false, Judge::is_stream);
        if stream && !end {
            self.phase = Phase::Flowing;
            self.with(|r, _| close_circuit(r)); // its end may be minutes away
            return Action::Continue;
        }
        let cost = self.note_usage();
        if !stream {
            host::set_header(Map::Response, "x-token-cost", &dollars(cost));
        }
        self.passes(Outcome::Ok)
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
        match judge.fault_under_way(end) {
            None if end => {
                self.note_usage();
                self.with(|r, context| r.settle(context, Outcome::Ok, 0, ""));
            }
            None => {}
            Some(fault) => self.broke(fault, size),
        }
        if end {
            self.phase = Phase::Passing;
        }
        Action::Continue
    }

    /// A live stream went wrong under way: it counts against the lane; the client must not take it for whole.
    fn broke(&mut self, fault: Fault, size: usize) {
        let outcome = outcome_of(fault);
        let model = self.with(|r, _| r.current.and_then(|c| r.model(c.step)).map(|m| m.name.clone())).flatten();
        self.note_usage();
        self.with(|r, context| {
            r.settle(context, outcome, 0, outcome.word());
            r.answered = true; // in part, and it is paid for
        });
        if fault == Fault::Truncated {
            let event = format!("data: {}\n\n", replies::unusable(&model.unwrap_or_default(), outcome.word()));
            host::set_buffer(Buffer::Response, size, 0, event.as_bytes());
        }
    }

    /// No answer, and nothing has reached the client.
    fn reject(&mut self, fault: Fault) -> Action {
        let outcome = outcome_of(fault);
        let (status, provider) = match fault {
            Fault::ErrorEvent(status, (from, to)) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                let length = usize::try_from(to).unwrap_or(0).saturating_sub(from);
                (status, host::buffer(Buffer::Response, from, length))
            }
            Fault::ErrorBody(status) => (status, host::buffer(Buffer::Response, 0, self.read)),
            _ => (502, Vec::new()),
        };
        let ours = self.with(|r, context| {
            let name = r.current.and_then(|c| r.model(c.step)).map(|m| m.name.clone()).unwrap_or_default();
            r.settle(context, outcome, 0, outcome.word());
            retry(r, None);
            replies::unusable(&name, outcome.word())
        });
        match String::from_utf8(provider) {
            Ok(text) if !text.is_empty() => self.replace(status, &text),
            _ => self.replace(status, &ours.unwrap_or_default()),
        }
    }

    /// Puts an answer of ours in the place of the provider's. One that came without any body cannot get one from us:
    /// it only changes its status on the way to the next lane, and after the last one Envoy answers.
    fn replace(&mut self, status: u16, body: &str) -> Action {
        self.phase = Phase::Rejected;
        if self.read == 0 && self.with(|r, _| r.has_more()) == Some(false) {
            return refuse(502);
        }
        host::set_header(Map::Response, ":status", &status.to_string());
        if self.read > 0 {
            host::set_header(Map::Response, "content-type", "application/json");
            host::set_header(Map::Response, "content-length", &body.len().to_string());
            host::set_buffer(Buffer::Response, 0, self.read, body.as_bytes());
        }
        Action::Continue
    }

    /// Notes tokens and cost; the cost in picodollars.
    pub(crate) fn note_usage(&mut self) -> u64 {
        let usage = self.judge.as_ref().map(Judge::usage).unwrap_or_default();
        let noted = self.with(|r, _| {
            let cost = r.current.and_then(|c| r.model(c.step)).map_or(0, |m| m.price.of(usage));
            r.usage = usage;
            r.cost = cost;
            cost
        });
        noted.unwrap_or(0)
    }

    fn note_first_token(&self) {
        let now = host::now_ms();
        self.with(|r, context| {
            let current = match r.current.filter(|c| c.context == context) {
                Some(current) => current,
                None => return,
            };
            let group = r.group().map(|g| g.name.as_str()).unwrap_or_default();
            let model = r.model(current.step).map(|m| m.name.as_str()).unwrap_or_default();
            count(Metric::FirstTokenMs, &[group, model, r.arm()], now.saturating_sub(current.started));
        });
    }
}

/// Asks Envoy for the next attempt, if there is one. `wait`: seconds of Retry-After short enough to be waited out.
fn retry(r: &mut Request, wait: Option<u64>) {
    if r.has_more() {
        host::set_header(Map::Response, "x-turnout-retry", "1");
    } else if let (true, Some(seconds)) = (r.has_spare(), wait) {
        r.waited = true;
        host::set_header(Map::Response, "x-turnout-retry", "1");
        host::set_header(Map::Response, "x-turnout-wait", &seconds.to_string());
    }
}

/// A stream has begun: a half-open circuit closes now; a closed one waits for the stream's end.
fn close_circuit(r: &mut Request) {
    let model = r.current.and_then(|c| r.model(c.step));
    let lane = model.and_then(|m| r.table.lanes.get(m.lane));
    if let (Some(model), Some(lane)) = (model, lane) {
        if r.chain.permit == Some(model.lane) {
            breaker::succeeded(&lane.id, &model.rules, host::now_ms());
            r.chain.permit = None;
        }
    }
}

fn outcome_of(fault: Fault) -> Outcome {
    match fault {
        Fault::ErrorEvent(..) | Fault::ErrorBody(_) => Outcome::ErrorEvent,
        Fault::Malformed => Outcome::Malformed,
        Fault::Empty => Outcome::Empty,
        Fault::Truncated => Outcome::Truncated,
    }
}

/// Seconds of Retry-After (or of OpenAI's retry-after-ms), rounded up; None if there is none, or it is a date.
fn retry_after(headers: &Headers) -> Option<u64> {
    if let Ok(ms) = headers.get("retry-after-ms").parse::<u64>() {
        return Some(ms.saturating_add(999) / 1000);
    }
    let text = headers.get("retry-after");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let more = fraction.bytes().any(|c| (b'1'..=b'9').contains(&c));
    whole.parse::<u64>().ok().map(|s| s.saturating_add(u64::from(more)))
}

/// Takes away what no provider may tell our clients or our Envoy: our own headers, Envoy's, its account's limits,
/// cookies that another provider would be sent, and where else to go.
fn sanitise(headers: &Headers) {
    const PREFIXES: [&str; 3] = ["x-turnout-", "x-envoy-", "x-ratelimit-"];
    const NAMES: [&str; 4] = ["x-token-cost", "set-cookie", "alt-svc", "strict-transport-security"];
    for (name, _) in headers.pairs() {
        if PREFIXES.iter().any(|p| name.starts_with(p)) || NAMES.contains(&name) {
            host::drop_header(Map::Response, name);
        }
    }
}
