//! The lane role: one attempt at one provider. This file sends the request; `answer` judges what comes back.

use crate::answer::Phase;
use crate::breaker;
use crate::cell::draw;
use crate::front::Action;
use crate::host::{self, Buffer, Map};
use crate::judge::Judge;
use crate::load;
use crate::metrics::Outcome;
use crate::options::Change;
use crate::request::{self, Current, Request, Shared};
use crate::settle::Blame;
use crate::table::Lane;
use std::cell::RefMut;

/// Milliseconds before a lane is tried once more: so many, and up to as many again by chance, and up to a tick.
const BACKOFF_MS: u64 = 100;

/// An attempt.
pub struct Attempt {
    pub(crate) context: u32,
    pub(crate) request: Option<Shared>,
    pub(crate) phase: Phase,
    pub(crate) judge: Option<Judge>,
    pub(crate) read: usize,
    /// Unix ms of the last bytes of a stream.
    pub(crate) last: u64,
    pub(crate) ended: bool,
    pub(crate) status: u16,
    /// A stream where a document was asked for, or the other way round: no SDK can read it.
    pub(crate) alien: bool,
    /// Milliseconds for which the provider asked not to be asked.
    pub(crate) pause: Option<u64>,
    /// Unix ms until which the attempt waits before it begins; 0: it does not.
    pub(crate) waits: u64,
    /// What asks this provider for the stream's usage, which the client did not; its event is taken out again.
    pub(crate) asks_usage: Option<Change>,
    spliced: bool,
}

impl Attempt {
    /// The attempt with this context's number.
    pub fn new(context: u32) -> Self {
        let phase = Phase::Sending;
        Attempt {
            context,
            request: None,
            phase,
            judge: None,
            read: 0,
            last: 0,
            ended: false,
            status: 0,
            alien: false,
            pause: None,
            waits: 0,
            asks_usage: None,
            spliced: false,
        }
    }

    /// Finds the request, writes this provider's part of it, and where Envoy goes if this attempt fails.
    pub fn on_request_headers(&mut self) -> Action {
        self.request = request::find();
        let now = host::now_ms();
        let sent = self.with(|r, context| {
            settle_silent(r, now);
            let n = r.begun;
            if r.deadline <= now {
                return Err(504);
            }
            let step = r.step_of(n).filter(|_| n < r.chain.steps.len() || spare_helps(r));
            let step = match step {
                Some(step) => step,
                None => return Err(exhausted(r)),
            };
            if let (Some(left), Some(why)) = (r.step.take(), r.last) {
                r.left(left, why, step);
            }
            let lane = match r.lane(step) {
                Some(lane) if host::property("xds\0cluster_name") == r.cluster(lane).as_bytes() => lane,
                _ => return Err(503), // Envoy went elsewhere than we said: never with this credential
            };
            if r.chain.counted.is_none() {
                load::take(lane, now, true);
            }
            let asks_usage = r.asks_usage(step, now);
            send(r, n, lane, asks_usage);
            let waits = if waits_before(r, n) { now.saturating_add(BACKOFF_MS).saturating_add(draw(BACKOFF_MS)) } else { 0 };
            r.chain.counted = None;
            r.begun = n.saturating_add(1);
            r.current = Some(Current { context, step, first: n == 0, started: now, first_token: None });
            Ok((waits, asks_usage))
        });
        match sent {
            Some(Ok((waits, asks_usage))) => {
                self.waits = waits;
                self.asks_usage = asks_usage;
                if waits == 0 {
                    Action::Continue
                } else {
                    Action::Pause
                }
            }
            Some(Err(status)) => refuse(status),
            None => refuse(503), // another VM's request (a crash, another version of this module)
        }
    }

    /// Puts this provider's model name in the place of the client's, and asks a stream for its usage: nothing else changes.
    pub fn on_request_body(&mut self, size: usize, end: bool) -> Action {
        if self.spliced {
            return Action::Continue;
        }
        if self.waits > 0 {
            self.read = size; // nothing of an answer is there yet
            return Action::Pause;
        }
        let found = self.with(|r, _| {
            let lane = r.current_lane();
            lane.map(|lane| ((offset(r.span.0), offset(r.span.1)), lane.upstream.clone()))
        });
        let ((from, to), upstream) = match found.flatten() {
            Some(found) => found,
            None => return Action::Pause,
        };
        let asking = self.asks_usage.map(|c| (offset(c.from), offset(c.to), c.text));
        if size < asking.map_or(to, |asking| asking.1.max(to)) {
            return if end { refuse(503) } else { Action::Pause };
        }
        let name = (from, to, upstream.as_str());
        match asking {
            Some(asking) if asking.0 < from => replace(&[asking, name]),
            Some(asking) => replace(&[name, asking]),
            None => replace(&[name]),
        }
        self.spliced = true;
        Action::Continue
    }

    /// The wait before a lane's second attempt is over.
    pub(crate) fn go(&mut self) {
        self.waits = 0;
        let size = std::mem::take(&mut self.read);
        if self.on_request_body(size, true) == Action::Continue {
            host::continue_request();
        }
    }

