//! Our own answers: errors in OpenAI's shape, GET /v1/models, GET /v1/auth/verify. Pure text.
//!
//! Codes and words are OpenAI's where it has them: invalid_api_key, model_not_found (404 unknown, 403 not for this
//! project), unknown_url, method_not_supported; a missing scope has no code there that is the same everywhere.

use crate::body::Refusal;
use crate::rights::{may_use, Denied};
use crate::table::{Key, Table};
use crate::text::{escape_into, quoted, shortened};
use std::fmt::Write;

/// A whole answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: String,
    /// A header more: `allow` for 405, `retry-after` or `x-should-retry` for 429.
    pub header: Option<(&'static str, String)>,
}

const INVALID: &str = "invalid_request_error";
/// What a provider's trouble is called in `type`.
pub const UPSTREAM: &str = "upstream_error";
/// Characters of a client's own words that are repeated to it.
const ECHOED: usize = 200;

/// The JSON of an error. `param` and `code` "" are null.
pub fn error_body(message: &str, kind: &str, param: &str, code: &str) -> String {
    let nullable = |text: &str| if text.is_empty() { "null".to_string() } else { quoted(text) };
    let (message, kind) = (quoted(message), quoted(kind));
    format!(
        "{{\"error\":{{\"message\":{},\"type\":{},\"param\":{},\"code\":{}}}}}",
        message,
        kind,
        nullable(param),
        nullable(code)
    )
}

fn error(status: u16, message: &str, param: &str, code: &str) -> Reply {
    Reply { status, body: error_body(message, INVALID, param, code), header: None }
}

/// 401: no key that we know.
pub fn unknown_key() -> Reply {
    error(401, "Incorrect API key provided.", "", "invalid_api_key")
}

/// 401: it was valid once.
pub fn expired_key() -> Reply {
    error(401, "This API key has expired.", "", "invalid_api_key")
}

/// 403: the key lacks a scope.
pub fn missing_scope(scope: &str) -> Reply {
    let message = format!("You have insufficient permissions for this operation. Missing scopes: {}.", scope);
    error(403, &message, "", "insufficient_permissions")
}

/// 429: its budget is used up. SDKs ask a 429 again by themselves, which would help nobody here.
pub fn spent() -> Reply {
    let message = "This API key has used up its budget for this month.";
    let body = error_body(message, "insufficient_quota", "", "insufficient_quota");
    Reply { status: 429, body, header: Some(("x-should-retry", "false".to_string())) }
}

/// 404: a path that we do not serve.
pub fn unknown_path(method: &str, path: &str) -> Reply {
    let message = format!("Unknown request URL: {} {}.", shortened(method, 20), shortened(path, ECHOED));
    error(404, &message, "", "unknown_url")
}

/// 405: a path that we serve, asked in another way.
pub fn wrong_method(method: &str, path: &str, allowed: &'static str) -> Reply {
    let message = format!("Not allowed to {} on {}.", shortened(method, 20), shortened(path, ECHOED));
    Reply { header: Some(("allow", allowed.to_string())), ..error(405, &message, "", "method_not_supported") }
}

/// 403 or 404: a model that this key does not get.
pub fn denied(denied: &Denied) -> Reply {
    match denied {
        Denied::Unknown(name) => {
            let name = shortened(name, ECHOED);
            let message = format!("The model `{}` does not exist or you do not have access to it.", name);
            error(404, &message, "model", "model_not_found")
        }
        Denied::NotAllowed(name) => {
            let message = format!("This API key does not have access to model `{}`.", shortened(name, ECHOED));
            error(403, &message, "model", "model_not_found")
        }
    }
}

/// 400: a body that names no model, or not one.
pub fn bad_body(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::NotJson => {
            error(400, "We could not parse the JSON body of your request. It must be one JSON object.", "", "")
        }
        Refusal::NoModel => error(400, "you must provide a model parameter", "model", ""),
        Refusal::BadModel => error(400, "`model` must be a string with a model's name.", "model", ""),
        Refusal::TwoModels => error(400, "`model` stands in the body more than once.", "model", ""),
    }
}

/// 400: a deadline that is none.
pub fn bad_timeout() -> Reply {
    error(400, "`x-turnout-timeout-ms` must be a whole number of milliseconds above 0.", "", "")
}

