//! What a stream cost: asked for on the client's behalf, and taken out again without touching another byte.

mod common;
use common::*;
use turnout_filter::entry::{proxy_on_delete, proxy_on_request_body};
use turnout_filter::host::{fake, Buffer, Map};
use turnout_filter::judge::{Judge, Shape};

const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"hi"}}],"usage":null}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#;
const STOP_AND_USAGE: &str =
    r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#;
const GROQ: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":9,"completion_tokens":4}}}"#;

/// Blocks as they are written, each with whether it is to be taken out, one line end for all.
fn written(blocks: &[(&str, bool)], end: &str) -> (String, String) {
    let spell = |block: &str| format!("{}\n\n", block).replace('\n', end);
    let whole = blocks.iter().map(|(b, _)| spell(b)).collect();
    let kept = blocks.iter().filter(|(_, out)| !out).map(|(b, _)| spell(b)).collect();
    (whole, kept)
}

/// What comes out piece by piece.
fn strained(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut judge = Judge::new(Shape::Stream);
    judge.take_usage_out();
    let mut out = Vec::new();
    for piece in pieces {
        judge.feed(piece);
        out.push(judge.pass(piece).unwrap_or_else(|| piece.to_vec()));
    }
    judge.finish();
    let rest = judge.pass(b"").unwrap_or_default();
    out.push([rest.as_slice(), judge.missing()].concat());
    out
}

fn streams() -> Vec<Vec<(String, bool)>> {
    let data = |json: &str| format!("data: {}", json);
    let (text, stop, usage, done) =
        ((data(TEXT), false), (data(STOP), false), data(USAGE), ("data: [DONE]".into(), false));
    vec![
        vec![text.clone(), stop.clone(), (usage.clone(), true), done.clone()],
        vec![text.clone(), stop.clone(), done.clone()],
        vec![text.clone(), (data(STOP_AND_USAGE), false), done.clone()],
        vec![text.clone(), (data(GROQ), false), done.clone()],
        vec![text.clone(), (data(GROQ), false), (usage.clone(), true), done.clone()],
        vec![
            (": hi".into(), false),
            text.clone(),
            stop.clone(),
            (": still here".into(), false),
            (format!(": a comment\nevent: x\nid: 7\n{}\nretry: 1", usage), true),
            (": bye".into(), false),
            done.clone(),
        ],
        // before a finish reason, beside an error, beside another choice: left alone
        vec![(usage.clone(), false), text.clone(), stop.clone(), done.clone()],
        vec![text.clone(), stop.clone(), (data(&USAGE.replace("[]", "[{}]")), false), done.clone()],
        vec![text.clone(), stop.clone(), (data(&USAGE.replace("[]", "{\"a\":1}")), false), done.clone()],
        vec![
            text.clone(),
            stop.clone(),
            (data(&USAGE.replace("{\"choices", "{\"error\":{\"code\":500},\"choices")), false),
        ],
        vec![text.clone(), stop.clone(), (format!("{}\ndata: [DONE]", usage), false)],
        vec![text.clone(), stop.clone(), (format!("{}\ndata: what", usage), false)],
        // one choice goes on after the other has finished
        vec![text.clone(), stop.clone(), text.clone(), stop.clone(), (usage.clone(), true), (usage, true), done],
        vec![text, stop, (data(&USAGE.replace(",\"usage", "\ndata: ,\"usage")), true)],
    ]
}

#[test]
fn however_it_is_cut_the_usage_event_goes_and_every_other_byte_stays() {
    for blocks in streams() {
        let blocks: Vec<(&str, bool)> = blocks.iter().map(|(text, out)| (text.as_str(), *out)).collect();
        for end in ["\n", "\r\n", "\r"] {
            let (whole, kept) = written(&blocks, end);
            let text = whole.as_bytes();
            assert_eq!(
                strained(&text.chunks(1).collect::<Vec<_>>()).concat(),
                kept.as_bytes(),
                "byte by byte: {:?}",
                whole
            );
            for cut in 0..=text.len() {
                let (a, b) = text.split_at(cut);
                let out = String::from_utf8(strained(&[a, b]).concat()).unwrap();
                assert_eq!(out, kept, "cut at {} of {:?}", cut, whole);
            }
        }
    }
}

