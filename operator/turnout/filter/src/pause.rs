//! How long a provider asks not to be asked: Retry-After (RFC 9110, 10.2.3), OpenAI's retry-after-ms and
//! x-ratelimit-reset-*, Anthropic's anthropic-ratelimit-*-reset. Pure.

use crate::headers::{text, Headers};
use crate::text::number;

/// Milliseconds that a provider can keep a lane shut with one answer, at most: it may be wrong, or its clock.
pub const PAUSE_MOST_MS: u64 = 300_000;

/// Numbers above this are a time (Unix seconds), not a length of time.
const UNIX_SECONDS: u64 = 1_000_000_000;

/// Milliseconds from `now` (Unix ms) for which a 429 or 503 asks for peace, at most `PAUSE_MOST_MS`; None if it does not.
pub fn pause_ms(headers: &Headers, now: u64) -> Option<u64> {
    let asked = retry_after_ms(headers, now).or_else(|| reset_ms(headers, now));
    asked.map(|ms| ms.min(PAUSE_MOST_MS))
}

fn retry_after_ms(headers: &Headers, now: u64) -> Option<u64> {
    if let Ok(ms) = headers.get("retry-after-ms").parse::<u64>() {
        return Some(ms);
    }
    let value = headers.get("retry-after");
    seconds_ms(value).or_else(|| http_date_ms(value).map(|at| at.saturating_sub(now)))
}

/// The latest reset of those budgets that are used up (or do not say what is left).
fn reset_ms(headers: &Headers, now: u64) -> Option<u64> {
    headers.pairs().filter_map(|(name, value)| budget_reset_ms(headers, text(name), text(value), now)).max()
}

fn budget_reset_ms(headers: &Headers, name: &str, value: &str, now: u64) -> Option<u64> {
    let left = if name.starts_with("x-ratelimit-reset") {
        headers.get(&name.replacen("reset", "remaining", 1))
    } else if name.starts_with("anthropic-ratelimit-") && name.ends_with("-reset") {
        headers.get(&[name.strip_suffix("reset")?, "remaining"].concat())
    } else {
        return None;
    };
    if !matches!(left, "" | "0") {
        return None;
    }
    let until = |at: u64| at.saturating_sub(now);
    match value.parse::<u64>() {
        Ok(at) if at > UNIX_SECONDS.saturating_mul(1000) => Some(until(at)),
        Ok(at) if at > UNIX_SECONDS => Some(until(at.saturating_mul(1000))),
        _ => seconds_ms(value).or_else(|| length_ms(value)).or_else(|| rfc3339_ms(value).map(until)),
    }
}

/// "2", "0.25": seconds as milliseconds, rounded up.
fn seconds_ms(value: &str) -> Option<u64> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if whole.is_empty() || !value.bytes().all(|c| c.is_ascii_digit() || c == b'.') {
        return None;
    }
    let mut ms = number(whole.as_bytes()).saturating_mul(1000);
    for (digit, unit) in fraction.bytes().zip([100, 10, 1]) {
        ms = ms.saturating_add(u64::from(digit.wrapping_sub(b'0')).saturating_mul(unit));
    }
    let rest = fraction.bytes().skip(3).any(|c| c != b'0');
    Some(ms.saturating_add(u64::from(rest)))
}

/// Go's lengths of time, as OpenAI writes them: "1s", "6m0s", "250ms", "1m30.5s", "1h2m3s".
fn length_ms(value: &str) -> Option<u64> {
    let mut rest = value;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let end = rest.bytes().position(|c| !c.is_ascii_digit() && c != b'.')?;
        let (amount, tail) = (rest.get(..end)?, rest.get(end..)?);
        let end = tail.bytes().position(|c| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = (tail.get(..end)?, tail.get(end..)?);
        let thousandths = seconds_ms(amount)?;
        let ms = match unit {
            "ms" => thousandths.saturating_add(999) / 1000,
            "s" => thousandths,
            "m" => thousandths.saturating_mul(60),
            "h" => thousandths.saturating_mul(3600),
            "d" => thousandths.saturating_mul(86_400),
            _ => return None,
        };
        total = total.saturating_add(ms);
        rest = tail;
    }
    Some(total).filter(|_| !value.is_empty())
}

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7: the one form that may be sent) → Unix ms.
fn http_date_ms(value: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = value.split_once(", ")?.1.split(' ');
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().zip(1..).find(|(name, _)| **name == month)?.1;
    let time = clock_ms(words.next()?)?;
    (words.next() == Some("GMT")).then_some(())?;
    unix_ms(year.parse().ok()?, month, day.parse().ok()?, time)
}