/// 429: every model that could answer is at its limit, its own or the one that `capacity` sets, for so many seconds.
pub fn no_room(group: &str, seconds: u64) -> Reply {
    let group = shortened(group, ECHOED);
    let message = format!("All models of `{}` are at their limits. Please try again in {}s.", group, seconds);
    let body = error_body(&message, "requests", "", "rate_limit_exceeded");
    Reply { status: 429, body, header: Some(("retry-after", seconds.to_string())) }
}

/// 429: more tokens than the key may use in a whole minute. To ask again would help nobody.
pub fn too_large(limit: u64, requested: u64) -> Reply {
    let message = format!(
        "Request too large for this API key on tokens per minute (TPM): Limit {}, Requested {}. Shorten the prompt or \
         lower max_tokens.",
        limit, requested
    );
    let body = error_body(&message, "tokens", "", "rate_limit_exceeded");
    Reply { status: 429, body, header: Some(("x-should-retry", "false".to_string())) }
}

/// 200: the groups and models that this key may use, as OpenAI lists models.
pub fn models(table: &Table, key: &Key) -> Reply {
    let mut names: Vec<&str> = Vec::new();
    for group in table.groups.iter().filter(|g| may_use(key, g)) {
        names.push(&group.name);
        names.extend(group.models.iter().map(|m| m.name.as_str()));
    }
    let mut body = String::from("{\"object\":\"list\",\"data\":[");
    let mut listed = std::collections::HashSet::new();
    for name in names.into_iter().filter(|n| listed.insert(*n)) {
        let comma = if body.ends_with('[') { "" } else { "," };
        let _ = write!(
            body,
            "{}{{\"id\":{},\"object\":\"model\",\"created\":0,\"owned_by\":\"turnout\"}}",
            comma,
            quoted(name)
        );
    }
    body.push_str("]}");
    Reply { status: 200, body, header: None }
}

/// 200: who this key is and what it may, and until when this token of it works.
pub fn verify(key: &Key, token: &str) -> Reply {
    let limit = |n: u64| if n == 0 { "null".to_string() } else { n.to_string() };
    let expires = match key.token(token).map_or(0, |token| token.expires_ms) {
        0 => "null".to_string(),
        ms => quoted(&utc(ms)),
    };
    let body = format!(
        "{{\"name\":{},\"scopes\":{},\"modelGroups\":{},\"expiresAt\":{},\"limits\":{{\"requestsPerMinute\":{},\"tokensPerMinute\":{}}}}}",
        quoted(&key.name), list(&key.scopes), list(&key.groups), expires, limit(key.rpm), limit(key.tpm)
    );
    Reply { status: 200, body, header: None }
}

/// 502: a provider refused our credential, account or model; never its 401, which a client would take for its own key.
pub fn provider_refused(model: &str, status: u16) -> String {
    let message = format!("The provider of model {} refused the router's request ({}).", model, status);
    error_body(&message, UPSTREAM, "", "provider_refused")
}

/// What ends a stream that is not whole, or stands for an answer that was none.
pub fn unusable(model: &str, why: &str) -> String {
    error_body(&format!("The answer of model {} was not usable: {}.", model, why), UPSTREAM, "", why)
}

fn list(words: &[String]) -> String {
    let mut out = String::from("[");
    for word in words {
        out.push_str(if out.len() > 1 { ",\"" } else { "\"" });
        escape_into(&mut out, word);
        out.push('"');
    }
    out.push(']');
    out
}

/// Unix ms as RFC 3339 in UTC, whole seconds. Days to dates after Howard Hinnant's civil_from_days.
fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (days, in_day) = (seconds / 86_400, seconds % 86_400);
    let shifted = days.saturating_add(719_468); // days since 0000-03-01
    let (era, in_era) = (shifted / 146_097, shifted % 146_097);
    let with_centuries = in_era.saturating_add(in_era / 36_524);
    let year_of_era = with_centuries.saturating_sub(in_era / 1_460).saturating_sub(in_era / 146_096) / 365;
    let before = year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let in_year = in_era.saturating_sub(before);
    let month_from_march = in_year.saturating_mul(5).saturating_add(2) / 153;
    let before_month = month_from_march.saturating_mul(153).saturating_add(2) / 5;
    let day = in_year.saturating_sub(before_month).saturating_add(1);
    let month =
        if month_from_march < 10 { month_from_march.saturating_add(3) } else { month_from_march.saturating_sub(9) };
    let year = year_of_era.saturating_add(era.saturating_mul(400)).saturating_add(u64::from(month <= 2));
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", year, month, day, hour, minute, second)
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds * 1000 + 999), text);
        }
        utc(u64::MAX);
    }
}
