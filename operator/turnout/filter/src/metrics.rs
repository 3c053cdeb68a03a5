//! The filter's metrics: one list of names, kinds and tags; each series defined once per worker, then counted by number.
//!
//! In Envoy a series is `wasmcustom.NAME;tag=value;…`. Series are bounded by groups, models, keys and the words below.

use crate::cell::{Cell, Numbered};
use crate::host::{self, MetricKind};

/// A metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metric {
    /// Attempts by how they ended.
    Attempts,
    /// Milliseconds of an attempt from its start to its end.
    AttemptMs,
    /// Milliseconds of an attempt to a stream's first content.
    FirstTokenMs,
    /// Requests that were drawn for an arm of a rollout.
    ArmDrawn,
    /// The same at their end, by how the first attempt ended, or why there was none.
    ArmRequests,
    /// Milliseconds of those first attempts that became an answer, whole.
    ArmMs,
    /// Of streams among them to the first content.
    ArmFirstTokenMs,
    /// Sums over them, by what is added up: milliseconds, tokens, money, and squares of these.
    ArmSums,
    /// Attempts given up for the next one, from `model` to `to`, by why.
    Fallbacks,
    /// Milliseconds spent in attempts that failed.
    LostMs,
    /// The model's circuit: 0 closed, 1 half-open, 2 open.
    Circuit,
    /// Requests that passed a model by because its capacity was used up.
    Spilled,
    /// Warm-ups by how they ended; `model` is the first on the lane.
    Warmups,
    /// Tokens of warm-ups, in and out.
    WarmTokens,
    /// Cost of warm-ups in billionths of a US dollar.
    WarmCostNanoUsd,
    /// Requests by status class.
    Requests,
    /// Milliseconds of a request from its start to its end.
    RequestMs,
    /// Requests that were answered after at least one fallback.
    FallbackRequests,
    /// Answered requests of a key.
    KeyRequests,
    /// Requests that came with a token of a key, whatever became of them; by them an old token is known to be unused.
    /// By slot: tokens come and go for ever, and a series stays as long as Envoy does.
    TokenRequests,
    /// When the last of them came, in Unix seconds.
    TokenUsedAt,
    /// Which token that one came with: `Token::number`.
    TokenUsed,
    /// Prompt tokens.
    TokensIn,
    /// Prompt tokens that the provider had cached.
    TokensCached,
    /// Completion tokens.
    TokensOut,
    /// Cost in billionths of a US dollar.
    CostNanoUsd,
}

