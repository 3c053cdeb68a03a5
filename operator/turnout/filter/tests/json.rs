//! The lexer: what it tells, what it refuses, and that cuts make no difference.

use turnout_filter::json::{Kind, Lexer, Sink, Word, DEEPEST, KEPT};

#[derive(Default)]
struct Log(Vec<String>);
impl Sink for Log {
    fn key(&mut self, depth: usize, key: Word) {
        self.0.push(format!("{} key {}", depth, String::from_utf8_lossy(key.raw)));
    }
    fn open(&mut self, depth: usize, kind: Kind, _: u64) {
        self.0.push(format!("{} open {:?}", depth, kind));
    }
    fn close(&mut self, depth: usize, kind: Kind, filled: bool) {
        self.0.push(format!("{} close {:?} {}", depth, kind, filled));
    }
    fn scalar(&mut self, depth: usize, kind: Kind, word: Word) {
        self.0.push(format!("{} {:?} {} {:?}", depth, kind, String::from_utf8_lossy(word.raw), word.span));
    }
}

fn read(pieces: &[&[u8]]) -> (bool, Vec<String>) {
    let (mut lexer, mut log) = (Lexer::default(), Log::default());
    pieces.iter().for_each(|p| lexer.feed(p, &mut log));
    (lexer.finish(&mut log), log.0)
}

#[test]
fn a_document_is_told_in_order_with_its_places() {
    let (whole, log) = read(&[br#" {"a":[1,"x\"y",{}],"b":null}"#]);
    assert!(whole);
    let want = [
        "0 open Object",
        "1 key a",
        "1 open Array",
        "2 Number 1 (7, 8)",
        "2 Text x\\\"y (10, 14)",
        "2 open Object",
        "2 close Object false",
        "1 close Array true",
        "1 key b",
        "1 Null null (24, 28)",
        "0 close Object true",
    ];
    assert_eq!(log, want);
}

#[test]
fn how_the_input_is_cut_makes_no_difference() {
    let text = br#"{"model":"a\u0062c","n":-1.5e+3,"deep":[[[true,false,null]]],"text":"0123456789 abcdefgh \\"} "#;
    let whole = read(&[text]);
    assert!(whole.0);
    for cut in 0..=text.len() {
        let (a, b) = text.split_at(cut);
        assert_eq!(read(&[a, b]), whole, "cut at {}", cut);
    }
    let bytes: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(read(&bytes), whole);
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        "{",
        "}",
        "{]",
        "[}",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "nul",
        "True",
        "[1 2]",
        "{} {}",
        "\"a",
        "\"a\\\"",
        "[\"a\" \"b\"]",
        "{\"a\" 1}",
        "{,}",
        "\u{feff}{}",
    ] {
        assert!(!read(&[text.as_bytes()]).0, "{}", text);
    }
    for text in ["{}", "[]", " 1 ", "-0.1e-9", "\"\"", "[[],{}]", "null", "{\"\":\"\"}"] {
        assert!(read(&[text.as_bytes()]).0, "{}", text);
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |n: usize| [b"[".repeat(n), b"]".repeat(n)].concat();
    assert!(read(&[&nested(DEEPEST)]).0);
    assert!(!read(&[&nested(DEEPEST + 1)]).0);
    assert!(!read(&[&b"[".repeat(1_000_000)]).0);
}

#[test]
fn long_words_are_cut_and_say_so() {
    struct Last(usize, bool);
    impl Sink for Last {
        fn key(&mut self, _: usize, _: Word) {}
        fn open(&mut self, _: usize, _: Kind, _: u64) {}
        fn close(&mut self, _: usize, _: Kind, _: bool) {}
        fn scalar(&mut self, _: usize, _: Kind, word: Word) {
            *self = Last(word.raw.len(), word.whole);
        }
    }
    for (n, whole) in [(KEPT, true), (KEPT + 1, false), (3 * KEPT, false)] {
        let (mut lexer, mut last) = (Lexer::default(), Last(0, true));
        lexer.feed(format!("\"{}\"", "x".repeat(n)).as_bytes(), &mut last);
        assert_eq!((last.0, last.1), (KEPT, whole));
    }
}
