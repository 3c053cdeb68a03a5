//! Envoy's rate-limit headers → OpenAI's. Envoy's two limiters (requests, tokens) use the same names; as answers pass
//! the filters backwards, the tokens' values stand first. A request refused by the first limiter has only its values.

use crate::headers::{text, Headers};
use crate::host::{self, Map};
use crate::table::Key;

const PREFIX: &[u8] = b"x-ratelimit-";
const KINDS: [&str; 3] = ["limit", "remaining", "reset"];

/// Puts OpenAI's x-ratelimit-* in the place of Envoy's, for the limits that this key has.
pub fn rename(headers: &Headers, key: &Key) {
    let limits: Vec<(&[u8], &[u8])> =
        headers.pairs().filter_map(|(name, value)| name.strip_prefix(PREFIX).map(|kind| (kind, value))).collect();
    for kind in KINDS {
        let mut values = limits.iter().filter(|(found, _)| *found == kind.as_bytes()).map(|(_, value)| text(value));
        let (tokens, requests) = match (values.next(), values.next()) {
            (None, _) => continue,
            (requests, None) => (None, requests),
            both => both,
        };
        let name = ["x-ratelimit-", kind].concat();
        host::drop_header(Map::Response, &name);
        let unit = if kind == "reset" { "s" } else { "" };
        for (value, what, limit) in [(requests, "requests", key.rpm), (tokens, "tokens", key.tpm)] {
            if let (Some(value), true) = (value, limit > 0) {
                host::set_header(Map::Response, &[&name, "-", what].concat(), &[value, unit].concat());
            }
        }
    }
}