impl Metric {
    fn shape(self) -> (&'static str, MetricKind, &'static [&'static str]) {
        use MetricKind::{Counter, Gauge, Histogram};
        const USAGE: &[&str] = &["group", "model", "key"];
        const TOKEN: &[&str] = &["key", "slot"];
        const ARM: &[&str] = &["group", "rollout", "arm"];
        const ARM_RESULT: &[&str] = &["group", "rollout", "arm", "result"];
        match self {
            Metric::Attempts => ("turnout_attempts", Counter, &["group", "model", "arm", "attempt", "result"]),
            Metric::AttemptMs => ("turnout_attempt_milliseconds", Histogram, &["group", "model", "arm", "attempt"]),
            Metric::FirstTokenMs => ("turnout_first_token_milliseconds", Histogram, &["group", "model", "arm"]),
            Metric::ArmDrawn => ("turnout_arm_drawn", Counter, ARM),
            Metric::ArmRequests => ("turnout_arm_requests", Counter, ARM_RESULT),
            Metric::ArmMs => ("turnout_arm_milliseconds", Histogram, ARM),
            Metric::ArmFirstTokenMs => ("turnout_arm_first_token_milliseconds", Histogram, ARM),
            Metric::ArmSums => ("turnout_arm_sums", Counter, &["group", "rollout", "arm", "of"]),
            Metric::Fallbacks => ("turnout_fallbacks", Counter, &["group", "model", "to", "reason"]),
            Metric::LostMs => ("turnout_lost_milliseconds", Counter, &["group", "model"]),
            Metric::Circuit => ("turnout_circuit", Gauge, &["group", "model"]),
            Metric::Spilled => ("turnout_spilled", Counter, &["group", "model"]),
            Metric::Warmups => ("turnout_warmups", Counter, &["group", "model", "result"]),
            Metric::WarmTokens => ("turnout_warm_tokens", Counter, &["group", "model"]),
            Metric::WarmCostNanoUsd => ("turnout_warm_cost_nanousd", Counter, &["group", "model"]),
            Metric::Requests => ("turnout_requests", Counter, &["group", "code"]),
            Metric::RequestMs => ("turnout_request_milliseconds", Histogram, &["group"]),
            Metric::FallbackRequests => ("turnout_fallback_requests", Counter, &["group"]),
            Metric::KeyRequests => ("turnout_key_requests", Counter, USAGE),
            Metric::TokenRequests => ("turnout_token_requests", Counter, TOKEN),
            Metric::TokenUsedAt => ("turnout_token_last_used_timestamp_seconds", Gauge, TOKEN),
            Metric::TokenUsed => ("turnout_token_last_used_id", Gauge, TOKEN),
            Metric::TokensIn => ("turnout_tokens_in", Counter, USAGE),
            Metric::TokensCached => ("turnout_tokens_cached", Counter, USAGE),
            Metric::TokensOut => ("turnout_tokens_out", Counter, USAGE),
            Metric::CostNanoUsd => ("turnout_cost_nanousd", Counter, USAGE),
        }
    }
}

/// How an attempt ended: the values of the tag `result`, and of `reason` where a fallback followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// An answer.
    Ok,
    /// The client's own mistake: 400, 413, 422 and the like, passed on.
    ClientError,
    /// 429.
    RateLimited,
    /// The prompt is too long for this model.
    TooLong,
    /// The provider refused our credential, account or model: 401, 402, 403, 404.
    Refused,
    /// 408, 409, 3xx or 5xx.
    ServerError,
    /// No first content, or no whole answer, in time.
    Timeout,
    /// No connection, or a reset before an answer.
    Connection,
    /// No JSON, or not what the path promises.
    Malformed,
    /// A 200 with nothing in it.
    Empty,
    /// An error inside a 200.
    ErrorEvent,
    /// A stream that ended before the model's end.
    Truncated,
    /// A stream that fell silent.
    Stalled,
    /// The client went away; counts for nothing.
    HungUp,
}

impl Outcome {
    /// As tags and headers spell it.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::ClientError => "client_error",
            Outcome::RateLimited => "rate_limited",
            Outcome::TooLong => "too_long",
            Outcome::Refused => "refused",
            Outcome::ServerError => "server_error",
            Outcome::Timeout => "timeout",
            Outcome::Connection => "connection",
            Outcome::Malformed => "malformed",
            Outcome::Empty => "empty",
            Outcome::ErrorEvent => "error_event",
            Outcome::Truncated => "truncated",
            Outcome::Stalled => "stalled",
            Outcome::HungUp => "hung_up",
        }
    }
}

#[derive(Default)]
struct Known {
    /// Metric and tags → Envoy's number of the series.
    series: Numbered<Vec<u8>, u32>,
    key: Vec<u8>,
}

thread_local! {
    static KNOWN: Cell<Known> = Cell::new(Known::default());
}

/// Adds to a counter, or a value to a histogram; sets a gauge. `tags`: values in the order of `Metric::shape`.
pub fn count(metric: Metric, tags: &[&str], by: u64) {
    let (_, kind, _) = metric.shape();
    if by == 0 && kind == MetricKind::Counter {
        return;
    }
    let id = KNOWN.with(|known| known.with(|known| known.id(metric, tags))).unwrap_or_default();
    match kind {
        MetricKind::Counter => host::increment(id, by),
        MetricKind::Gauge | MetricKind::Histogram => host::record(id, by),
    }
}

impl Known {
    fn id(&mut self, metric: Metric, tags: &[&str]) -> u32 {
        self.key.clear();
        self.key.push(metric as u8);
        for tag in tags {
            self.key.extend_from_slice(tag.as_bytes());
            self.key.push(0); // no tag holds one: they are names of objects, models and words of ours
        }
        if let Some(id) = self.series.get(&self.key) {
            return *id;
        }
        let id = define(metric, tags);
        self.series.insert(self.key.clone(), id);
        id
    }
}

fn define(metric: Metric, tags: &[&str]) -> u32 {
    let (name, kind, labels) = metric.shape();
    let mut text = name.to_string();
    for (label, value) in labels.iter().zip(tags) {
        text.push(';');
        text.push_str(label);
        text.push('=');
        text.extend(value.chars().map(|c| if c == ';' || c.is_control() { '_' } else { c }));
    }
    host::define_metric(kind, &text)
}