    /// The end of the attempt: with an outcome long ago, or without any answer.
    pub fn on_delete(&mut self) {
        let flowing = self.phase == Phase::Flowing;
        let content = self.judge.as_ref().map_or(false, Judge::has_content);
        self.with(|r, context| {
            let current = match r.current.filter(|c| c.context == context) {
                Some(current) => current,
                None => return,
            };
            let outcome = match () {
                _ if r.over => Outcome::HungUp,
                _ if flowing || content => Outcome::Truncated,
                _ if r.is_late(&current, host::now_ms()) => Outcome::Timeout,
                _ => Outcome::Connection,
            };
            r.settle(context, outcome, Blame::Lane, outcome.word());
        });
    }

    /// Runs `f` with the request and this context's number; None without a request.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Request, u32) -> R) -> Option<R> {
        let mut request: RefMut<Request> = self.request.as_ref()?.try_borrow_mut().ok()?;
        Some(f(&mut request, self.context))
    }
}

/// An attempt whose end has not been told yet, and which is over: Envoy has begun the next one.
fn settle_silent(r: &mut Request, now: u64) {
    if let Some(current) = r.current {
        let outcome = if r.is_late(&current, now) { Outcome::Timeout } else { Outcome::Connection };
        r.settle(current.context, outcome, Blame::Lane, outcome.word());
    }
}

/// Envoy retries what it saw fail before we did, and there is nothing left to try: the status that it would have given.
fn exhausted(r: &Request) -> u16 {
    match r.last {
        Some(Outcome::Connection | Outcome::Truncated) => 503,
        _ => 504,
    }
}

/// Puts texts in the place of bytes of the request's body: (from, to, text), in order.
fn replace(changes: &[(usize, usize, &str)]) {
    let (mut head, mut at) = (Vec::new(), 0_usize); // Envoy replaces only the beginning of a buffer
    for (from, to, text) in changes {
        head.extend_from_slice(&host::buffer(Buffer::Request, at, from.saturating_sub(at)));
        head.extend_from_slice(text.as_bytes());
        at = *to;
    }
    host::set_buffer(Buffer::Request, 0, at, &head);
}

fn offset(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// Whether a lane alone gets its one try more: after what is surely passing, or after the wait that it asked for.
fn spare_helps(r: &Request) -> bool {
    r.waited || matches!(r.last, Some(Outcome::Connection | Outcome::Truncated))
}

/// Whether attempt `n` is at the lane of the one before, and can spare the time: Envoy's deadline of it runs already.
fn waits_before(r: &Request, n: usize) -> bool {
    let before = n.checked_sub(1).and_then(|before| r.chain.steps.get(before));
    before.is_some() && before == r.chain.steps.get(n) && r.deadline_ms() >= BACKOFF_MS.saturating_mul(10)
}

/// Headers of the request to this provider. Envoy hands the same headers to each attempt, so all are written each time.
fn send(r: &Request, n: usize, lane: &Lane, asks_usage: Option<Change>) {
    let set = |name: &str, value: &str| host::set_header(Map::Request, name, value);
    set(":path", &[lane.prefix.as_str(), r.path].concat());
    set(":authority", &lane.authority);
    let header = lane.credential.as_ref().map_or("authorization", |(name, _)| name.as_str());
    let before =
        n.checked_sub(1).and_then(|b| r.step_of(b)).and_then(|s| r.lane(s)).and_then(|l| l.credential.as_ref());
    match before {
        Some((name, _)) if name != header => host::drop_header(Map::Request, name),
        _ => {}
    }
    match &lane.credential {
        Some((name, value)) => set(name, value),
        None => host::drop_header(Map::Request, header),
    }
    let (taken, put) = asks_usage.map_or((0, 0), |c| (c.to.saturating_sub(c.from), c.text.len()));
    let taken = r.span.1.saturating_sub(r.span.0).saturating_add(taken);
    let length = r.length.saturating_sub(taken).saturating_add(lane.upstream.len().saturating_add(put) as u64);
    set("content-length", &length.to_string());
    if r.holds() {
        set("x-turnout-hop", &lane.cluster);
        set("x-turnout-first-ms", &r.deadline_ms().to_string());
        return;
    }
    let next = r.step_of(n.saturating_add(1)).and_then(|s| r.lane(s)).map(|l| l.cluster.as_str());
    if let Some(cluster) = next.filter(|c| *c != lane.cluster) {
        host::set_property(request::NEXT, cluster.as_bytes());
    }
}

/// Ends the request: Envoy passes an upstream filter's answer to the client, unretried, in the shape of its status.
pub(crate) fn refuse(status: u16) -> Action {
    host::reply(status, &[], "");
    Action::Pause
}

/// A refusal of ours, or of what we are to the provider, noted for the operator.
pub(crate) fn note_refusal(r: &Request, status: u16, message: &str) {
    if let Some(lane) = r.current_lane() {
        breaker::refused(&lane.id, status, host::now_ms(), message);
    }
}
