//! Coverage-guided fuzzing of everything that reads bytes from outside: libFuzzer calls this with what it makes up.
//!
//! The first byte chooses the reader, the second where the input is cut. Checked is more than "no panic": a reader says
//! the same however its input is cut, a rewritten body is the JSON that it was, with another name, and a stream without
//! its usage event is the stream that it was.
#![no_main]

use turnout_filter::body::{Body, Refusal, Scanner};
use turnout_filter::circuit::Circuit;
use turnout_filter::headers::Headers;
use turnout_filter::judge::{Fault, Judge, Shape, Verdict};
use turnout_filter::sse::{Event, Stream};
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
            1 => {
                judged(rest, cut, || Judge::new(Shape::Stream));
                strained(rest, cut);
            }
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
    let asking = again.ask_usage;
    let kept = |body: &Body| (body.stream, body.most_tokens, body.need.features, body.ask_usage.is_some());
    assert_eq!((again.model.as_str(), again.span), ("an\"other", (found.span.0, found.span.0 + 9)));
    assert_eq!(kept(&again), kept(&found), "the name's length is nothing to them");
    if let Some(change) = asking {
        let asked =
            [&rewritten[..change.from as usize], change.text.as_bytes(), &rewritten[change.to as usize..]].concat();
        let asked = scan(&[&asked]).expect("a body that asks for usage is valid");
        assert_eq!((asked.model, asked.stream, asked.ask_usage), (again.model, again.stream, None), "it asks");
    }
}

/// Bytes of the first event, its empty line among them.
fn event_length(bytes: &[u8]) -> usize {
    let mut line = 0;
    while let Some(end) = bytes[line..].iter().position(|c| matches!(c, b'\n' | b'\r')).map(|n| line + n) {
        let next = end + if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
        if end == line {
            return next;
        }
        line = next;
    }
    bytes.len()
}

/// The stream without its usage event, by a plain reading, event by event.
fn without_usage(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut rest, mut finished) = (Vec::new(), bytes, false);
    while !rest.is_empty() {
        let (event, tail) = rest.split_at(event_length(rest));
        let (mut stream, mut seen) = (Stream::default(), Vec::new());
        stream.feed(&[event, b"\n\n"].concat(), |e| seen.push(e));
        if !(finished && matches!(seen.as_slice(), [Event::Json(facts, _)] if facts.only_usage)) {
            out.extend_from_slice(event);
        }
        finished |= seen.iter().any(|e| matches!(e, Event::Json(facts, _) if facts.finish));
        rest = tail;
    }
    out
}

/// However a stream is cut, what goes on is the stream without its usage event, and before a finish all of it at once.
fn strained(bytes: &[u8], cut: usize) {
    let expected = without_usage(bytes);
    let (a, b) = bytes.split_at(cut);
    for pieces in [vec![bytes], vec![a, b], bytes.chunks(1).collect(), bytes.chunks(7).collect()] {
        let mut judge = Judge::new(Shape::Stream);
        judge.take_usage_out();
        let (mut out, mut fed) = (Vec::new(), 0);
        for piece in pieces {
            judge.feed(piece);
            fed += piece.len();
            out.extend(judge.pass(piece).unwrap_or_else(|| piece.to_vec()));
            assert!(judge.strains() || out.len() == fed, "held before a finish");
        }
        judge.finish();
        out.extend(judge.pass(b"").unwrap_or_default());
        assert_eq!(
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&expected),
            "of {:?}",
            String::from_utf8_lossy(bytes)
        );
    }
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
    for text in [text.to_string(), format!("turnout\t7\n{}", text)] {
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
    assert_eq!(
        text::unescape(quoted[1..quoted.len() - 1].as_bytes()).as_deref(),
        Some(&*said),
        "quoting loses nothing"
    );
}
