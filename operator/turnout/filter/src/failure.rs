//! The lane role's failures: an attempt that is no answer, and what the next lane or the client gets instead.

use crate::answer::Phase;
use crate::fit::says_too_long;
use crate::front::Action;
use crate::headers::Headers;
use crate::host::{self, Buffer, Map};
use crate::judge::Fault;
use crate::lane::{note_refusal, refuse, Attempt};
use crate::metrics::Outcome;
use crate::next::{replan, LEAST_MS};
use crate::pause::{pause_ms, PAUSE_MOST_MS};
use crate::refusal;
use crate::replies;
use crate::request::Request;
use crate::settle::Blame;
use crate::usage;

/// Milliseconds of a pause that are waited out on a lane alone.
const WAITED_FOR_MS: u64 = 2_000;

impl Attempt {
    /// 408, 409, 429, redirects and 5xx: the next lane, a short wait on a lane alone, or on to the client.
    pub(crate) fn unwilling(&mut self) -> Action {
        let (status, pause) = (self.status, self.pause);
        let outcome = if status == 429 { Outcome::RateLimited } else { Outcome::ServerError };
        let wait = pause.filter(|ms| *ms <= WAITED_FOR_MS);
        self.with(|r, context| {
            let blame = match pause {
                None if status != 429 => Blame::Lane,
                _ => Blame::Pause(pause),
            };
            r.settle(context, outcome, blame, &status.to_string());
            retry(r, wait);
        });
        if status < 400 {
            host::set_header(Map::Response, ":status", "502"); // a client that follows it would leave the router
            host::drop_header(Map::Response, "location");
        }
        self.phase = Phase::Passing;
        Action::Continue
    }

    /// How long this answer asks for peace.
    pub(crate) fn note_pause(&mut self, headers: &Headers) {
        self.pause = match self.status {
            429 | 503 => pause_ms(headers, host::now_ms()),
            _ => None,
        };
    }

    /// A whole answer of status 400–404, 422 or 429: what is behind it stands in the body.
    pub(crate) fn refusal(&mut self, body: &[u8]) -> Action {
        match self.status {
            400 | 422 if self.asks_usage.is_some() && usage::is_named(body) => self.over_again(),
            400 if says_too_long(body) && self.may_fit_elsewhere() => self.too_long(),
            400 | 422 => self.passes(Outcome::ClientError),
            429 if String::from_utf8_lossy(body).contains("insufficient_quota") => {
                self.refused(body) // no reset brings the money; it is for a person to see to
            }
            429 => self.unwilling(),
            _ => self.refused(body),
        }
    }

    /// The provider does not know `stream_options`, which the client did not send: the same once more without it.
    fn over_again(&mut self) -> Action {
        let in_time = self.with(|r, context| {
            let in_time = r.deadline >= host::now_ms().saturating_add(LEAST_MS);
            if in_time {
                r.over_again(context);
            }
            in_time
        });
        if in_time != Some(true) {
            return self.passes(Outcome::ClientError);
        }
        mark();
        self.phase = Phase::Passing;
        Action::Continue
    }

    /// The prompt does not fit here: a model with a larger window, if there is one.
    fn too_long(&mut self) -> Action {
        self.with(|r, context| {
            let window = r.current_model().map_or(0, |m| m.talent.window);
            r.settle(context, Outcome::TooLong, Blame::Nobody, Outcome::TooLong.word());
            replan(r, host::now_ms(), window);
            ask_for_retry(r);
        });
        self.phase = Phase::Passing;
        Action::Continue
    }

    /// A held stream's hop got no answer from the provider: `flags` are Envoy's of that.
    pub(crate) fn hop_failed(&mut self, flags: &str) -> Action {
        let outcome = if flags.contains("UT") { Outcome::Timeout } else { Outcome::Connection };
        self.with(|r, context| {
            r.settle(context, outcome, Blame::Lane, outcome.word());
            retry(r, None);
            if r.has_spare() && outcome == Outcome::Connection {
                mark();
            }
        });
        self.phase = Phase::Passing;
        Action::Continue
    }

    /// 401–404, and 429 without quota: our credential, account or model; noted, and never passed on as if it were the client's.
    pub(crate) fn refused(&mut self, body: &[u8]) -> Action {
        let status = self.status;
        let ours = self.with(|r, context| {
            let lane = r.current_lane();
            let credential = lane.and_then(|l| l.credential.as_ref()).map_or("", |(_, value)| value.as_str());
            let message = refusal::message(body, credential);
            note_refusal(r, status, &message);
            let elsewhere = status == 404 && r.path != "/chat/completions"; // perhaps only this path is missing there
            let name = r.current_model().map(|m| m.name.clone()).unwrap_or_default();
            let blame = match status {
                429 => Blame::Shut(PAUSE_MOST_MS),
                _ if elsewhere => Blame::Nobody,
                _ => Blame::Lane,
            };
            r.settle(context, Outcome::Refused, blame, &status.to_string());
            retry(r, None);
            replies::provider_refused(&name, status)
        });
        self.replace(502, &ours.unwrap_or_default())
    }

    /// A live stream went wrong under way: it counts against the lane; the client must not take it for whole.
    pub(crate) fn broke(&mut self, fault: Fault, size: usize) {
        let outcome = outcome_of(fault);
        let model = self.with(|r, _| r.current_model().map(|m| m.name.clone())).flatten();
        self.note_usage();
        self.with(|r, context| {
            r.settle(context, outcome, Blame::Lane, outcome.word());
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
            let name = r.current_model().map(|m| m.name.clone()).unwrap_or_default();
            r.settle(context, outcome, Blame::Lane, outcome.word());
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

/// Asks Envoy for the next attempt, if there is one. `wait`: milliseconds short enough to be waited out on a lane alone.
pub(crate) fn retry(r: &mut Request, wait: Option<u64>) {
    replan(r, host::now_ms(), 0);
    if let (false, true, Some(ms)) = (r.has_more(), r.has_spare(), wait) {
        r.waited = true;
        mark();
        host::set_header(Map::Response, "x-turnout-wait", &(ms.saturating_add(999) / 1000).to_string());
    } else {
        ask_for_retry(r);
    }
}

fn ask_for_retry(r: &Request) {
    if r.has_more() {
        mark();
    }
}

/// Marks the answer for Envoy's retry policy (xds/routes.py).
fn mark() {
    host::set_header(Map::Response, "x-turnout-retry", "1");
}

fn outcome_of(fault: Fault) -> Outcome {
    match fault {
        Fault::ErrorEvent(..) | Fault::ErrorBody(_) => Outcome::ErrorEvent,
        Fault::Malformed => Outcome::Malformed,
        Fault::Empty => Outcome::Empty,
        Fault::Truncated => Outcome::Truncated,
    }
}