/// "2026-11-22T20:38:06Z", with or without a fraction of a second (RFC 3339, in UTC only) → Unix ms.
fn rfc3339_ms(value: &str) -> Option<u64> {
    let (date, time) = value.strip_suffix('Z')?.split_once('T')?;
    let mut words = date.split('-').map(str::parse::<u64>);
    let (year, month, day) = (words.next()?.ok()?, words.next()?.ok()?, words.next()?.ok()?);
    unix_ms(year, month, day, clock_ms(time)?)
}

/// "20:38:06" or "20:38:06.5" → milliseconds of the day.
fn clock_ms(time: &str) -> Option<u64> {
    let mut words = time.splitn(3, ':');
    let (hours, minutes) = (words.next()?.parse::<u64>().ok()?, words.next()?.parse::<u64>().ok()?);
    let seconds = seconds_ms(words.next()?)?;
    (hours < 24 && minutes < 60 && seconds < 61_000).then_some(())?;
    Some(hours.saturating_mul(3_600_000).saturating_add(minutes.saturating_mul(60_000)).saturating_add(seconds))
}

/// Unix ms of a time on a day since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil).
fn unix_ms(year: u64, month: u64, day: u64, time: u64) -> Option<u64> {
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month.saturating_sub(3) } else { month.saturating_add(9) };
    let of_year = (shifted.saturating_mul(153).saturating_add(2) / 5).saturating_add(day).saturating_sub(1);
    let leaps = (of_era / 4).saturating_sub(of_era / 100);
    let days = era.saturating_mul(146_097).saturating_add(of_era.saturating_mul(365)).saturating_add(leaps);
    let days = days.saturating_add(of_year).saturating_sub(719_468);
    Some(days.saturating_mul(86_400_000).saturating_add(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_792_568_886_000; // 2026-10-21T07:48:06Z

    fn asked(pairs: &[(&str, &str)]) -> Option<u64> {
        pause_ms(&Headers::new(Headers::serialise(pairs)), NOW)
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        for (name, value, want) in [
            ("retry-after", "2", Some(2_000)),
            ("retry-after", "0", Some(0)),
            ("retry-after", "0.2505", Some(251)),
            ("retry-after-ms", "1001", Some(1_001)),
            ("retry-after", "Wed, 21 Oct 2026 07:48:16 GMT", Some(10_000)),
            ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT", Some(0)),
            ("retry-after", "Thu, 22 Oct 2026 07:28:00 GMT", Some(PAUSE_MOST_MS)),
            ("retry-after", "Wed, 21 Oct 2026 07:48:16 CET", None),
            ("retry-after", "99999999999999999999", Some(PAUSE_MOST_MS)),
            ("retry-after", "-1", None),
            ("retry-after", "soon", None),
            ("retry-after", "", None),
        ] {
            assert_eq!(asked(&[(name, value)]), want, "{}: {}", name, value);
        }
    }

    #[test]
    fn a_reset_counts_if_its_budget_is_used_up() {
        let left = |n| ("x-ratelimit-remaining-tokens", n);
        assert_eq!(asked(&[left("0"), ("x-ratelimit-reset-tokens", "6m0s")]), Some(PAUSE_MOST_MS));
        assert_eq!(asked(&[left("0"), ("x-ratelimit-reset-tokens", "1m30.5s")]), Some(90_500));
        assert_eq!(asked(&[left("17"), ("x-ratelimit-reset-tokens", "1s")]), None);
        let requests = [("x-ratelimit-reset-requests", "250ms"), ("x-ratelimit-reset-tokens", "1s"), left("9")];
        assert_eq!(asked(&requests), Some(250), "the other one has some left");
        assert_eq!(asked(&[("x-ratelimit-reset", "1792568890")]), Some(4_000));
        assert_eq!(asked(&[("x-ratelimit-reset", "1792568890500")]), Some(4_500));
        let anthropic = ("anthropic-ratelimit-requests-reset", "2026-10-21T07:48:09Z");
        assert_eq!(asked(&[anthropic, ("anthropic-ratelimit-requests-remaining", "0")]), Some(3_000));
        assert_eq!(asked(&[anthropic, ("retry-after", "1")]), Some(1_000), "Retry-After says it best");
        for nonsense in ["", "s", "1x", "1s2", "..", "1.2.3s", "2026-13-01T00:00:00Z"] {
            let _ = asked(&[("x-ratelimit-reset-tokens", nonsense)]);
        }
    }

    #[test]
    fn dates_are_days_since_1970() {
        assert_eq!(http_date_ms("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(rfc3339_ms("2000-02-29T00:00:00.5Z"), Some(951_782_400_500));
        assert_eq!(rfc3339_ms("1970-01-01T00:00:00Z"), Some(0));
    }
}
