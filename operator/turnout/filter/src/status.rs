//! The status role: GET /lanes (the circuits as JSON) and GET /drain (fails the health check, answers when no request is
//! left). Everything else passes. Nothing secret is ever answered here.

use crate::breaker;
use crate::circuit::State;
use crate::front::Action;
use crate::host::{self, Buffer, Map};
use crate::load;
use crate::text::quoted;
use crate::warm;
use std::fmt::Write;

/// The cluster of Envoy's admin interface.
const ADMIN: &str = "admin";
/// Milliseconds for one question to it.
const ASKED_MS: u32 = 5_000;
/// Where it tells how many requests are under way; and the line's beginning.
const ACTIVE_PATH: &str = "/stats?filter=%5Ehttp%5C.router%5C.downstream_rq_active%24";
const ACTIVE: &str = "http.router.downstream_rq_active: ";
/// Milliseconds that a drain takes at least: by then every kube-proxy has heard of it.
const DRAIN_LEAST_MS: u64 = 5_000;
/// And at most: the longest answer allowed.
const DRAIN_MOST_MS: u64 = 3_600_000;
/// Milliseconds between looks; two in a row must see no request.
const LOOK_MS: u64 = 1_000;

/// One request to the status listener.
pub struct Status {
    context: u32,
    drain: Option<Drain>,
}

struct Drain {
    since: u64,
    looked: u64,
    quiet_since: Option<u64>,
    failed: bool,
}

impl Status {
    /// The request with this context's number.
    pub fn new(context: u32) -> Self {
        Status { context, drain: None }
    }

    /// Answers /lanes, begins /drain.
    pub fn on_request_headers(&mut self) -> Action {
        let headers = host::headers(Map::Request);
        match (headers.get(":method"), headers.get(":path")) {
            ("GET", "/lanes") => {
                host::reply(200, &[("content-type", "application/json")], &lanes(host::now_ms()));
                Action::Pause
            }
            ("GET", "/drain") => {
                let now = host::now_ms();
                self.drain = Some(Drain { since: now, looked: now, quiet_since: None, failed: false });
                host::call(ADMIN, &ask("POST", "/healthcheck/fail"), b"", ASKED_MS);
                Action::Pause
            }
            _ => Action::Continue,
        }
    }

    /// Looks again, or lets the drain end.
    pub fn on_tick(&mut self, now: u64) {
        let drain = match &mut self.drain {
            Some(drain) => drain,
            None => return,
        };
        let age = now.saturating_sub(drain.since);
        let quiet = drain.quiet_since.map_or(false, |since| drain.looked > since);
        if quiet && age >= DRAIN_LEAST_MS || age >= DRAIN_MOST_MS {
            self.drain = None;
            host::act_on(self.context);
            host::reply(200, &[("content-type", "text/plain")], "drained\n");
        } else if now.saturating_sub(drain.looked) >= LOOK_MS {
            drain.looked = now;
            host::act_on(self.context);
            if !drain.failed {
                host::call(ADMIN, &ask("POST", "/healthcheck/fail"), b"", ASKED_MS);
            }
            host::call(ADMIN, &ask("GET", ACTIVE_PATH), b"", ASKED_MS);
        }
    }

    /// The admin interface's answer of `size` bytes.
    pub fn on_call(&mut self, size: usize, now: u64) {
        let drain = match &mut self.drain {
            Some(drain) => drain,
            None => return,
        };
        let body = host::buffer(Buffer::Call, 0, size.min(4096));
        let text = String::from_utf8_lossy(&body);
        drain.failed |= text.trim() == "OK";
        if let Some(active) = text.lines().find_map(|l| l.strip_prefix(ACTIVE)) {
            let quiet = active.trim() == "0";
            drain.quiet_since = if quiet { drain.quiet_since.or(Some(now)) } else { None };
        }
    }
}

fn ask<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 3] {
    [(":method", method), (":path", path), (":authority", ADMIN)]
}

/// The circuits of the newest table's lanes as JSON.
pub fn lanes(now: u64) -> String {
    let mut out = String::from("{\"lanes\":[");
    for lane in breaker::lanes() {
        let (circuit, rest) = (breaker::read(&lane), warm::read(&lane));
        let state = match circuit.state(now) {
            State::Closed => "Closed",
            State::Open => "Open",
            State::HalfOpen => "HalfOpen",
        };
        let refusal = breaker::refusal(&lane, &circuit).map_or_else(
            || "null".to_string(),
            |(status, message, at)| {
                format!("{{\"status\":{},\"message\":{},\"atMs\":{}}}", status, quoted(&message), at)
            },
        );
        let comma = if out.ends_with('[') { "" } else { "," };
        let _ = write!(
            out,
            "{}{{\"lane\":{},\"circuit\":\"{}\",\"failures\":{},\"openForMs\":{},\"pausedForMs\":{},\"ramping\":{},\"inFlight\":{},\"warmedMs\":{},\"warmFault\":{},\"refusal\":{}}}",
            comma,
            quoted(&lane),
            state,
            circuit.fails,
            circuit.until.saturating_sub(now),
            circuit.paused.saturating_sub(now),
            circuit.is_ramping(now),
            load::read(&lane).in_flight(now),
            rest.warmed,
            if rest.fault.is_empty() { "null".to_string() } else { quoted(&rest.fault) },
            refusal
        );
    }
    out.push_str("]}\n");
    out
}
