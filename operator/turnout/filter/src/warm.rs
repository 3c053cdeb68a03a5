//! Warm standby: a lane without traffic is asked for one token now and then, over the same cluster as any request, so that
//! the first fallback of the day meets an open connection, a valid credential and a model that exists.
//!
//! Each router does it once per interval, whichever of its workers comes first. Key `warm/LANE` is shared by all workers;
//! what a worker knows of traffic reaches it with the next tick. Warm-ups count in the circuit, are a half-open lane's
//! trial, and stand in metrics of their own: they are nobody's request and no evidence of a canary.

use crate::breaker;
use crate::cell::{Cell, Numbered};
use crate::circuit::State;
use crate::host::{self, Buffer, Map};
use crate::judge::{Judge, Shape, Verdict};
use crate::metrics::{count, Metric, Outcome};
use crate::refusal;
use crate::shared::{self, Record};
use crate::table::{Lane, Model, Table};
use crate::text::shortened;
use std::rc::Rc;

/// Milliseconds for a warm-up's answer.
const ANSWERED_MS: u32 = 30_000;
/// Bytes of an answer that are read.
const READ_MOST: usize = 64 * 1024;

/// What is known of a lane's rest.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Rest {
    /// Unix ms of its last attempt by a client's request, to a tick.
    pub used: u64,
    /// Unix ms of its last warm-up.
    pub warmed: u64,
    /// The last request asked for embeddings, and so does a warm-up.
    pub embeds: bool,
    /// Why the last warm-up was no answer; empty: it was, or a client's request has succeeded since.
    pub fault: String,
}

impl Record for Rest {
    type Bytes = Vec<u8>;

    fn from_bytes(bytes: &[u8]) -> Rest {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.splitn(4, '\t');
        let mut next = || words.next().unwrap_or_default().to_string();
        let (used, warmed, embeds) = (next().parse().unwrap_or(0), next().parse().unwrap_or(0), next() == "1");
        Rest { used, warmed, embeds, fault: next() }
    }

    fn to_bytes(&self) -> Vec<u8> {
        format!("{}\t{}\t{}\t{}", self.used, self.warmed, u8::from(self.embeds), self.fault).into_bytes()
    }
}

/// A client's request at a lane, as this worker saw it.
#[derive(Clone, Copy)]
struct Use {
    at: u64,
    embeds: bool,
    good: bool,
}

struct Pending {
    table: Rc<Table>,
    group: usize,
    model: usize,
    started: u64,
    trial: bool,
    embeds: bool,
}

#[derive(Default)]
struct Mine {
    uses: Numbered<String, Use>,
    pending: Numbered<u32, Pending>,
    /// This VM has met a request, so it is a worker's: Envoy's main thread has a VM, too, but connections of its own.
    works: bool,
}

thread_local! {
    static MINE: Cell<Mine> = Cell::new(Mine::default());
}

fn with_mine<R>(f: impl FnOnce(&mut Mine) -> R) -> Option<R> {
    MINE.with(|mine| mine.with(f))
}

fn key(lane: &str) -> String {
    ["warm/", lane].concat()
}

/// A lane's rest.
pub fn read(lane: &str) -> Rest {
    shared::read(&key(lane))
}

fn update(lane: &str, change: impl Fn(&mut Rest) -> bool) -> bool {
    shared::update(&key(lane), change)
}

/// This VM meets requests.
pub fn works() {
    with_mine(|mine| mine.works = true);
}

/// A client's request has been at a lane.
pub fn used(lane: &Lane, path: &str, good: bool, now: u64) {
    if lane.warm_ms > 0 {
        let seen = Use { at: now, embeds: path == "/embeddings", good };
        with_mine(|mine| mine.uses.insert(lane.id.clone(), seen));
    }
}

/// Tells the others of traffic, and asks lanes that have had none for long enough.
pub fn on_tick(table: &Rc<Table>, now: u64) {
    if with_mine(|mine| mine.works) != Some(true) {
        return;
    }
    for (lane, seen) in with_mine(|mine| std::mem::take(&mut mine.uses)).unwrap_or_default() {
        update(&lane, |rest| {
            rest.used = rest.used.max(seen.at);
            rest.embeds = seen.embeds;
            if seen.good {
                rest.fault.clear();
            }
            true
        });
    }
    with_mine(|mine| mine.pending.retain(|_, p| now < p.started.saturating_add(u64::from(ANSWERED_MS) * 2)));
    for (index, lane) in table.lanes.iter().enumerate().filter(|(_, lane)| lane.warm_ms > 0) {
        if let Some((group, model)) = first_model(table, index) {
            warm(table, lane, group, model, now);
        }
    }
}

/// The first model on a lane: its circuit's rules and its price hold for warm-ups.
fn first_model(table: &Table, lane: usize) -> Option<(usize, usize)> {
    table.groups.iter().enumerate().find_map(|(at, group)| {
        group.models.iter().position(|model| model.lane == lane).map(|position| (at, position))
    })
}

