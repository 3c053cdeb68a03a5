//! Small pieces of text: numbers out of bytes, JSON strings in and out. Pure.

use std::fmt::Write;

/// The decimal digits that `text` begins with, as a number; saturates. "12.5" is 12, "x" is 0.
pub fn number(text: &[u8]) -> u64 {
    text.iter()
        .take_while(|c| c.is_ascii_digit())
        .fold(0, |n: u64, c| n.saturating_mul(10).saturating_add(u64::from(c.wrapping_sub(b'0'))))
}

/// A JSON number, rounded up, at most `most`: "12.5" is 13, "1e3" 1,000, "-1" 0. However it is spelt, it is not less.
pub fn at_least(text: &[u8], most: u64) -> u64 {
    if text.first() == Some(&b'-') {
        return 0;
    }
    let exponent = text.iter().position(|c| matches!(c, b'e' | b'E'));
    let (mantissa, power) = text.split_at(exponent.unwrap_or(text.len()));
    let (shrinks, power) = match power.get(1..).unwrap_or_default() {
        [b'-', rest @ ..] => (true, number(rest)),
        [b'+', rest @ ..] => (false, number(rest)),
        rest => (false, number(rest)),
    };
    let mut value = number(mantissa).min(most);
    if mantissa.contains(&b'.') {
        value = value.saturating_add(1); // whatever the fraction is, with an exponent it is less than this
    }
    if !shrinks {
        for _ in 0..power.min(20) {
            value = value.saturating_mul(10);
        }
    }
    value.min(most)
}

/// The text of a JSON string from what stands between its quotes; None if an escape or the UTF-8 is broken.
pub fn unescape(raw: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let (escape, tail) = rest.split_first()?;
        rest = tail;
        match escape {
            b'"' | b'\\' | b'/' => out.push(*escape),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (c, tail) = unicode(rest)?;
                rest = tail;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return None,
        }
    }
    String::from_utf8(out).ok()
}

/// The character of `XXXX`, or of `XXXX\uYYYY` where the first is a high surrogate, and what follows it.
fn unicode(text: &[u8]) -> Option<(char, &[u8])> {
    let (high, rest) = hex4(text)?;
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high).map(|c| (c, rest));
    }
    let (low, rest) = hex4(rest.strip_prefix(b"\\u")?)?;
    let low = low.checked_sub(0xdc00).filter(|l| *l < 0x400)?;
    let code = 0x10000_u32.saturating_add((high & 0x3ff) << 10).saturating_add(low);
    char::from_u32(code).map(|c| (c, rest))
}

fn hex4(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.get(..4)?;
    let mut value = 0_u32;
    for digit in digits {
        value = (value << 4) | char::from(*digit).to_digit(16)?;
    }
    Some((value, text.get(4..)?))
}

/// Appends `text` as it stands between the quotes of a JSON string.
pub fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

/// `text` as a JSON string, quotes included.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    escape_into(&mut out, text);
    out.push('"');
    out
}

/// At most `most` characters of `text`, so that no message grows without bound.
pub fn shortened(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_and_written() {
        assert_eq!(unescape(br#"a\"\\\/\n\u0041\ud83d\ude00"#).unwrap(), "a\"\\/\nA😀");
        assert_eq!(quoted("a\"\\\n\u{1}é"), "\"a\\\"\\\\\\n\\u0001é\"");
    }

    #[test]
    fn broken_escapes_are_none() {
        for broken in [&br"\x"[..], br"\u12", br"\ud800", br"\ud800\u0041", br"\udc00", b"\\", b"\xff"] {
            assert_eq!(unescape(broken), None, "{:?}", broken);
        }
    }

    #[test]
    fn no_spelling_of_a_number_makes_it_less() {
        for (text, least) in [
            ("1", 1_u64),
            ("1e9", 1_000_000_000),
            ("5.0e3", 5_000),
            ("4294967297", 4_294_967_297),
            ("12.5", 13),
            ("1E+2", 100),
            ("7e0", 7),
        ] {
            let found = at_least(text.as_bytes(), 1 << 40);
            assert!((least..=least.saturating_mul(2)).contains(&found), "{}: {}", text, found);
        }
        assert_eq!(at_least(b"1000000000000000000000000", 99), 99);
        assert_eq!(at_least(b"1e99999999999999999999999", 99), 99);
        assert_eq!((at_least(b"100e-2", 1000), at_least(b"-5", 1000), at_least(b"0", 1000)), (100, 0, 0));
    }

    #[test]
    fn numbers_saturate() {
        assert_eq!(number(b"12.5"), 12);
        assert_eq!(number(b"-1"), 0);
        assert_eq!(number(b"99999999999999999999999"), u64::MAX);
    }
}
