//! The access log: what the filter leaves for Envoy's line, and that it leaves nothing when the log is off.

mod common;
use common::*;
use turnout_filter::entry::{proxy_on_context_create, proxy_on_delete, proxy_on_log, proxy_on_response_headers};
use turnout_filter::host::{fake, Map};

/// A router with the log on or off, as the bootstrap says.
fn logging(on: bool) {
    if on {
        fake(|f| f.properties.insert("xds\0node\0metadata\0access_log".into(), vec![1]));
    }
    router();
}

/// The request's end, as Envoy tells it; what is in the filter state then, up to the id and the path.
fn line(front: u32) -> String {
    proxy_on_log(front);
    proxy_on_delete(front);
    fake(|f| f.properties.remove("log")).map_or(String::new(), |bytes| String::from_utf8(bytes).unwrap())
}

const CHAT: &str = r#","requestId":null,"method":"POST","path":"/v1/chat/completions","key":"all","asked":"live""#;

#[test]
fn an_answer_is_told_with_its_attempts_tokens_and_cost() {
    logging(true);
    let text = body("live", false);
    chat(10, "all", &text);
    attempt(11, &text);
    later(20);
    answer(11, "503", &[]);
    proxy_on_delete(11);
    attempt(12, &text);
    later(5);
    answer(12, "200", JSON);
    held(12, ANSWER, true);
    proxy_on_response_headers(10, 1, 0);
    later(100);
    let attempts = r#"[{"model":"a","result":"server_error","ms":20},{"model":"b","result":"ok","ms":5}]"#;
    let rest = r#""tokensIn":10,"tokensCached":4,"tokensOut":5,"costUsd":null"#; // b has no price
    let known = r#""firstByteMs":25,"group":"live","stream":false,"model":"b""#;
    assert_eq!(line(10), format!(r#"{},{},"attempts":{},{}"#, CHAT, known, attempts, rest));
    chat(20, "all", &text);
    attempt(21, &text);
    answer(21, "200", JSON);
    held(21, ANSWER, true);
    proxy_on_response_headers(20, 1, 0);
    assert!(line(20).ends_with(r#""tokensOut":5,"costUsd":"0.0000164""#));
}

#[test]
fn a_client_that_hangs_up_is_told_apart_from_an_answer() {
    logging(true);
    let text = body("live", true);
    chat(10, "all", &text);
    attempt(11, &text);
    later(30);
    let said = line(10);
    assert!(said.contains(r#""firstByteMs":null,"group":"live","stream":true,"model":null"#), "{}", said);
    assert!(said.contains(r#""attempts":[{"model":"a","result":"hung_up","ms":30}],"tokensIn":null"#), "{}", said);
    chat(20, "all", &text);
    attempt(21, &text);
    answer(21, "200", SSE);
    held(21, TOKEN, false);
    proxy_on_response_headers(20, 1, 0);
    let said = line(20);
    assert!(said.contains(r#""model":"a","attempts":[{"model":"a","result":"hung_up""#), "{}", said);
}

#[test]
fn no_model_has_answered_when_all_have_failed() {
    logging(true);
    let text = body("alone", false);
    chat(10, "all", &text);
    attempt(11, &text);
    answer(11, "401", JSON);
    held(11, "{}", true);
    proxy_on_delete(11);
    set_headers(Map::Response, &[(":status", "502")]);
    proxy_on_response_headers(10, 1, 0);
    let said = line(10);
    assert!(said.contains(r#""model":null,"attempts":[{"model":"a","result":"refused""#), "{}", said);
}

#[test]
fn a_refusal_of_ours_is_told_without_a_chain() {
    logging(true);
    chat(10, "chat", &body("whole", false));
    proxy_on_response_headers(10, 1, 0);
    let said = line(10);
    assert!(said.ends_with(r#""key":"chat","asked":"whole","firstByteMs":0"#), "{}", said);
}

#[test]
fn a_request_that_was_refused_before_the_filter_is_told_by_its_headers() {
    logging(true);
    set_headers(
        Map::Request,
        &[(":method", "GET"), (":path", "/v1/models?token=x"), ("x-request-id", "7"), ("authorization", "Bearer y")],
    );
    proxy_on_context_create(10, FRONT_ROOT);
    let expected = r#","requestId":"7","method":"GET","path":"/v1/models","key":null,"asked":null,"firstByteMs":null"#;
    assert_eq!(line(10), expected);
}

#[test]
fn a_request_that_was_refused_before_the_filter_is_counted_by_its_status() {
    logging(false);
    set_headers(Map::Response, &[(":status", "401")]);
    proxy_on_context_create(10, FRONT_ROOT);
    assert_eq!(line(10), "");
    assert_eq!(counted(&["turnout_requests;group=;code=4xx"]), 1);
    assert_eq!(counted(&["turnout_requests;"]), 1);
    assert_eq!(counted(&["turnout_request_milliseconds;"]), 0, "it took no time of ours");
}

#[test]
fn what_a_client_writes_stays_inside_its_quotes_and_short() {
    logging(true);
    let path = format!("/v1/{}\"\\{}", "a", "ä".repeat(1000));
    arrive(10, "all", "GET", &path);
    let said = line(10);
    assert!(said.contains(r#""path":"/v1/a\"\\ää"#), "{}", said);
    assert_eq!(said.matches('ä').count(), 256 - "/v1/a\"\\".len());
    chat(20, "all", &body(r#"x\"},{\n"#, false));
    assert!(line(20).contains(r#""asked":"x\"},{\n""#));
}

#[test]
fn nothing_is_written_while_the_log_is_off() {
    logging(false);
    let text = body("live", false);
    chat(10, "all", &text);
    attempt(11, &text);
    answer(11, "200", JSON);
    held(11, ANSWER, true);
    proxy_on_response_headers(10, 1, 0);
    assert_eq!(line(10), "");
}
