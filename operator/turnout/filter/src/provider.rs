//! What a provider's response headers ask of us, and what they may not.

use crate::headers::{text, Headers};
use crate::host::{self, Map};

/// Seconds of Retry-After (or of OpenAI's retry-after-ms), rounded up; None if there is none, or it is a date.
pub fn retry_after(headers: &Headers) -> Option<u64> {
    if let Ok(ms) = headers.get("retry-after-ms").parse::<u64>() {
        return Some(ms.saturating_add(999) / 1000);
    }
    let text = headers.get("retry-after");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let more = fraction.bytes().any(|c| (b'1'..=b'9').contains(&c));
    whole.parse::<u64>().ok().map(|s| s.saturating_add(u64::from(more)))
}

/// Takes away what no provider may tell our clients or our Envoy: our own headers, Envoy's, its account's limits,
/// cookies that another provider would be sent, and where else to go.
pub fn sanitise(headers: &Headers) {
    const PREFIXES: [&[u8]; 3] = [b"x-turnout-", b"x-envoy-", b"x-ratelimit-"];
    const NAMES: [&[u8]; 4] = [b"x-token-cost", b"set-cookie", b"alt-svc", b"strict-transport-security"];
    for (name, _) in headers.pairs() {
        if PREFIXES.iter().any(|p| name.starts_with(p)) || NAMES.contains(&name) {
            host::drop_header(Map::Response, text(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_seconds_rounded_up() {
        for (name, value, want) in [
            ("retry-after", "2", Some(2)),
            ("retry-after", "0", Some(0)),
            ("retry-after", "0.2", Some(1)),
            ("retry-after", "3.0", Some(3)),
            ("retry-after-ms", "1001", Some(2)),
            ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("retry-after", "-1", None),
            ("retry-after", "", None),
        ] {
            assert_eq!(retry_after(&Headers::new(Headers::serialise(&[(name, value)]))), want, "{}", value);
        }
    }
}
