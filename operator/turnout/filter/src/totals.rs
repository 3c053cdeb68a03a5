//! What a request comes to in the statistics, once it is over.

use crate::metrics::{count, Metric};
use crate::request::Request;

/// One that never got as far as a group. `code`: the answer's status, 0 for none; `elapsed`: milliseconds.
pub fn of_refused(code: u16, elapsed: u64) {
    count(Metric::Requests, &["", class(code)], 1);
    count(Metric::RequestMs, &[""], elapsed);
}

/// One of a group.
pub fn of_request(request: &Request, code: u16, elapsed: u64) {
    let group = request.group().map(|g| g.name.as_str()).unwrap_or_default();
    count(Metric::Requests, &[group, class(code)], 1);
    count(Metric::RequestMs, &[group], elapsed);
    if !request.answered {
        return;
    }
    let model = request.step.and_then(|s| request.model(s)).map(|m| m.name.as_str()).unwrap_or_default();
    let tags = [group, model, request.key.as_str()];
    if request.failed > 0 {
        count(Metric::FallbackRequests, &[group], 1);
    }
    count(Metric::KeyRequests, &tags, 1);
    count(Metric::TokensIn, &tags, request.usage.input);
    count(Metric::TokensCached, &tags, request.usage.cached);
    count(Metric::TokensOut, &tags, request.usage.output);
    count(Metric::CostNanoUsd, &tags, request.cost.saturating_add(500) / 1_000);
}

/// Status → its class; 499 for a client that went away before any answer.
fn class(code: u16) -> &'static str {
    match code {
        0 => "499",
        429 => "429",
        100..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
