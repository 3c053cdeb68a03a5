//! What a provider's response headers may not say.

use crate::headers::{text, Headers};
use crate::host::{self, Map};

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
