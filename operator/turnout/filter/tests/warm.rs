//! Warm standby: who is asked, when, and what comes of it.

mod common;
use common::*;
use turnout_filter::entry::{proxy_on_delete, proxy_on_http_call_response, proxy_on_tick};
use turnout_filter::host::{fake, Buffer, Map};

const EVERY: u64 = 60_000;

/// A router whose lanes are warmed each minute, which has just been asked for its circuits.
fn warmed() {
    let table = TABLE.replace("up-a\t0\t0\t0", "up-a\t0\t0\t60000").replace("up-b\t0\t0\t0", "up-b\t0\t0\t60000");
    router();
    assert_eq!(configure_front(&table), 1);
    lanes();
}

fn tick() -> Vec<(String, String, String)> {
    let before = fake(|f| f.calls.len());
    proxy_on_tick(FRONT_ROOT);
    fake(|f| f.calls[before..].to_vec())
}

/// The provider's answer to the call with this number.
fn answered(call: u32, status: &str, body: &str) {
    set_headers(Map::Call, &[(":status", status)]);
    fake(|f| f.buffers.insert(Buffer::Call, body.as_bytes().to_vec()));
    proxy_on_http_call_response(FRONT_ROOT, call, 1, body.len(), 0);
}

#[test]
fn every_idle_lane_is_asked_for_one_token_and_then_left_alone_for_the_interval() {
    warmed();
    let calls = tick();
    assert_eq!(calls.iter().map(|(c, p, _)| (c.as_str(), p.as_str())).collect::<Vec<_>>(), [
        ("ca", "/api/v1/chat/completions"),
        ("cb", "/chat/completions")
    ]);
    assert!(calls[0].2.contains(r#""model":"up-a""#) && calls[0].2.contains(r#""max_tokens":1"#), "{}", calls[0].2);
    later(EVERY - 1);
    assert_eq!(tick().len(), 0);
    later(1);
    assert_eq!(tick().len(), 2);
}

#[test]
fn a_lane_with_traffic_is_not_asked() {
    warmed();
    tick();
    later(EVERY - 10);
    let text = body("live", false);
    chat(10, "all", &text);
    attempt(11, &text);
    answer(11, "200", JSON);
    held(11, ANSWER, true);
    proxy_on_delete(11);
    proxy_on_delete(10);
    later(10);
    assert_eq!(tick().iter().map(|(cluster, ..)| cluster.as_str()).collect::<Vec<_>>(), ["cb"]);
}

#[test]
fn an_answer_is_counted_apart_and_shown() {
    warmed();
    tick();
    later(500);
    answered(1, "200", ANSWER);
    assert!(lanes().contains(r#""warmedMs":1000000,"warmFault":null"#), "{}", lanes());
    assert_eq!(counted(&["turnout_warmups;group=alone;model=a;result=ok"]), 1);
    assert_eq!((counted(&["turnout_attempts;"]), counted(&["turnout_tokens_in;"])), (0, 0));
    assert!(counted(&["turnout_warm_tokens;"]) > 0);
}

#[test]
fn a_provider_that_does_not_want_us_is_shown_with_its_words_until_it_does() {
    warmed();
    tick();
    answered(1, "401", r#"{"error":{"message":"Incorrect API key provided: sk-a."}}"#);
    assert!(lanes().contains(r#""warmFault":"401 Incorrect API key provided: [redacted].""#), "{}", lanes());
    assert!(lanes().contains(r#""failures":1"#) && !lanes().contains("sk-a"), "{}", lanes());
    proxy_on_http_call_response(FRONT_ROOT, 2, 0, 0, 0);
    assert!(lanes().contains(r#""warmFault":"no answer""#));
    later(EVERY);
    tick();
    answered(3, "200", ANSWER);
    assert!(!lanes().contains("401"), "{}", lanes());
}

#[test]
fn a_client_s_success_clears_what_a_warm_up_found() {
    warmed();
    tick();
    answered(1, "500", "down");
    assert!(lanes().contains(r#""warmFault":"500 down""#), "{}", lanes());
    let text = body("live", false);
    chat(10, "all", &text);
    attempt(11, &text);
    answer(11, "200", JSON);
    held(11, ANSWER, true);
    tick();
    assert!(!lanes().contains("500 down"), "{}", lanes());
}

#[test]
fn a_model_that_wants_another_maximum_has_answered() {
    warmed();
    tick();
    let told = r#"{"error":{"message":"Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}"#;
    answered(1, "400", told);
    assert_eq!(counted(&["turnout_warmups;", "result=ok"]), 1);
}

#[test]
fn a_half_open_lane_is_tried_by_a_warm_up_and_an_open_one_is_left_alone() {
    warmed();
    tick();
    let text = body("live", false);
    for front in [10, 20, 30] {
        chat(front, "all", &text);
        attempt(front + 1, &text);
        answer(front + 1, "503", JSON);
        proxy_on_delete(front + 1);
        proxy_on_delete(front);
    }
    assert!(lanes().contains(r#""circuit":"Open""#), "{}", lanes());
    later(900);
    assert_eq!(tick().len(), 0);
    later(EVERY);
    assert_eq!(tick().len(), 2);
    answered(3, "200", ANSWER);
    assert!(!lanes().contains(r#""circuit":"HalfOpen""#), "{}", lanes());
}

#[test]
fn a_lane_that_last_embedded_is_asked_to_embed() {
    warmed();
    tick();
    let text = r#"{"model":"live","input":"x"}"#;
    arrive(10, "all", "POST", "/v1/embeddings");
    fake(|f| f.buffers.insert(Buffer::Request, text.as_bytes().to_vec()));
    turnout_filter::entry::proxy_on_request_body(10, text.len(), 1);
    attempt(11, text);
    answer(11, "200", JSON);
    held(11, r#"{"object":"list","data":[{"embedding":[1]}]}"#, true);
    tick();
    later(EVERY);
    let calls = tick();
    assert_eq!(calls[0].1, "/api/v1/embeddings");
    answered(3, "200", r#"{"object":"list","data":[{"embedding":[1]}]}"#);
    assert_eq!(counted(&["turnout_warmups;", "result=ok"]), 1);
}
