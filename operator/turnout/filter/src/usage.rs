//! Which lanes do not know `stream_options`: asked for a stream's usage, they refuse the request. Impure: shared data.
//!
//! It is OpenAI's since 2024, and most take it. Known to answer 400 or 422 that name it: Azure before API version
//! 2024-09-01-preview, and since then for requests with `data_sources` (openai-python issues 1469, 2296), Databricks
//! (continue issue 12936), and what validates strictly, as Mistral does with other members it does not know. Such an
//! attempt is done over on the same lane without asking, and counts for nothing. If that is an answer, the lane is not
//! asked for `REMEMBERED_MS`, and the tokens of its streams are unknown unless it tells them by itself. Not longer: it
//! may have been the request's own kind, and no client should be able to hide what its streams cost.
//!
//! Key `plain/LANE`: Unix ms until which it is not asked.

use crate::host;

/// Milliseconds for which a refusal is remembered: one refused attempt in ten minutes and lane.
const REMEMBERED_MS: u64 = 600_000;

fn key(lane: &str) -> String {
    ["plain/", lane].concat()
}

/// Whether a lane is known to refuse being asked, at `now`.
pub fn is_refused(lane: &str, now: u64) -> bool {
    let until = host::shared(&key(lane)).and_then(|(bytes, _)| <[u8; 8]>::try_from(bytes).ok());
    until.map_or(false, |until| now < u64::from_le_bytes(until))
}

/// A lane that had refused answered without being asked.
pub fn note_refused(lane: &str, now: u64) {
    host::set_shared(&key(lane), &now.saturating_add(REMEMBERED_MS).to_le_bytes(), 0);
}

/// Whether an error's body speaks of what we added.
pub fn is_named(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.contains("stream_options") || text.contains("include_usage")
}
