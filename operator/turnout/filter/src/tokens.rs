//! Text → the most tokens that it may be, by the kinds of its characters. Pure, fed piece by piece.
//!
//! No tokenizer: a weight for each byte, by its kind and the one before. The weights are the smallest round ones that are
//! a bound for what tests/bench/bench_tokens.py measures, with six vocabularies (OpenAI's cl100k and o200k, DeepSeek's,
//! Claude's, Mistral's two): prose in 17 languages, code, JSON, tables, and noise such as base64, UUIDs and digits, which
//! some of them read one by one. English comes out 3 times too high, code twice. Not bounded: Han and Hangul drawn at
//! random, which no language is; prose in them is 1.6 times too high.

/// Weights are sixteenths of a token.
const TOKEN: u64 = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lower,
    Upper,
    Space,
    /// Digits, signs, control characters: each may be a token.
    Sign,
    /// Bytes of a character that is not ASCII; each weighs what the first does.
    Wide(u64),
}

/// Counts.
pub struct Tokens {
    before: Kind,
    sum: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens { before: Kind::Sign, sum: 0 }
    }
}

impl Tokens {
    /// Reads the next piece of a text.
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let (kind, weight) = weigh(*byte, self.before);
            self.before = kind;
            self.sum = self.sum.saturating_add(weight);
        }
    }

    /// The most tokens of the text so far, and back to none.
    pub fn take(&mut self) -> u64 {
        let sum = std::mem::take(self).sum;
        sum.saturating_add(TOKEN - 1) / TOKEN
    }
}

fn weigh(byte: u8, before: Kind) -> (Kind, u64) {
    match (byte, before) {
        // A word begins with a token, or with the space before it; then rare letters come less than two to a token.
        (b'a'..=b'z', Kind::Lower) => (Kind::Lower, 10),
        (b'a'..=b'z', Kind::Upper) => (Kind::Lower, 12),
        (b'A'..=b'Z', Kind::Upper) => (Kind::Upper, 12),
        (b'a'..=b'z', Kind::Space) => (Kind::Lower, 0),
        (b'A'..=b'Z', Kind::Space) => (Kind::Upper, 0),
        (b'a'..=b'z', _) => (Kind::Lower, TOKEN),
        (b'A'..=b'Z', _) => (Kind::Upper, TOKEN),
        (b' ', Kind::Space) => (Kind::Space, 2),
        (b' ', _) => (Kind::Space, TOKEN),
        (0..=0x7f, _) => (Kind::Sign, TOKEN),
        (0x80..=0xbf, Kind::Wide(weight)) => (before, weight),
        // Latin with marks, Greek, Cyrillic, Hebrew, Arabic; Indic scripts and Thai
        (0xc2..=0xe0, _) => (Kind::Wide(12), 12),
        // Kana, Han, Hangul
        (0xe3..=0xed, _) => (Kind::Wide(11), 11),
        _ => (Kind::Wide(TOKEN), TOKEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> u64 {
        let mut tokens = Tokens::default();
        tokens.feed(text.as_bytes());
        tokens.take()
    }

    #[test]
    fn noise_is_nearly_a_token_a_byte_and_words_are_not() {
        for (text, want) in [
            ("", 0),
            ("0123456789", 10),
            ("3fa85f64-5717-4562", 18),
            ("aGVsbG8gd29ybGQh", 14),
            ("dignity and rights", 12),
            ("getUserName", 9),
            ("a b c d", 4),
            ("          ", 3),
            ("\n\t\n\t", 4),
            ("人人生而自由", 13),
            ("Würde", 5),
            ("\u{1F600}", 4),
        ] {
            assert_eq!(tokens(text), want, "{}", text);
        }
    }

    #[test]
    fn pieces_make_no_difference_and_a_take_begins_anew() {
        let text = "Alle Menschen sind frei und gleich an Würde 123 人人";
        let mut piecewise = Tokens::default();
        text.as_bytes().chunks(1).for_each(|piece| piecewise.feed(piece));
        assert_eq!((piecewise.take(), piecewise.take()), (tokens(text), 0));
    }

    #[test]
    fn it_is_never_more_than_a_token_a_byte() {
        for text in ["zz zz", "ZZzZz", "\u{7ff}\u{800}\u{ffff}", "  a  B  1"] {
            assert!(tokens(text) <= text.len() as u64, "{}", text);
        }
    }
}
