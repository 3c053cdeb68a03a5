//! Envoy's rate-limit headers → OpenAI's. Envoy's two limiters (requests, tokens) use the same names; as answers pass
//! the filters backwards, the tokens' values stand first. A request refused by the first limiter has only its values.

use crate::headers::Headers;
use crate::host::{self, Map};
use crate::table::Key;

const KINDS: [&str; 3] = ["limit", "remaining", "reset"];

/// Puts OpenAI's x-ratelimit-* in the place of Envoy's, for the limits that this key has.
pub fn rename(headers: &Headers, key: &Key) {
    if !headers.pairs().any(|(name, _)| name.starts_with("x-ratelimit-")) {
        return;
    }
    for kind in KINDS {
        let name = ["x-ratelimit-", kind].concat();
        let values: Vec<&str> = headers.all(&name).collect();
        if values.is_empty() {
            continue;
        }
        host::drop_header(Map::Response, &name);
        let (tokens, requests) = match values.as_slice() {
            [tokens, requests] => (Some(*tokens), Some(*requests)),
            [requests] => (None, Some(*requests)),
            _ => (None, None),
        };
        let unit = if kind == "reset" { "s" } else { "" };
        for (value, what, limit) in [(requests, "requests", key.rpm), (tokens, "tokens", key.tpm)] {
            if let (Some(value), true) = (value, limit > 0) {
                host::set_header(Map::Response, &[&name, "-", what].concat(), &[value, unit].concat());
            }
        }
    }
}