#[test]
fn a_usage_event_that_is_the_streams_last_goes_with_or_without_its_empty_line() {
    for end in ["", "\n", "\n\n"] {
        let text = format!("data: {}\n\ndata: {}\n\ndata: {}{}", TEXT, STOP, USAGE, end);
        let kept = format!("data: {}\n\ndata: {}\n\n", TEXT, STOP);
        assert_eq!(String::from_utf8(strained(&[text.as_bytes()]).concat()).unwrap(), kept, "{:?}", end);
    }
}

#[test]
fn nothing_is_held_before_a_finish_reason_and_then_only_what_may_be_the_usage_event() {
    let before = format!("data: {}\n\ndata: {}\n", TEXT, STOP);
    let after = format!("\n: hi\n\ndata: {}\n\ndata: [DONE]\n\n", TEXT);
    let whole = before.clone() + &after;
    let (mut out, mut longest) = (0, 0);
    for (n, piece) in strained(&whole.as_bytes().chunks(1).collect::<Vec<_>>()).iter().enumerate() {
        out += piece.len();
        let held = (n + 1).min(whole.len()) - out;
        assert!(n >= before.len() || held == 0, "{} held at {}", held, n);
        longest = longest.max(held);
    }
    let event = format!("data: {}", TEXT);
    assert_eq!(longest, event.len(), "not longer than it takes to know that it is another event");
}

fn stream(model: &str) -> String {
    body(model, true)
}

fn asked() -> String {
    router();
    let text = stream("live");
    assert_eq!(chat(10, "all", &text), CONTINUE);
    assert!(attempt(11, &text).is_some());
    sent()
}

fn finish_stream(attempt: u32) {
    proxy_on_delete(attempt);
    finish(10);
}