fn warm(table: &Rc<Table>, lane: &Lane, group: usize, model: usize, now: u64) {
    let rules = match table.model(group, model) {
        Some(entry) => entry.rules,
        None => return,
    };
    let rest = read(&lane.id);
    if now < rest.used.max(rest.warmed).saturating_add(lane.warm_ms) {
        return;
    }
    let state = breaker::read(&lane.id).state(now);
    if state == State::Open {
        return;
    }
    // A router that has just started warms at once: what it was told is proven before it is needed.
    let mine = update(&lane.id, |fresh| {
        let first = fresh.warmed == rest.warmed;
        fresh.warmed = now;
        first
    });
    let trial = state == State::HalfOpen;
    if !mine || (trial && !breaker::take_permit(&lane.id, &rules, now)) {
        return;
    }
    let pending = Pending { table: table.clone(), group, model, started: now, trial, embeds: rest.embeds };
    match ask(lane, rest.embeds) {
        Some(token) => {
            with_mine(|mine| mine.pending.insert(token, pending));
        }
        None => settle(&pending, Outcome::Connection, "no connection"),
    }
}

fn ask(lane: &Lane, embeds: bool) -> Option<u32> {
    let (path, rest) = match embeds {
        true => ("/embeddings", "\"input\":\"ping\"}"),
        false => ("/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"ping\"}],\"max_tokens\":1}"),
    };
    let path = [lane.prefix.as_str(), path].concat();
    let body = ["{\"model\":\"", &lane.upstream, "\",", rest].concat();
    let mut headers = vec![
        (":method", "POST"),
        (":path", path.as_str()),
        (":authority", lane.authority.as_str()),
        ("content-type", "application/json"),
    ];
    headers.extend(lane.credential.as_ref().map(|(name, value)| (name.as_str(), value.as_str())));
    host::call(&lane.cluster, &headers, body.as_bytes(), ANSWERED_MS)
}

/// The answer to a call; false if it was none of ours. `headers`: how many came, 0 if nobody answered.
pub fn on_call(token: u32, headers: u32, size: usize) -> bool {
    let pending = match with_mine(|mine| mine.pending.remove(&token)).flatten() {
        Some(pending) => pending,
        None => return false,
    };
    if headers == 0 {
        settle(&pending, Outcome::Connection, "no answer");
        return true;
    }
    let status: u16 = host::headers(Map::Call).get(":status").parse().unwrap_or(0);
    let body = host::buffer(Buffer::Call, 0, size.min(READ_MOST));
    match status {
        200..=299 => judge(&pending, &body),
        // It answered, knows us and the model; only that it wants max_completion_tokens instead.
        400 if String::from_utf8_lossy(&body).contains("max_tokens") => settle(&pending, Outcome::Ok, ""),
        429 => settle(&pending, Outcome::RateLimited, &told(&pending, status, &body)),
        400..=499 => refuse(&pending, status, &body),
        _ => settle(&pending, Outcome::ServerError, &told(&pending, status, &body)),
    }
    true
}

fn judge(pending: &Pending, body: &[u8]) {
    let mut judge = Judge::new(Shape::Document { needs_choices: !pending.embeds });
    judge.feed(body);
    judge.finish();
    if matches!(judge.verdict(true), Verdict::Bad(_)) {
        return settle(pending, Outcome::Malformed, "its answer is none");
    }
    settle(pending, Outcome::Ok, "");
    if let (Some((group, model)), usage) = (pending.names(), judge.usage()) {
        let cost = pending.entry().map_or(0, |m| m.price.of(usage));
        count(Metric::WarmTokens, &[group, model], usage.input.saturating_add(usage.output));
        count(Metric::WarmCostNanoUsd, &[group, model], cost.saturating_add(500) / 1_000);
    }
}

fn refuse(pending: &Pending, status: u16, body: &[u8]) {
    let words = told(pending, status, body);
    if let (Some(lane), 401..=404) = (pending.lane(), status) {
        let message = words.split_once(' ').map_or("", |(_, message)| message);
        breaker::refused(&lane.id, status, host::now_ms(), message);
    }
    settle(pending, Outcome::Refused, &words);
}

/// Status and the provider's message, fit to be shown.
fn told(pending: &Pending, status: u16, body: &[u8]) -> String {
    let credential = pending.lane().and_then(|l| l.credential.as_ref()).map_or("", |(_, value)| value.as_str());
    format!("{} {}", status, refusal::message(body, credential)).trim_end().to_string()
}

/// What came of it: circuit, metrics, and what /lanes shows. `fault`: why it was no answer.
fn settle(pending: &Pending, outcome: Outcome, fault: &str) {
    let (lane, entry) = match (pending.lane(), pending.entry()) {
        (Some(lane), Some(entry)) => (lane, entry),
        _ => return,
    };
    let now = host::now_ms();
    match outcome {
        Outcome::Ok => breaker::succeeded(&lane.id, &entry.rules, now),
        Outcome::RateLimited if pending.trial => breaker::give_back(&lane.id),
        Outcome::RateLimited => {} // it is there, and busy
        _ => breaker::failed(&lane.id, &entry.rules, now),
    }
    update(&lane.id, |rest| {
        rest.fault = shortened(fault, refusal::MESSAGE);
        true
    });
    if let Some((group, model)) = pending.names() {
        count(Metric::Warmups, &[group, model, outcome.word()], 1);
    }
}

impl Pending {
    fn entry(&self) -> Option<&Model> {
        self.table.model(self.group, self.model)
    }

    fn lane(&self) -> Option<&Lane> {
        self.table.lanes.get(self.entry()?.lane)
    }

    fn names(&self) -> Option<(&str, &str)> {
        Some((&self.table.groups.get(self.group)?.name, &self.entry()?.name))
    }
}
