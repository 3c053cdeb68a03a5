//! The access log: what only the filter knows of a request, left as JSON text in its filter state for the line that Envoy
//! writes (operator/turnout/xds/access_log.py). The bootstrap has the switch; without it nothing is noted or built.
//!
//! Never in it: bodies, credentials, tokens of keys, headers but `x-request-id`, and what follows the `?` of a path.

use crate::chain::Step;
use crate::cost::{dollars, Price, Usage};
use crate::headers::Headers;
use crate::host;
use crate::metrics::Outcome;
use crate::request::Request;
use crate::text::{escape_into, shortened};
use std::cell::Cell;
use std::fmt::Write;

/// Filter state with the text; Envoy keeps it as `wasm.log`.
pub const STATE: &str = "log";
/// Where the bootstrap has the switch.
const SWITCH: &str = "xds\0node\0metadata\0access_log";
/// Characters of a path, or of the name of a model that was asked for, that are kept: both are the client's words.
const MOST: usize = 256;

thread_local! {
    static ON: Cell<bool> = Cell::new(false);
}

/// Looks at the switch, once for each configuration.
pub fn configure() {
    ON.with(|on| on.set(host::property(SWITCH) == [1]));
}

/// Whether the log is on.
pub fn is_on() -> bool {
    ON.with(Cell::get)
}

/// What is noted of a request on its way, because it is not there any more at the end.
pub struct Notes {
    id: String,
    method: String,
    path: String,
    asked: String,
    first_byte: Option<u64>,
}

/// How an attempt went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tried {
    /// What was tried.
    pub step: Step,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub ms: u64,
}

impl Notes {
    /// Of a request's headers as the client sent them; attempts write over them.
    pub fn new(headers: &Headers) -> Notes {
        let path = headers.get(":path").split('?').next().unwrap_or_default();
        Notes {
            id: headers.get("x-request-id").to_string(),
            method: headers.get(":method").to_string(),
            path: shortened(path, MOST),
            asked: String::new(),
            first_byte: None,
        }
    }

    /// The model that the body asks for.
    pub fn asked(&mut self, model: &str) {
        self.asked = shortened(model, MOST);
    }

    /// The answer's first byte goes to the client; a stream's headers wait for its first content.
    pub fn first_byte(&mut self, ms: u64) {
        self.first_byte = Some(ms);
    }

    /// The members that follow Envoy's own in the line, a comma before each. `code`: the answer's status, 0 without any.
    pub fn members(&self, key: &str, code: u16, request: Option<&Request>, now: u64) -> String {
        let mut out = String::with_capacity(512);
        text(&mut out, "requestId", &self.id);
        text(&mut out, "method", &self.method);
        text(&mut out, "path", &self.path);
        text(&mut out, "key", key);
        text(&mut out, "asked", &self.asked);
        number(&mut out, "firstByteMs", self.first_byte);
        if let Some(request) = request {
            of_request(&mut out, code, request, now);
        }
        out
    }
}

/// What a request that got as far as a chain has beside.
fn of_request(out: &mut String, code: u16, request: &Request, now: u64) {
    text(out, "group", request.group().map_or("", |g| g.name.as_str()));
    let _ = write!(out, ",\"stream\":{}", request.stream);
    let model = request.asked_last().filter(|_| (1..500).contains(&code)); // an error of the 5xx is ours, or Envoy's
    text(out, "model", model.map_or("", |m| m.name.as_str()));
    out.push_str(",\"attempts\":[");
    let open = request.current.map(|c| {
        let ms = now.saturating_sub(c.started);
        Tried { step: c.step, outcome: Outcome::HungUp, ms } // every other end is settled by now
    });
    for (n, tried) in request.attempts.iter().flatten().chain(open.iter()).enumerate() {
        out.push_str(if n > 0 { ",{\"model\":\"" } else { "{\"model\":\"" });
        escape_into(out, request.model(tried.step).map_or("", |m| m.name.as_str()));
        let _ = write!(out, "\",\"result\":\"{}\",\"ms\":{}}}", tried.outcome.word(), tried.ms);
    }
    out.push(']');
    let usage = Some(request.usage).filter(|usage| *usage != Usage::default());
    number(out, "tokensIn", usage.map(|u| u.input));
    number(out, "tokensCached", usage.map(|u| u.cached));
    number(out, "tokensOut", usage.map(|u| u.output));
    let priced = request.asked_last().map_or(false, |m| m.price != Price::default());
    let cost = usage.filter(|_| priced).map(|_| dollars(request.cost)); // unknown is not free
    text(out, "costUsd", &cost.unwrap_or_default());
}

/// A member with a text; null if there is none.
fn text(out: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        let _ = write!(out, ",\"{}\":null", name);
        return;
    }
    let _ = write!(out, ",\"{}\":\"", name);
    escape_into(out, value);
    out.push('"');
}

fn number(out: &mut String, name: &str, value: Option<u64>) {
    let _ = match value {
        Some(value) => write!(out, ",\"{}\":{}", name, value),
        None => write!(out, ",\"{}\":null", name),
    };
}
