//! Answers: what passes, what is tried elsewhere, what counts against a lane, what the client is told.

mod common;
use common::*;
use turnout_filter::entry::{proxy_on_delete, proxy_on_request_body, proxy_on_request_headers, proxy_on_tick};
use turnout_filter::host::{fake, Map};

fn begin(model: &str, stream: bool) -> String {
    router();
    let text = body(model, stream);
    assert_eq!(chat(10, "all", &text), CONTINUE);
    assert!(attempt(11, &text).is_some());
    text
}

fn rules() -> turnout_filter::circuit::Rules {
    turnout_filter::circuit::Rules { failures: 3, recovery_ms: 1_000, permits: 2, ramp_ms: 0 }
}

fn retried() -> bool {
    header(Map::Response, "x-turnout-retry").is_some()
}

#[test]
fn a_whole_answer_passes_with_its_cost_and_is_counted() {
    begin("live", false);
    assert_eq!(answer(11, "200", JSON), PAUSE);
    assert_eq!(held(11, ANSWER, true), CONTINUE);
    // 6 fresh at 1, 4 cached at 0.1, 5 out at 2 millionths of a dollar
    assert_eq!(header(Map::Response, "x-token-cost").as_deref(), Some("0.0000164"));
    proxy_on_delete(11);
    finish(10);
    assert_eq!(header(Map::Response, "x-turnout-model").as_deref(), Some("a"));
    assert_eq!(header(Map::Response, "x-turnout-attempts").as_deref(), Some("1"));
    assert_eq!(counted(&["turnout_attempts;", "model=a", "arm=baseline", "attempt=first", "result=ok"]), 1);
    assert_eq!(counted(&["turnout_tokens_in;group=live;model=a;key=all"]), 10);
    assert_eq!(counted(&["turnout_tokens_cached;"]), 4);
    assert_eq!(counted(&["turnout_cost_nanousd;"]), 16_400);
    assert_eq!(counted(&["turnout_requests;group=live;code=2xx"]), 1);
}

#[test]
fn a_fallback_is_told_and_counted() {
    let text = begin("live", false);
    answer(11, "503", JSON);
    assert!(retried());
    proxy_on_delete(11);
    attempt(12, &text);
    answer(12, "200", JSON);
    held(12, ANSWER, true);
    assert!(!retried());
    proxy_on_delete(12);
    finish(10);
    assert_eq!(header(Map::Response, "x-turnout-model").as_deref(), Some("b"));
    assert_eq!(header(Map::Response, "x-turnout-fallback").as_deref(), Some("a=503"));
    assert_eq!(counted(&["turnout_fallbacks;group=live;model=a;to=b;reason=server_error"]), 1);
    assert_eq!(counted(&["turnout_fallback_requests;group=live"]), 1);
}

#[test]
fn which_statuses_are_tried_elsewhere() {
    for (status, elsewhere) in [
        ("408", true),
        ("409", true),
        ("429", true),
        ("500", true),
        ("529", true),
        ("302", true),
        ("400", false),
        ("413", false),
        ("422", false),
        ("405", false),
    ] {
        fake(|f| f.shared.clear()); // circuits of their own
        begin("live", false);
        assert_eq!(answer(11, status, JSON), if status == "429" { PAUSE } else { CONTINUE }, "{}", status);
        assert_eq!(held(11, "{}", true), CONTINUE);
        assert_eq!(retried(), elsewhere, "{}", status);
        proxy_on_delete(11);
        proxy_on_delete(10);
    }
}

