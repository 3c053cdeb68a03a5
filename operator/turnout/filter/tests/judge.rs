//! The judge on what providers really send: every documented form, cut at every byte, and what is no answer.

use turnout_filter::cost::Usage;
use turnout_filter::judge::{Fault, Judge, Shape, Verdict, KNOWN_EVENTS, UNKNOWN_EVENTS};

const DOCUMENT: fn() -> Shape = || Shape::Document { needs_choices: true };
const ANY_DOCUMENT: fn() -> Shape = || Shape::Document { needs_choices: false };
const STREAM: fn() -> Shape = || Shape::Stream;

/// Verdict, verdict for delivery Complete, and usage; asserted to be the same for every cut in two.
fn judged(shape: fn() -> Shape, text: &str) -> (Verdict, Verdict, Usage) {
    let run = |pieces: [&[u8]; 2]| {
        let mut judge = Judge::new(shape());
        pieces.iter().for_each(|p| judge.feed(p));
        judge.finish();
        (judge.verdict(true), judge.whole_verdict(true), judge.usage())
    };
    let whole = run([text.as_bytes(), b""]);
    for cut in 0..text.len() {
        let (a, b) = text.as_bytes().split_at(cut);
        assert_eq!(run([a, b]), whole, "cut at {} of {:?}", cut, text);
    }
    whole
}

fn events(data: &[&str]) -> String {
    data.iter().map(|d| format!("data: {}\n\n", d)).collect()
}

const ROLE: &str = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"hi"}}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

fn usage(input: u64, cached: u64, output: u64) -> Usage {
    Usage { input, cached, output }
}

#[test]
fn every_documented_stream_is_an_answer_from_its_first_content_on() {
    let openai = events(&[
        ROLE,
        TEXT,
        STOP,
        r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3}}}"#,
        "[DONE]",
    ]);
    let deepseek = format!(
        ": keep-alive\n\n{}",
        events(&[
            r#"{"choices":[{"delta":{"role":"assistant","content":null,"reasoning_content":""}}]}"#,
            r#"{"choices":[{"delta":{"content":null,"reasoning_content":"so"}}]}"#,
            TEXT,
            r#"{"choices":[{"delta":{"content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_cache_hit_tokens":3,"prompt_cache_miss_tokens":6}}"#,
            "[DONE]"
        ])
    );
    let gemini = events(&[
        r#"{"choices":[{"delta":{"content":"hi","role":"assistant"},"index":0}],"usage":{"completion_tokens":4,"prompt_tokens":9,"total_tokens":13}}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]);
    let anthropic = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[],\"usage\":{\"input_tokens\":6,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n\
        event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n\
        event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let responses = events(&[
        r#"{"type":"response.created","response":{"status":"in_progress","error":null,"output":[],"text":{"format":{"type":"text"}},"reasoning":{"effort":"low"}}}"#,
        r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#,
        r#"{"type":"response.output_text.delta","delta":"hi"}"#,
        r#"{"type":"response.completed","response":{"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":3},"output_tokens":4}}}"#,
    ]);
    for (text, told) in [
        (openai, usage(9, 3, 4)),
        (deepseek, usage(9, 3, 4)),
        (gemini, usage(9, 0, 4)),
        (anthropic.into(), usage(9, 3, 4)),
        (responses, usage(9, 3, 4)),
    ] {
        assert_eq!(judged(STREAM, &text), (Verdict::Answer, Verdict::Answer, told), "{}", text);
    }
}

#[test]
fn a_stream_waits_for_content_and_not_for_a_byte() {
    let mut judge = Judge::new(Shape::Stream);
    for piece in [": hi\n\n", "event: x\n", "data: ", ROLE, "\n\n", "data: {\"choices\":[{\"delta\":{\"content\":\"h"] {
        judge.feed(piece.as_bytes());
        assert_eq!(judge.verdict(false), Verdict::Wait, "{:?}", piece);
    }
    judge.feed(b"i\"}}]}\n");
    assert_eq!(
        (judge.verdict(false), judge.whole_verdict(false), judge.has_content()),
        (Verdict::Answer, Verdict::Wait, true)
    );
}

#[test]
fn the_settings_that_a_response_repeats_are_no_content() {
    let text = events(&[
        r#"{"type":"response.created","response":{"text":{"format":{"type":"text"}},"reasoning":{"effort":"low"},"instructions":"be brief","tools":[{"type":"x"}]}}"#,
    ]);
    assert_eq!(judged(STREAM, &text).0, Verdict::Bad(Fault::Truncated));
}

