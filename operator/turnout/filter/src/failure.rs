//! The lane role's failures: an attempt that is no answer, and what the next lane or the client gets instead.

use crate::answer::Phase;
use crate::front::Action;
use crate::headers::Headers;
use crate::host::{self, Buffer, Map};
use crate::judge::Fault;
use crate::lane::{note_refusal, refuse, Attempt};
use crate::metrics::Outcome;
use crate::provider::retry_after;
use crate::refusal;
use crate::replies;
use crate::request::{Request, NEUTRAL};

/// Seconds of Retry-After that are waited out on a lane alone, and shut no lane.
const WAITED_FOR: u64 = 2;
/// Seconds that a Retry-After shuts a lane at most.
const SHUT_MOST: u64 = 300;

impl Attempt {
    /// 408, 409, 429, redirects and 5xx: the next lane, a short wait on a lane alone, or on to the client.
    pub(crate) fn unwilling(&mut self, headers: &Headers) -> Action {
        let (status, wait) = (self.status, retry_after(headers));
        let asked = wait.filter(|_| matches!(status, 429 | 503)).unwrap_or(0);
        let shut_ms = if asked > WAITED_FOR { asked.min(SHUT_MOST).saturating_mul(1000) } else { 0 };
        let outcome = if status == 429 { Outcome::RateLimited } else { Outcome::ServerError };
        let wait = wait.filter(|w| *w <= WAITED_FOR && matches!(status, 429 | 503));
        self.with(|r, context| {
            r.settle(context, outcome, shut_ms, &status.to_string());
            retry(r, wait);
        });
        if status < 400 {
            host::set_header(Map::Response, ":status", "502"); // a client that follows it would leave the router
            host::drop_header(Map::Response, "location");
        }
        self.phase = Phase::Passing;
        Action::Continue
    }

    /// A held stream's hop got no answer from the provider: `flags` are Envoy's of that.
    pub(crate) fn hop_failed(&mut self, flags: &str) -> Action {
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
    pub(crate) fn refused(&mut self, body: &[u8]) -> Action {
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

    /// A live stream went wrong under way: it counts against the lane; the client must not take it for whole.
    pub(crate) fn broke(&mut self, fault: Fault, size: usize) {
        let outcome = outcome_of(fault);
        let model = self.with(|r, _| r.current.and_then(|c| r.model(c.step)).map(|m| m.name.clone())).flatten();
        self.note_usage();
        self.with(|r, context| {
            r.settle(context, outcome, 0, outcome.word());
            r.answered = true; // in part, and it is paid for
        });
        if fault == Fault::Truncated {
            // The line breaks first: the stream may have ended inside a line.
            let event = format!("\n\ndata: {}\n\n", replies::unusable(&model.unwrap_or_default(), outcome.word()));
            host::set_buffer(Buffer::Response, size, 0, event.as_bytes());
        }
    }

    /// No answer, and nothing has reached the client.
    pub(crate) fn reject(&mut self, fault: Fault) -> Action {
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

fn outcome_of(fault: Fault) -> Outcome {
    match fault {
        Fault::ErrorEvent(..) | Fault::ErrorBody(_) => Outcome::ErrorEvent,
        Fault::Malformed => Outcome::Malformed,
        Fault::Empty => Outcome::Empty,
        Fault::Truncated => Outcome::Truncated,
    }
}