#[test]
fn a_refusal_of_our_credential_is_noted_and_never_the_clients_own() {
    let text = begin("live", false);
    assert_eq!(answer(11, "401", JSON), PAUSE);
    held(11, r#"{"error":{"message":"Incorrect API key: sk-a"}}"#, true);
    assert!(retried());
    proxy_on_delete(11);
    attempt(12, &text);
    answer(12, "403", JSON);
    held(12, "no", true);
    assert!(!retried());
    assert_eq!(header(Map::Response, ":status").as_deref(), Some("502"));
    assert!(response().contains("provider_refused") && !response().contains("sk-a"), "{}", response());
    proxy_on_delete(12);
    proxy_on_delete(10);
    let listed = lanes();
    assert!(
        listed.contains(r#""refusal":{"status":401,"message":"Incorrect API key: [redacted]","atMs":1000000}"#),
        "{}",
        listed
    );
    begin("alone", false);
    answer(11, "200", JSON);
    held(11, ANSWER, true);
    proxy_on_delete(11);
    assert!(!lanes().contains("Incorrect"), "a success clears it");
}

#[test]
fn a_path_that_a_provider_does_not_have_says_nothing_about_its_lane() {
    router();
    for n in 0..5 {
        arrive(10, "all", "POST", "/v1/responses");
        fake(|f| f.buffers.insert(turnout_filter::host::Buffer::Request, body("live", false).into_bytes()));
        turnout_filter::entry::proxy_on_request_body(10, body("live", false).len(), 1);
        assert_eq!(attempt(11, &body("live", false)).as_deref(), Some("ca"), "request {}", n);
        answer(11, "404", JSON);
        held(11, "{}", true);
        assert!(retried());
        proxy_on_delete(11);
        proxy_on_delete(10);
    }
    assert!(lanes().contains(r#""lane":"la","circuit":"Closed","failures":0"#));
}

#[test]
fn an_attempt_without_an_answer_is_a_failed_connection_or_a_timeout() {
    for (after, result) in [(0, "connection"), (4_000, "connection"), (5_000, "timeout")] {
        let before = counted(&["turnout_attempts;", &format!("result={}", result)]);
        begin("live", false);
        later(after);
        proxy_on_delete(11);
        assert_eq!(counted(&["turnout_attempts;", &format!("result={}", result)]), before + 1);
        proxy_on_delete(10);
    }
}

#[test]
fn a_hang_up_counts_for_nothing() {
    for n in 0..10 {
        begin("live", n % 2 == 0);
        proxy_on_delete(10); // Envoy tells the front first
        proxy_on_delete(11);
    }
    assert_eq!(counted(&["turnout_attempts;", "result=hung_up"]), 10);
    assert_eq!(counted(&["turnout_requests;group=live;code=499"]), 10);
    assert!(lanes().contains(r#""lane":"la","circuit":"Closed","failures":0"#));
}

#[test]
fn failures_open_the_circuit_and_an_open_lane_is_not_asked() {
    for _ in 0..3 {
        begin("live", true);
        later(1_000);
        proxy_on_delete(11); // slow first tokens
        proxy_on_delete(10);
        fake(|f| f.now = 1_000_000);
    }
    assert!(lanes().contains(r#""lane":"la","circuit":"Open","failures":0,"openForMs":2000"#), "{}", lanes());
    let text = body("live", true);
    chat(20, "all", &text);
    assert_eq!(attempt(21, &text).as_deref(), Some("cb"));
}

#[test]
fn a_lane_alone_waits_out_a_short_retry_after_once_and_shuts_on_a_long_one() {
    let text = begin("alone", false);
    answer(11, "429", &[("retry-after", "1.5")]);
    held(11, "{}", true);
    assert_eq!((retried(), header(Map::Response, "x-turnout-wait").as_deref()), (true, Some("2")));
    proxy_on_delete(11);
    assert!(attempt(12, &text).is_some());
    answer(12, "429", &[("retry-after", "1")]);
    held(12, "{}", true);
    assert!(!retried());
    proxy_on_delete(12);
    proxy_on_delete(10);
    fake(|f| f.shared.clear());
    begin("alone", false);
    answer(11, "429", &[("retry-after", "999")]);
    held(11, "{}", true);
    assert!(!retried());
    assert!(lanes().contains(r#""circuit":"Closed","failures":0,"openForMs":0,"pausedForMs":300000"#), "{}", lanes());
}

#[test]
fn a_lane_alone_gets_one_quick_retry_of_what_is_passing_and_none_of_a_timeout() {
    let text = begin("alone", false);
    proxy_on_delete(11);
    assert!(attempt(12, &text).is_some());
    proxy_on_delete(12);
    proxy_on_delete(10);
    let text = begin("alone", false);
    later(5_000);
    proxy_on_delete(11);
    assert_eq!((attempt(12, &text), reply().unwrap().0), (None, 504));
}

#[test]
fn providers_cannot_speak_in_our_name() {
    begin("live", false);
    let theirs = [
        ("x-turnout-retry", "1"),
        ("x-envoy-ratelimited", "1"),
        ("x-ratelimit-limit-requests", "9"),
        ("set-cookie", "a=b"),
        ("alt-svc", "h3"),
        ("x-token-cost", "0"),
        ("content-type", "application/json"),
        ("x-request-id", "r"),
    ];
    answer(11, "400", &theirs);
    let left: Vec<String> = fake(|f| f.headers[&Map::Response].iter().map(|(n, _)| n.clone()).collect());
    assert_eq!(left, [":status", "content-type", "x-request-id"]);
}

#[test]
fn a_live_stream_is_held_until_its_first_content_and_then_flows() {
    begin("live", true);
    answer(11, "200", SSE);
    assert_eq!(held(11, ": hi\n\n", false), PAUSE);
    assert_eq!(held(11, TOKEN, false), CONTINUE);
    assert_eq!(passing(11, TOKEN, false), TOKEN);
    assert_eq!(passing(11, DONE, true), DONE);
    proxy_on_delete(11);
    finish(10);
    assert_eq!(counted(&["turnout_attempts;", "result=ok"]), 1);
}

#[test]
fn a_stream_that_is_cut_or_silent_is_never_taken_for_whole_and_counts() {
    begin("live", true);
    answer(11, "200", SSE);
    held(11, TOKEN, false);
    let end = passing(11, TOKEN, true);
    assert!(end.starts_with(TOKEN) && end.ends_with("\"code\":\"truncated\"}}\n\n"), "{}", end);
    proxy_on_delete(11);
    proxy_on_delete(10);
    begin("live", true);
    answer(11, "200", SSE);
    held(11, TOKEN, false);
    later(2_000);
    proxy_on_tick(LANE_ROOT);
    assert!(fake(|f| f.acts.is_empty()));
    later(1);
    proxy_on_tick(LANE_ROOT);
    assert_eq!(acts(), ["close 11"]);
    proxy_on_delete(11);
    proxy_on_delete(10);
    assert_eq!((counted(&["result=truncated"]), counted(&["result=stalled"])), (1, 1));
    assert!(lanes().contains(r#""lane":"la","circuit":"Closed","failures":2"#), "{}", lanes());
}

#[test]
fn a_complete_stream_is_held_to_its_end_and_tried_elsewhere_at_any_point() {
    let text = begin("whole", true);
    assert_eq!(header(Map::Request, "x-turnout-hop").as_deref(), Some("ca"));
    assert_eq!(header(Map::Request, "x-turnout-first-ms").as_deref(), Some("1000"));
    answer(11, "200", SSE);
    assert_eq!(held(11, TOKEN, false), PAUSE);
    later(2_001);
    proxy_on_tick(LANE_ROOT);
    assert_eq!(acts(), ["continue 11"]);
    assert!(retried());
    proxy_on_delete(11);
    assert_eq!(attempt(12, &text).as_deref(), Some("hop"));
    assert_eq!(header(Map::Request, "x-turnout-hop").as_deref(), Some("cb"));
    answer(12, "200", SSE);
    assert_eq!(held(12, TOKEN, false), PAUSE);
    assert_eq!(held(12, DONE, true), CONTINUE);
    assert_eq!(response(), [TOKEN, DONE].concat());
    assert_eq!(counted(&["result=stalled"]), 1);
}

#[test]
fn a_complete_stream_that_ends_early_or_late_is_tried_elsewhere() {
    begin("whole", true);
    answer(11, "200", SSE);
    assert_eq!(held(11, TOKEN, true), CONTINUE);
    assert!(retried());
    begin("whole", true);
    answer(11, "200", SSE);
    later(1_000);
    proxy_on_tick(LANE_ROOT);
    assert_eq!(acts(), ["continue 11"]);
    fake(|f| f.shared.clear());
    begin("whole", true);
    answer(11, "504", &[("x-turnout-hop-failed", "UT")]);
    assert!(retried());
    begin("whole", true);
    assert_eq!(answer(11, "401", JSON), PAUSE);
    later(1_000); // and the refusal never says why
    proxy_on_tick(LANE_ROOT);
    assert!(retried());
    assert_eq!((counted(&["result=truncated"]), counted(&["result=timeout"])), (1, 3));
}

#[test]
fn an_error_inside_a_200_is_passed_on_with_its_status_when_nobody_can_help() {
    begin("alone", true);
    answer(11, "200", SSE);
    let error = r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#;
    assert_eq!(held(11, &format!("data: {}\n\n", error), false), CONTINUE);
    assert_eq!((header(Map::Response, ":status").as_deref(), response().as_str()), (Some("429"), error));
    assert_eq!(header(Map::Response, "content-length"), Some(error.len().to_string()));
    assert_eq!(passing(11, TOKEN, false), "", "what still comes is dropped");
}

#[test]
fn a_trial_whose_request_never_reached_the_lane_is_given_back() {
    for _ in 0..3 {
        begin("alone", false);
        answer(11, "500", &[]);
        proxy_on_delete(11);
        proxy_on_delete(10);
    }
    later(1_001);
    for n in 0..5 {
        chat(30, "all", &body("alone", false));
        let text = body("alone", false);
        assert_eq!(attempt(31, &text).as_deref(), Some("ca"), "trial {}", n);
        proxy_on_delete(30); // the client hangs up
        proxy_on_delete(31);
    }
    assert!(lanes().contains(r#""lane":"la","circuit":"HalfOpen""#), "{}", lanes());
}

#[test]
fn a_pause_that_a_provider_asks_for_shuts_its_lane_and_opens_no_circuit() {
    for headers in [("retry-after", "7"), ("x-ratelimit-reset-requests", "7s"), ("retry-after-ms", "7000")] {
        fake(|f| f.shared.clear());
        begin("live", false);
        answer(11, "429", &[headers]);
        assert_eq!((held(11, "{}", true), retried()), (CONTINUE, true));
        assert!(lanes().contains(r#""circuit":"Closed","failures":0,"openForMs":0,"pausedForMs":7000"#), "{}", lanes());
        proxy_on_delete(10);
        let text = body("live", false);
        assert_eq!(chat(20, "all", &text), CONTINUE);
        assert_eq!(attempt(21, &text).as_deref(), Some("cb"), "not asked again before that");
        proxy_on_delete(20);
        later(7_000);
        assert_eq!(chat(30, "all", &text), CONTINUE);
        assert_eq!(attempt(31, &text).as_deref(), Some("ca"), "as before, without a trial or a ramp");
        proxy_on_delete(30);
    }
}

#[test]
fn a_provider_account_without_quota_is_a_refusal_that_a_person_must_see_to() {
    begin("live", false);
    answer(11, "429", JSON);
    held(11, r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota."}}"#, true);
    assert!(retried());
    let shown = lanes();
    assert!(shown.contains(r#""openForMs":300000"#) && shown.contains("You exceeded your current quota."), "{}", shown);
    assert_eq!(counted(&["turnout_attempts;", "result=refused"]), 1);
}

fn narrow(a: &str, b: &str) {
    let window = |model: &str, window: &str| {
        let line = TABLE.lines().find(|l| l.starts_with(&format!("model\tlive\t{}\t", model))).unwrap();
        (line.to_string(), line.replace("\t0\t*", &format!("\t{}\t*", window)))
    };
    let ((from_a, to_a), (from_b, to_b)) = (window("a", a), window("b", b));
    assert_eq!(configure_front(&TABLE.replace(&from_a, &to_a).replace(&from_b, &to_b)), 1);
}

#[test]
fn a_stream_where_a_document_was_asked_for_is_no_answer_nor_the_other_way_round() {
    for (stream, headers, text) in [(true, JSON, ANSWER), (false, SSE, TOKEN)] {
        fake(|f| f.shared.clear());
        begin("live", stream);
        answer(11, "200", headers);
        held(11, text, stream);
        assert!(retried(), "{}", stream);
        assert_eq!(counted(&["turnout_attempts;", "result=malformed"]), if stream { 1 } else { 2 });
        proxy_on_delete(10);
    }
}

#[test]
fn a_prompt_too_long_for_one_model_goes_to_a_larger_one_and_else_to_the_client_as_it_is() {
    let too_long = r#"{"error":{"code":"context_length_exceeded","message":"This model's maximum context length is 8"}}"#;
    for (a, b, elsewhere) in [("8000", "32000", true), ("8000", "8000", false), ("8000", "0", false), ("0", "32000", false)] {
        fake(|f| f.shared.clear());
        router();
        narrow(a, b);
        let text = body("live", false);
        chat(10, "all", &text);
        attempt(11, &text);
        assert_eq!(answer(11, "400", JSON), if elsewhere { PAUSE } else { CONTINUE });
        assert_eq!((held(11, too_long, true), retried()), (CONTINUE, elsewhere), "{} {}", a, b);
        assert_eq!(header(Map::Response, ":status").as_deref(), Some("400"));
        assert!(lanes().contains(r#""failures":0"#));
        proxy_on_delete(10);
    }
    router();
    narrow("8000", "32000");
    let text = body("live", false);
    chat(10, "all", &text);
    attempt(11, &text);
    answer(11, "400", JSON);
    held(11, r#"{"error":{"message":"temperature must be below 2"}}"#, true);
    assert!(!retried(), "another mistake is the client's own");
}

fn with_capacity(concurrent: &str) -> String {
    let line = "lane\tla\tca\ta.example\t/api/v1\tauthorization\tBearer sk-a\tup-a\t0\t";
    TABLE.replace(&format!("{}0", line), &format!("{}{}", line, concurrent))
}

#[test]
fn what_is_above_a_lanes_capacity_goes_to_the_next_and_comes_back_when_there_is_room() {
    router();
    assert_eq!(configure_front(&with_capacity("1")), 1);
    let text = body("live", false);
    chat(10, "all", &text);
    assert_eq!(attempt(11, &text).as_deref(), Some("ca"));
    chat(20, "all", &text);
    assert_eq!(attempt(21, &text).as_deref(), Some("cb"));
    assert_eq!(counted(&["turnout_spilled;group=live;model=a"]), 1);
    assert_eq!(counted(&["turnout_fallbacks;"]), 0, "nothing failed");
    answer(11, "200", JSON);
    held(11, ANSWER, true);
    chat(30, "all", &text);
    assert_eq!(attempt(31, &text).as_deref(), Some("ca"));
    proxy_on_delete(31);
    proxy_on_delete(30);
    let alone = body("alone", false);
    chat(40, "all", &alone);
    attempt(41, &alone);
    assert_eq!(chat(50, "all", &alone), PAUSE);
    let (status, told) = reply().unwrap();
    assert_eq!((status, told.contains("at their limits")), (429, true), "{}", told);
}

#[test]
fn a_request_that_never_reached_its_lane_gives_the_room_back() {
    router();
    assert_eq!(configure_front(&with_capacity("1")), 1);
    chat(10, "all", &body("live", false));
    proxy_on_delete(10);
    let text = body("live", false);
    chat(20, "all", &text);
    assert_eq!(attempt(21, &text).as_deref(), Some("ca"));
}

#[test]
fn no_attempt_begins_after_the_deadline_of_the_whole() {
    let text = begin("live", false);
    assert_eq!(header(Map::Request, "x-envoy-upstream-rq-timeout-ms").as_deref(), Some("60000"));
    later(59_990);
    answer(11, "503", JSON);
    assert!(!retried(), "10 ms are not enough for another");
    proxy_on_delete(11);
    proxy_on_delete(10);
    chat(20, "all", &text);
    attempt(21, &text);
    later(60_000);
    proxy_on_delete(21);
    assert_eq!((attempt(22, &text), reply().unwrap().0), (None, 504), "Envoy retried what we did not see fail");
}

#[test]
fn a_live_stream_without_a_first_token_ends_at_the_deadline() {
    let text = body("live", true);
    router();
    chat(10, "all", &text);
    assert_eq!(header(Map::Request, "x-envoy-upstream-rq-timeout-ms"), None, "it would cut its end off");
    attempt(11, &text);
    later(59_900);
    proxy_on_tick(LANE_ROOT);
    assert_eq!(acts(), Vec::<String>::new());
    later(100);
    proxy_on_tick(LANE_ROOT);
    assert_eq!(reply().unwrap().0, 504);
    assert_eq!(counted(&["turnout_attempts;", "result=timeout"]), 1);
}

#[test]
fn a_second_attempt_at_one_lane_waits_a_little() {
    let twice = TABLE.replace("60000\t1\tlive", "60000\t2\tlive");
    router();
    assert_eq!(configure_front(&twice), 1);
    let text = body("live", false);
    chat(10, "all", &text);
    attempt(11, &text);
    answer(11, "503", JSON);
    proxy_on_delete(11);
    begin_attempt(12, &text);
    assert_eq!((proxy_on_request_headers(12, 3, 0), proxy_on_request_body(12, text.len(), 1)), (PAUSE, PAUSE));
    later(99);
    proxy_on_tick(LANE_ROOT);
    assert_eq!(acts(), Vec::<String>::new());
    later(101);
    proxy_on_tick(LANE_ROOT);
    assert_eq!(acts(), ["go 12"]);
    assert!(sent().contains("up-a"));
}

#[test]
fn when_every_lane_is_at_its_limit_the_client_is_told_when_to_come_back_and_nobody_is_asked() {
    let text = begin("live", false);
    answer(11, "429", &[("retry-after", "5")]);
    held(11, "{}", true);
    proxy_on_delete(11);
    attempt(12, &text);
    answer(12, "429", &[("retry-after", "9")]);
    held(12, "{}", true);
    assert!(!retried(), "this one gets the provider's own");
    proxy_on_delete(12);
    proxy_on_delete(10);
    later(1_500);
    assert_eq!(chat(20, "all", &text), PAUSE);
    let (status, told) = reply().unwrap();
    assert_eq!((status, told.contains("try again in 4s")), (429, true), "{}", told);
    set_headers(Map::Response, &[(":status", "429")]);
    finish(20);
    assert_eq!(counted(&["turnout_requests;group=live;code=429"]), 1);
}

#[test]
fn a_dead_lane_is_not_asked_while_another_is_only_at_its_limit() {
    let text = begin("live", false);
    proxy_on_delete(11);
    (0..3).for_each(|_| turnout_filter::breaker::failed("la", &rules(), 1_000_000));
    attempt(12, &text);
    answer(12, "429", JSON);
    held(12, "{}", true);
    proxy_on_delete(12);
    proxy_on_delete(10);
    assert_eq!((chat(20, "all", &text), reply().unwrap().0), (PAUSE, 429));
    later(100);
    assert_eq!(chat(30, "all", &text), CONTINUE);
    assert_eq!(attempt(31, &text).as_deref(), Some("cb"), "after a tenth of a second");
}