#[test]
fn tool_calls_refusals_and_other_ends_are_answers_of_their_kind() {
    for delta in [
        r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}"#,
        r#"{"refusal":"no"}"#,
        r#"{"reasoning":"hm"}"#,
        r#"{"audio":{"id":"x"}}"#,
        r#"{"content":[{"type":"text","text":"x"}]}"#,
    ] {
        assert_eq!(
            judged(STREAM, &events(&[&format!(r#"{{"choices":[{{"delta":{}}}]}}"#, delta), "[DONE]"])).0,
            Verdict::Answer,
            "{}",
            delta
        );
    }
    for end in ["length", "content_filter", "tool_calls"] {
        assert_eq!(
            judged(STREAM, &events(&[ROLE, &STOP.replace("stop", end), "[DONE]"])).0,
            Verdict::Answer,
            "{}",
            end
        );
    }
    assert_eq!(judged(STREAM, &events(&[r#"{"choices":[{"text":"x","index":0}]}"#, "[DONE]"])).0, Verdict::Answer);
}

#[test]
fn an_error_before_content_is_a_failed_attempt() {
    let cases = [
        (r#"{"error":{"message":"no","type":"server_error","code":null}}"#, 502),
        (r#"{"error":{"message":"no","code":429}}"#, 429),
        (r#"{"error":{"message":"no","code":"429"}}"#, 429),
        (r#"{"error":{"message":"no","code":"rate_limit_exceeded"}}"#, 429),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"no"}}"#, 503),
        (r#"[{"error":{"code":503,"message":"no","status":"UNAVAILABLE"}}]"#, 503),
        (
            r#"{"id":"x","error":{"code":502,"message":"no"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
            502,
        ),
        (r#"{"type":"response.failed","response":{"error":{"code":"server_error"}}}"#, 502),
        (r#"{"error":"no"}"#, 502),
    ];
    for (event, status) in cases {
        let text = events(&[ROLE, event, TEXT, "[DONE]"]);
        match judged(STREAM, &text).0 {
            Verdict::Bad(Fault::ErrorEvent(found, (from, to))) => {
                assert_eq!((found, &text[from as usize..to as usize]), (status, event));
            }
            other => panic!("{}: {:?}", event, other),
        }
    }
}

#[test]
fn a_stream_without_anything_is_empty_and_one_without_an_end_is_cut() {
    for text in ["".into(), ": hi\n\n".into(), events(&["[DONE]"]), events(&[ROLE, STOP, "[DONE]"]), events(&[STOP])] {
        assert_eq!(judged(STREAM, &text).0, Verdict::Bad(Fault::Empty), "{:?}", text);
    }
    assert_eq!(judged(STREAM, &events(&[ROLE])).0, Verdict::Bad(Fault::Truncated));
    assert_eq!(
        judged(STREAM, &events(&[ROLE, TEXT])),
        (Verdict::Answer, Verdict::Bad(Fault::Truncated), usage(0, 0, 0))
    );
    let error = judged(STREAM, &events(&[ROLE, TEXT, r#"{"error":{"code":500}}"#]));
    assert!(matches!(error, (Verdict::Answer, Verdict::Bad(Fault::ErrorEvent(500, _)), _)));
}

#[test]
fn a_stream_that_we_do_not_understand_is_let_go() {
    let alien = |n: u32| (0..n).map(|_| "data: what\n\n").collect::<String>();
    assert_eq!(judged(STREAM, &alien(UNKNOWN_EVENTS - 1)).0, Verdict::Bad(Fault::Empty));
    assert_eq!(judged(STREAM, &alien(UNKNOWN_EVENTS)).0, Verdict::Answer);
    let silent = |n: u32| events(&(0..n).map(|_| ROLE).collect::<Vec<_>>());
    let mut judge = Judge::new(Shape::Stream);
    judge.feed(silent(KNOWN_EVENTS - 1).as_bytes());
    assert_eq!(judge.verdict(false), Verdict::Wait);
    judge.feed(silent(1).as_bytes());
    assert_eq!(judge.verdict(false), Verdict::Answer);
}

#[test]
fn documents_are_answers_when_they_are_whole_and_say_something() {
    let chat = r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3}},"error":null}"#;
    assert_eq!(judged(DOCUMENT, chat), (Verdict::Answer, Verdict::Answer, usage(9, 3, 4)));
    for good in [
        r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"x"}]},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[{"message":{"content":null},"finish_reason":"length"}]}"#,
        r#"{"choices":[{"text":"x"}]}"#,
    ] {
        assert_eq!(judged(DOCUMENT, good).0, Verdict::Answer, "{}", good);
    }
    for good in [
        r#"{"object":"list","data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":9}}"#,
        r#"{"object":"response","error":null,"output":[{"type":"message"}],"status":"completed"}"#,
    ] {
        assert_eq!(judged(ANY_DOCUMENT, good).0, Verdict::Answer, "{}", good);
    }
}

#[test]
fn documents_that_are_no_answers_are_told_by_kind() {
    let cases = [
        ("", Fault::Malformed),
        ("<html>busy</html>", Fault::Malformed),
        (r#"{"choices":[{"message":{"content":"hi"#, Fault::Malformed),
        (r#"{"detail":"not here"}"#, Fault::Malformed),
        (r#"{"choices":[]}"#, Fault::Empty),
        (r#"{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#, Fault::Empty),
        (r#"{"choices":[{"message":{"role":"assistant","content":null},"finish_reason":"stop"}]}"#, Fault::Empty),
        (r#"{"error":{"message":"no","code":"insufficient_quota"}}"#, Fault::ErrorBody(429)),
        (r#"{"error":{"message":"no","code":500},"choices":[]}"#, Fault::ErrorBody(500)),
        (r#"[{"error":{"code":400,"status":"INVALID_ARGUMENT"}}]"#, Fault::ErrorBody(400)),
        (r#"{"error":"no such model"}"#, Fault::ErrorBody(502)),
    ];
    for (text, fault) in cases {
        assert_eq!(judged(DOCUMENT, text).0, Verdict::Bad(fault), "{}", text);
    }
    let failed = r#"{"object":"response","status":"failed","error":{"code":"server_error"},"output":[]}"#;
    assert_eq!(judged(ANY_DOCUMENT, failed).0, Verdict::Bad(Fault::ErrorBody(502)));
}
