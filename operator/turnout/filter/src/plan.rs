//! The front's other half: once a request's body is known, which models it may try in which order, and what Envoy needs to
//! know of that: the first cluster, how many retries, how long, and what the rate limits count.

use crate::body::{Body, MOST_TOKENS};
use crate::breaker::Circuits;
use crate::chain::{choose, Chain, Passed, Wish};
use crate::front::{Action, Front};
use crate::host::{self, Map};
use crate::limits::{RPM, TPM};
use crate::log;
use crate::metrics::{count, Metric};
use crate::replies;
use crate::request::{self, Request};
use crate::rights;
use crate::table::Group;
use std::cell::RefCell;
use std::rc::Rc;

/// Bytes of a body per prompt token, for the reservation: English is about 4, JSON around it makes it less.
const BYTES_PER_TOKEN: u64 = 4;
/// Completion tokens reserved for a request that names no maximum.
const DEFAULT_COMPLETION: u64 = 500;

impl Front {
    /// The body is known: model, chain, and what Envoy needs to know of them.
    pub(crate) fn begin(&mut self, body: &Body) -> Action {
        if let Some(notes) = &mut self.notes {
            notes.asked(&body.model);
        }
        let table = self.table.clone();
        let wish = match self.key().map(|key| rights::resolve(&table, key, &body.model)) {
            Some(Ok(wish)) => wish,
            Some(Err(denied)) => return self.reply(&replies::denied(&denied)),
            None => return self.reply(&replies::unknown_key()),
        };
        let index = match &wish {
            Wish::Group(group) => *group,
            Wish::Models(steps) => steps.first().map_or(usize::MAX, |s| s.group),
        };
        let group = match table.groups.get(index) {
            Some(group) => group,
            None => return self.reply(&replies::unknown_key()),
        };
        let reserved = self.reserve(body);
        if let Some(limit) = self.key().map(|key| key.tpm).filter(|limit| (1..reserved).contains(limit)) {
            return self.reply(&replies::too_large(limit, reserved));
        }
        let mut doors = Circuits::new(&table, self.started);
        let chain = choose(&table, &wish, &self.key, &body.need, group.attempts, &mut doors);
        let mut request = self.request(body, index, group, chain);
        request.note_passed();
        request.count_drawn();
        for (step, _) in request.chain.passed.iter().filter(|(_, why)| *why == Passed::Full) {
            let model = request.model(*step).map(|m| m.name.as_str()).unwrap_or_default();
            count(Metric::Spilled, &[&group.name, model], 1);
        }
        if request.chain.steps.is_empty() {
            let wait = request.chain.paused.map_or(1_000, |until| until.saturating_sub(self.started));
            self.request = Some(Rc::new(RefCell::new(request))); // for the statistics
            return self.reply(&replies::no_room(&group.name, wait.saturating_add(999) / 1000));
        }
        self.announce(&request, group, reserved);
        let shared = Rc::new(RefCell::new(request));
        request::register(self.context, &shared);
        self.request = Some(shared);
        Action::Continue
    }

    fn request(&self, body: &Body, index: usize, group: &Group, chain: Chain) -> Request {
        Request {
            table: self.table.clone(),
            key: self.key.clone(),
            group: index,
            deadline: self.started.saturating_add(group.total_ms.min(self.patience)),
            chain,
            begun: 0,
            path: self.path,
            length: self.read as u64,
            span: body.span,
            stream: body.stream,
            ask_usage: body.ask_usage.filter(|_| body.stream && has_usage_event(self.path)),
            plain: Vec::new(),
            started: self.started,
            tried: String::new(),
            failed: 0,
            last: None,
            waited: false,
            step: None,
            usage: Default::default(),
            cost: 0,
            answered: false,
            current: None,
            over: false,
            attempts: log::is_on().then(Vec::new),
        }
    }

    /// Headers for the rate limits and the router, and the first cluster.
    fn announce(&self, request: &Request, group: &Group, reserved: u64) {
        let set = |name: &str, value: &str| host::set_header(Map::Request, name, value);
        if let Some(lane) = request.step_of(0).and_then(|s| request.lane(s)) {
            host::set_property(request::NEXT, request.cluster(lane).as_bytes());
        }
        let (rpm, tpm) = self.key().map_or((0, 0), |key| (key.rpm, key.tpm));
        set("x-turnout-key", &self.key);
        for (limiter, part, limit) in [(RPM, 1, rpm), (TPM, reserved, tpm)].iter().filter(|(_, _, limit)| *limit > 0) {
            set(limiter.header, &limiter.hits(*part, *limit).to_string());
        }
        set("x-envoy-max-retries", &request.retries().to_string());
        let left = request.deadline.saturating_sub(self.started);
        if !request.holds() {
            set("x-envoy-upstream-rq-per-try-timeout-ms", &request.deadline_ms().min(left).to_string());
        }
        if !request.stream || request.holds() {
            set("x-envoy-upstream-rq-timeout-ms", &left.to_string()); // of a live stream it would cut the end off
        }
        set("x-turnout-group", &group.name);
    }

    /// Tokens that the request may come to: its prompt, and the most that it lets the model say.
    fn reserve(&self, body: &Body) -> u64 {
        let completion = if self.path == "/embeddings" { 0 } else { DEFAULT_COMPLETION };
        let prompt = self.read as u64 / BYTES_PER_TOKEN;
        prompt.saturating_add(body.most_tokens.unwrap_or(completion)).clamp(1, MOST_TOKENS)
    }
}

/// Where OpenAI's API has `stream_options.include_usage`; streams of /responses tell their usage anyway.
fn has_usage_event(path: &str) -> bool {
    matches!(path, "/chat/completions" | "/completions")
}
