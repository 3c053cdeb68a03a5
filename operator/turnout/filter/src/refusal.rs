//! A provider's error body → its message, fit to be shown: short, one line, without our credential. Pure.

use crate::json::{Kind, Lexer, Sink, Word};
use crate::text::{shortened, unescape};

/// Characters of a provider's message that are kept.
pub const MESSAGE: usize = 300;

#[derive(Default)]
struct Finder {
    error: bool,
    message: bool,
    found: Option<String>,
}

impl Sink for Finder {
    fn key(&mut self, depth: usize, key: Word) {
        if depth == 1 {
            self.error = key.raw == b"error";
        }
        self.message = matches!(key.raw, b"message" | b"detail") && depth <= 3 || (depth == 1 && self.error);
    }
    fn open(&mut self, _: usize, _: Kind, _: u64) {
        self.message = false;
    }
    fn close(&mut self, _: usize, _: Kind, _: bool) {}
    fn scalar(&mut self, _: usize, kind: Kind, word: Word) {
        if std::mem::take(&mut self.message) && kind == Kind::Text && self.found.is_none() {
            self.found = unescape(word.raw).or_else(|| Some(String::from_utf8_lossy(word.raw).into_owned()));
        }
    }
}

/// The message of an error body; its beginning if it has none. `credential`: the header value that we sent.
pub fn message(body: &[u8], credential: &str) -> String {
    let (mut lexer, mut finder) = (Lexer::default(), Finder::default());
    lexer.feed(body, &mut finder);
    let text = finder.found.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let secret = credential.strip_prefix("Bearer ").unwrap_or(credential);
    let safe = if secret.is_empty() { text } else { text.replace(secret, "[redacted]") };
    let line: String = safe.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shortened(line.trim(), MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_found_in_every_common_form() {
        for body in [
            r#"{"error":{"type":"x","message":"no \"such\" key"}}"#,
            r#"[{"error":{"code":401,"message":"no \"such\" key"}}]"#,
            r#"{"error":"no \"such\" key"}"#,
            r#"{"message":"no \"such\" key"}"#,
            r#"{"detail":"no \"such\" key"}"#,
            "no \"such\" key\n",
        ] {
            assert_eq!(message(body.as_bytes(), ""), "no \"such\" key", "{}", body);
        }
    }

    #[test]
    fn our_credential_is_never_shown() {
        let body = br#"{"error":{"message":"Incorrect API key provided: sk-secret-1."}}"#;
        assert_eq!(message(body, "Bearer sk-secret-1"), "Incorrect API key provided: [redacted].");
    }

    #[test]
    fn a_message_is_short_and_one_line() {
        let text = message("ü\n\t".repeat(500).as_bytes(), "");
        assert!(text.chars().count() <= MESSAGE && !text.contains(|c: char| c.is_control()));
    }
}
