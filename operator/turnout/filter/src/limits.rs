//! What Envoy's limiters count, and what they say. They know no key's limit: for them every budget is so many hits a
//! minute (xds/limits.py), of which the filter lets a request take its part, and of which it makes OpenAI's headers.
//!
//! Each limiter adds x-ratelimit-limit, -remaining and -reset of its own; the last that a request met stands first, and
//! its size tells what it counts. Beside a router's own there may be the rate limit service's, which has a window.

use crate::headers::{text, Headers};
use crate::host::{self, Map};
use crate::table::Key;

/// One of Envoy's limiters.
pub struct Limiter {
    /// Hits of a whole minute's budget, whatever the limit; at most what Envoy counts at once, 1,000,000,000.
    pub whole: u64,
    /// Request header that tells it the hits of a request; without it the request is not counted.
    pub header: &'static str,
    /// What OpenAI's headers call it.
    unit: &'static str,
}

/// Requests a minute.
pub const RPM: Limiter = Limiter { whole: 900_000_000, header: "x-turnout-rpm", unit: "requests" };
/// Tokens a minute.
pub const TPM: Limiter = Limiter { whole: 1_000_000_000, header: "x-turnout-tpm", unit: "tokens" };
const MINUTE_MS: u64 = 60_000;

impl Limiter {
    /// Hits of `part` of `limit` a minute, at least 1; `part` is at most 1,000,000,000, so that nothing overflows.
    pub fn hits(&self, part: u64, limit: u64) -> u64 {
        part.saturating_mul(self.whole).checked_div(limit).unwrap_or(self.whole).max(1)
    }
}

/// What one limiter says.
struct Said {
    whole: u64,
    remaining: u64,
    /// Milliseconds until the whole budget is back.
    reset: u64,
    /// Whether it comes back at once, and not bit by bit.
    window: bool,
}

impl Said {
    /// Milliseconds until so many hits are there.
    fn wait(&self, hits: u64) -> u64 {
        match hits.saturating_sub(self.remaining) {
            0 => 0,
            _ if self.window => self.reset,
            missing => ms(missing, self.whole),
        }
    }
}

/// Puts OpenAI's headers in the place of Envoy's, for the limits that this key has. refused: by a limiter, so that the
/// client is told when to ask again.
pub fn tell(headers: &Headers, key: &Key, refused: bool) {
    let said = said(headers);
    for kind in ["limit", "remaining", "reset"].iter().filter(|_| !said.is_empty()) {
        host::drop_header(Map::Response, &["x-ratelimit-", kind].concat());
    }
    for (limiter, limit) in [(RPM, key.rpm), (TPM, key.tpm)].iter().filter(|(_, limit)| *limit > 0) {
        if let Some(least) = said.iter().filter(|s| s.whole == limiter.whole).min_by_key(|s| s.remaining) {
            let set = |kind: &str, value: &str| {
                host::set_header(Map::Response, &["x-ratelimit-", kind, "-", limiter.unit].concat(), value);
            };
            set("limit", &limit.to_string());
            set("remaining", &least.remaining.saturating_mul(*limit).checked_div(least.whole).unwrap_or(0).to_string());
            set("reset", &duration(least.reset));
        }
    }
    match said.first().filter(|_| refused) {
        // A full bucket was too small: it always is, for as long as so many routers share the budget.
        Some(first) if first.remaining >= first.whole => host::set_header(Map::Response, "x-should-retry", "false"),
        Some(_) => {
            let seconds = wait(&said).max(1).saturating_add(999) / 1000;
            host::set_header(Map::Response, "retry-after", &seconds.to_string());
        }
        None => {}
    }
}

/// Milliseconds until the same request may pass. Whoever refused although enough seems to be there, counts it more than
/// once, for the other routers: then the time in which all of its hits come back.
fn wait(said: &[Said]) -> u64 {
    let request = host::headers(Map::Request);
    let header = |s: &Said| if s.whole == TPM.whole { TPM.header } else { RPM.header };
    let taken = |s: &Said| request.get(header(s)).parse().unwrap_or(1);
    let first = said.first().filter(|s| s.remaining >= taken(s)).map_or(0, |s| ms(taken(s), s.whole));
    said.iter().map(|s| s.wait(taken(s))).max().unwrap_or(0).max(first)
}

fn said(headers: &Headers) -> Vec<Said> {
    let values = |name: &'static [u8]| headers.pairs().filter(move |(n, _)| *n == name).map(|(_, value)| text(value));
    let number = |value: &str| value.parse::<u64>().unwrap_or(0);
    let (left, resets) = (values(b"x-ratelimit-remaining"), values(b"x-ratelimit-reset"));
    values(b"x-ratelimit-limit")
        .zip(left.zip(resets))
        .map(|(limit, (remaining, reset))| {
            let (whole, window) = limit.split_once(',').map_or((limit, false), |(whole, _)| (whole, true));
            let (whole, remaining) = (number(whole), number(remaining));
            let missing = ms(whole.saturating_sub(remaining), whole);
            Said { whole, remaining, reset: if window { number(reset).saturating_mul(1000) } else { missing }, window }
        })
        .collect()
}

/// Milliseconds in which so many hits of a minute's budget come back.
fn ms(hits: u64, whole: u64) -> u64 {
    hits.saturating_mul(MINUTE_MS).checked_div(whole).unwrap_or(0)
}

/// As OpenAI writes it: 12ms, 7s, 6m0s.
fn duration(ms: u64) -> String {
    let seconds = ms.saturating_add(999) / 1000;
    match (ms, seconds) {
        (0..=999, _) => format!("{}ms", ms),
        (_, 0..=59) => format!("{}s", seconds),
        _ => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_any_size_lets_so_many_pass() {
        for limit in [1, 2, 3, 7, 10, 59, 60, 500, 1_000, 9_999, 22_000] {
            assert_eq!(RPM.whole / RPM.hits(1, limit), limit);
        }
        for limit in [99_999, 1_234_567, 10_000_000] {
            let passed = TPM.whole / TPM.hits(1, limit);
            assert!(passed >= limit && passed - limit <= limit / 90, "{} of {}", passed, limit);
            assert_eq!(TPM.whole / TPM.hits(limit / 3, limit), 3);
        }
        assert_eq!(TPM.hits(1_000_000_000, 1_000_000_000), TPM.whole);
        assert_eq!(RPM.hits(1, 1_000_000_000), 1);
    }

    #[test]
    fn durations_are_openais() {
        for (ms, text) in [(0, "0ms"), (12, "12ms"), (1000, "1s"), (1001, "2s"), (59_500, "1m0s"), (360_000, "6m0s")] {
            assert_eq!(duration(ms), text);
        }
    }
}
