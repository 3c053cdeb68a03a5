//! Coverage-guided fuzzing of everything that reads bytes from outside: libFuzzer calls this with what it makes up.
//!
//! The first byte chooses the reader, the second where the input is cut. Checked is more than "no panic": a reader says
//! the same however its input is cut, and a rewritten body is the JSON that it was, with another name.
#![no_main]

use turnout_filter::body::{Body, Refusal, Scanner};
use turnout_filter::circuit::Circuit;
use turnout_filter::headers::Headers;
use turnout_filter::judge::{Fault, Judge, Shape, Verdict};
use turnout_filter::table::Table;
use turnout_filter::{refusal, text};

/// libFuzzer's entry.
#[no_mangle]
pub extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
    if data.is_null() {
        return 0;
    }
    // SAFETY: libFuzzer gives `size` readable bytes.
    let input = unsafe { std::slice::from_raw_parts(data, size) };
    if let [kind, cut, rest @ ..] = input {
        let cut = usize::from(*cut) * rest.len().max(1) / 256;
        match kind % 6 {
            0 => body(rest, cut),
            1 => judged(rest, cut, || Judge::new(Shape::Stream)),
            2 => judged(rest, cut, || Judge::new(Shape::Document { needs_choices: true })),
            3 => table(rest),
            4 => refused(rest),
            _ => small(rest),
        }
    }
    0
}

fn scan(pieces: &[&[u8]]) -> Result<Body, Refusal> {
    let mut scanner = Scanner::default();
    pieces.iter().for_each(|p| scanner.feed(p));
    scanner.finish()
}

fn body(text: &[u8], cut: usize) {
    let whole = scan(&[text]);
    let (a, b) = text.split_at(cut);
    assert_eq!(scan(&[a, b]), whole, "cut in two");
    assert_eq!(scan(&text.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    let found = match whole {
        Ok(found) => found,
        Err(_) => return,
    };
    let (from, to) = (found.span.0 as usize, found.span.1 as usize);
    assert_eq!((text[from - 1], text[to]), (b'"', b'"'), "the name stands between quotes");
    assert_eq!(text::unescape(&text[from..to]).as_deref(), Some(found.model.as_str()));
    let rewritten = [&text[..from], br#"an\"other"#, &text[to..]].concat();
    let again = scan(&[&rewritten]).expect("a rewritten body is valid");
    assert_eq!(again, Body { model: "an\"other".into(), span: (found.span.0, found.span.0 + 9), ..found });
}

/// The verdict when it falls and at the end, what goes wrong under way, and the usage: the same for every cut.
fn judged(bytes: &[u8], cut: usize, new: impl Fn() -> Judge) {
    let end = |pieces: &[&[u8]]| {
        let mut judge = new();
        let mut fallen = Verdict::Wait;
        for piece in pieces {
            judge.feed(piece);
            let verdict = judge.verdict(false);
            assert!(fallen == Verdict::Wait || verdict == fallen, "a verdict stands: {:?} {:?}", fallen, verdict);
            fallen = verdict;
        }
        judge.finish();
        let last = judge.verdict(true);
        assert!(last != Verdict::Wait && (fallen == Verdict::Wait || last == fallen), "and it is the last");
        assert!(judge.whole_verdict(true) != Verdict::Wait);
        if let Verdict::Bad(Fault::ErrorEvent(_, (from, to))) = last {
            assert!(from <= to && to as usize <= bytes.len(), "an error's place is inside the stream");
        }
        (fallen, last, judge.whole_verdict(true), judge.fault_under_way(true), judge.usage())
    };
    let whole = end(&[bytes]);
    let (a, b) = bytes.split_at(cut);
    assert_eq!(end(&[a, b]), whole, "cut in two");
    assert_eq!(end(&bytes.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
}

fn table(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for text in [text.to_string(), format!("turnout\t2\n{}", text)] {
        if let Ok(table) = Table::parse(&text) {
            for model in table.groups.iter().flat_map(|g| &g.models) {
                assert!(table.lanes.get(model.lane).is_some(), "every model has its lane");
            }
            for lane in &table.lanes {
                let json = format!("{{\"model\":\"{}\"}}", lane.upstream);
                assert!(scan(&[json.as_bytes()]).is_ok(), "a lane's name keeps a body valid: {}", json);
            }
        }
    }
}

fn refused(bytes: &[u8]) {
    let message = refusal::message(bytes, "Bearer secret");
    assert!(message.chars().count() <= refusal::MESSAGE && !message.contains("secret"));
    assert!(!message.chars().any(char::is_control));
}

fn small(bytes: &[u8]) {
    let circuit = Circuit::from_bytes(bytes);
    assert_eq!(Circuit::from_bytes(&circuit.to_bytes()), circuit);
    let _ = Headers::new(bytes.to_vec()).pairs().count();
    let said = String::from_utf8_lossy(bytes);
    let quoted = text::quoted(&said);
    assert_eq!(text::unescape(quoted[1..quoted.len() - 1].as_bytes()).as_deref(), Some(&*said), "quoting loses nothing");
}