#[test]
fn a_stream_is_asked_for_its_usage_and_nothing_else_changes() {
    let sent = asked();
    assert_eq!(sent, r#"{"messages":[],"model":"up-a","stream_options":{"include_usage":true},"stream":true}"#);
    assert_eq!(header(Map::Request, "content-length"), Some(sent.len().to_string()));
    for (members, want) in [
        (r#""model":"live","stream":true,"stream_options":{"include_usage":true}"#, true),
        (r#""model":"live","stream":true,"stream_options":{"include_usage":false}"#, true),
        (r#""stream_options":{"include_usage":false},"stream":true,"model":"live""#, true),
        (r#""stream_options":null,"stream":true,"model":"live""#, true),
        (r#""stream":true,"stream_options":[],"model":"live""#, false),
    ] {
        let text = format!("{{{}}}", members);
        chat(20, "all", &text);
        attempt(21, &text).unwrap();
        let sent = common::sent();
        assert_eq!(header(Map::Request, "content-length"), Some(sent.len().to_string()), "{}", sent);
        assert_eq!(sent.matches("stream_options").count(), 1, "{}", sent);
        assert!(sent.contains(r#""model":"up-a""#), "{}", sent);
        assert_eq!(sent.contains(r#""include_usage":true"#), want, "{}", sent);
        proxy_on_delete(20);
        proxy_on_delete(21);
    }
}

#[test]
fn only_streams_of_chat_and_completions_are_asked() {
    router();
    for (path, stream, want) in [
        ("/v1/chat/completions", true, true),
        ("/v1/completions", true, true),
        ("/v1/chat/completions", false, false),
        ("/v1/responses", true, false),
        ("/v1/embeddings", true, false),
    ] {
        arrive(10, "all", "POST", path);
        let text = body("live", stream);
        fake(|f| f.buffers.insert(Buffer::Request, text.clone().into_bytes()));
        assert_eq!(proxy_on_request_body(10, text.len(), 1), CONTINUE);
        assert!(attempt(11, &text).is_some());
        assert_eq!(sent().contains("stream_options"), want, "{} {}", path, stream);
        proxy_on_delete(11);
        proxy_on_delete(10);
    }
}

#[test]
fn the_client_that_did_not_ask_sees_no_usage_and_it_is_counted_all_the_same() {
    asked();
    answer(11, "200", SSE);
    held(11, TOKEN, false);
    assert_eq!(response(), TOKEN);
    let tail = format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", STOP, USAGE);
    let (a, b) = tail.split_at(tail.len() - 40);
    let out = passing(11, a, false) + &passing(11, b, false) + &passing(11, "", true);
    assert_eq!(out, format!("data: {}\n\ndata: [DONE]\n\n", STOP));
    finish_stream(11);
    assert_eq!(counted(&["turnout_tokens_out;group=live;model=a;key=all"]), 4);
    assert_eq!(counted(&["turnout_cost_nanousd;"]), 17_000);
}

#[test]
fn a_whole_short_stream_in_one_piece_and_a_held_one_lose_only_the_usage_event() {
    let all = format!("{}data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", TOKEN, STOP, USAGE);
    let kept = format!("{}data: {}\n\ndata: [DONE]\n\n", TOKEN, STOP);
    for (model, end) in [("live", false), ("live", true), ("whole", true)] {
        router();
        let text = stream(model);
        chat(10, "all", &text);
        attempt(11, &text).unwrap();
        answer(11, "200", SSE);
        assert_eq!((held(11, &all, end), response()), (CONTINUE, kept.clone()), "{} {}", model, end);
        finish_stream(11);
    }
}

#[test]
fn the_client_that_asked_gets_every_byte() {
    router();
    let text = r#"{"model":"live","stream":true,"stream_options":{"include_usage":true}}"#;
    chat(10, "all", text);
    attempt(11, text).unwrap();
    answer(11, "200", SSE);
    held(11, TOKEN, false);
    let tail = format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", STOP, USAGE);
    assert_eq!(passing(11, &tail, true), tail);
    finish_stream(11);
    assert_eq!(counted(&["turnout_tokens_out;"]), 4);
}

#[test]
fn a_client_that_leaves_at_the_end_mark_has_had_its_answer_and_it_is_counted() {
    let tail = format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", STOP, USAGE);
    for (first, second) in [(TOKEN.to_string(), tail.clone()), (format!("{}{}", TOKEN, tail), String::new())] {
        let before = counted(&["turnout_tokens_out;"]);
        asked();
        answer(11, "200", SSE);
        held(11, &first, false);
        passing(11, &second, false);
        proxy_on_delete(10); // Envoy tells the front first
        proxy_on_delete(11);
        assert_eq!(counted(&["turnout_tokens_out;"]), before + 4);
    }
    assert_eq!((counted(&["result=ok"]), counted(&["result=hung_up"])), (2, 0));
}

const UNKNOWN: &str = r#"{"error":{"message":"json: unknown field \"stream_options\""}}"#;

#[test]
fn a_provider_that_refuses_to_be_asked_is_asked_again_without_and_it_counts_for_nothing() {
    for status in ["400", "422"] {
        fake(|f| f.shared.clear());
        asked();
        assert_eq!(header(Map::Request, "x-envoy-max-retries").as_deref(), Some("3"), "one more for each lane");
        assert_eq!(answer(11, status, JSON), PAUSE);
        assert_eq!(held(11, UNKNOWN, true), CONTINUE);
        assert_eq!(header(Map::Response, "x-turnout-retry").as_deref(), Some("1"));
        proxy_on_delete(11);
        let text = stream("live");
        assert_eq!(attempt(12, &text).as_deref(), Some("ca"), "the same lane");
        assert_eq!(sent(), text.replace("live", "up-a"));
        assert_eq!(header(Map::Request, "content-length"), Some(sent().len().to_string()));
        answer(12, "200", SSE);
        held(12, TOKEN, false);
        let tail = format!("data: {}\n\ndata: {}\n\n", STOP, USAGE);
        assert_eq!(passing(12, &tail, true), tail, "what it tells unasked is the provider's own");
        finish_stream(12);
        assert_eq!(header(Map::Response, "x-turnout-fallback"), None);
        assert_eq!(header(Map::Response, "x-turnout-attempts").as_deref(), Some("1"));
        assert!(lanes().contains(r#""lane":"la","circuit":"Closed","failures":0"#));
        assert!(!asked().contains("stream_options"), "it is remembered");
        proxy_on_delete(11);
        proxy_on_delete(10);
        let later_on = fake(|f| f.now) + 600_000;
        router();
        fake(|f| f.now = later_on);
        chat(10, "all", &text);
        attempt(11, &text).unwrap();
        assert!(sent().contains("stream_options"), "and not for ever");
        proxy_on_delete(11);
        proxy_on_delete(10);
    }
    assert_eq!(counted(&["turnout_attempts;", "result=ok"]), 2);
    assert_eq!(counted(&["turnout_attempts;", "result=client_error"]), 0);
    assert_eq!(counted(&["turnout_fallbacks;"]), 0);
}

#[test]
fn a_lane_asked_after_another_failed_is_done_over_without_a_second_fallback() {
    asked();
    answer(11, "503", JSON);
    proxy_on_delete(11);
    let text = stream("live");
    assert_eq!(attempt(12, &text).as_deref(), Some("cb"));
    answer(12, "400", JSON);
    held(12, UNKNOWN, true);
    proxy_on_delete(12);
    assert_eq!(attempt(13, &text).as_deref(), Some("cb"));
    assert!(!sent().contains("stream_options"));
    answer(13, "200", SSE);
    held(13, &format!("{}{}", TOKEN, DONE), true);
    finish_stream(13);
    assert_eq!(header(Map::Response, "x-turnout-model").as_deref(), Some("b"));
    assert_eq!(header(Map::Response, "x-turnout-fallback").as_deref(), Some("a=503"));
    assert_eq!(counted(&["turnout_fallbacks;"]), 1);
    assert_eq!(counted(&["turnout_attempts;", "model=b"]), 1);
}

#[test]
fn another_mistake_of_the_client_is_passed_on_and_one_that_only_quotes_the_body_is_not_held_against_the_lane() {
    asked();
    answer(11, "400", JSON);
    held(11, r#"{"error":{"message":"temperature must be below 2"}}"#, true);
    assert_eq!(header(Map::Response, "x-turnout-retry"), None);
    finish_stream(11);
    assert_eq!(counted(&["turnout_attempts;", "result=client_error"]), 1);
    asked();
    answer(11, "422", JSON);
    held(11, r#"{"detail":[{"msg":"messages: required","input":{"stream_options":{"include_usage":true}}}]}"#, true);
    proxy_on_delete(11);
    assert!(attempt(12, &stream("live")).is_some());
    assert_eq!(answer(12, "422", JSON), CONTINUE);
    finish_stream(12);
    assert!(asked().contains("stream_options"));
}

#[test]
fn envoys_retry_when_nothing_is_left_gets_the_status_that_envoy_would_give() {
    for (after, status) in [(0, 503), (1_000, 504)] {
        fake(|f| f.shared.clear());
        asked();
        later(after);
        proxy_on_delete(11);
        let text = stream("live");
        assert!(attempt(12, &text).is_some());
        later(after);
        proxy_on_delete(12);
        assert_eq!((attempt(13, &text), reply().unwrap().0), (None, status));
        proxy_on_delete(10);
    }
}

#[test]
fn reasoning_that_only_the_total_counts_is_paid_for() {
    for usage in [
        r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":43,"completion_tokens_details":{"reasoning_tokens":28}}"#,
        r#"{"prompt_tokens":10,"completion_tokens":33,"total_tokens":43,"completion_tokens_details":{"reasoning_tokens":28}}"#,
    ] {
        let mut judge = Judge::new(Shape::Document { needs_choices: true });
        judge.feed(format!(r#"{{"choices":[{{"message":{{"content":"x"}}}}],"usage":{}}}"#, usage).as_bytes());
        judge.finish();
        assert_eq!((judge.usage().input, judge.usage().output), (10, 33), "{}", usage);
    }
    for event in [GROQ, r#"{"choices":[{"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":4}}]}"#] {
        let mut judge = Judge::new(Shape::Stream);
        judge.feed(format!("data: {}\n\n", event).as_bytes());
        assert_eq!((judge.usage().input, judge.usage().output), (9, 4), "{}", event);
    }
}
