//! What the two arms of a rollout count: first attempts only, each once, and what kept the drawn model from having one.

mod common;
use common::*;
use turnout_filter::entry::{proxy_on_delete, proxy_on_http_call_response, proxy_on_tick};
use turnout_filter::host::{fake, Buffer, Map};

/// The group `live` with a rollout of its second model, at such a weight.
fn rolling(weight: u64) {
    rolling_with(weight, "up-b\t0\t0\t0");
}

/// The same, whose second model's lane ends so: its name there, requests a minute, requests at a time, warming.
fn rolling_with(weight: u64, lane: &str) {
    router();
    period("run-1", weight, lane);
}

/// A table in which the rollout counts by that tag.
fn period(tag: &str, weight: u64, lane: &str) {
    let line = format!("canary\tlive\trun\t{}\tb\t{}\t0\ta\ngroup\twhole", tag, weight);
    assert_eq!(configure_front(&TABLE.replace("group\twhole", &line).replace("up-b\t0\t0\t0", lane)), 1);
}

fn requests(arm: &str, result: &str) -> u64 {
    counted(&["turnout_arm_requests;", "group=live", "rollout=run-1", &format!("arm={}", arm), &format!("result={}", result)])
}

fn drawn(arm: &str) -> u64 {
    counted(&["turnout_arm_drawn;", "group=live", "rollout=run-1", &format!("arm={}", arm)])
}

fn sums(arm: &str, of: &str) -> u64 {
    let name = format!("turnout_arm_sums;group=live;rollout=run-1;arm={};of={}", arm, of);
    fake(|f| f.metrics.get(&name).map_or(0, |values| values.iter().sum()))
}

#[test]
fn an_answer_counts_its_time_tokens_and_cost_and_their_squares() {
    rolling(1); // one in ten thousand: the baseline's
    let text = body("live", false);
    chat(10, "all", &text);
    assert_eq!(attempt(11, &text).as_deref(), Some("ca"));
    later(30);
    answer(11, "200", JSON);
    held(11, ANSWER, true);
    finish(10);
    assert_eq!((requests("baseline", "ok"), counted(&["turnout_arm_requests"])), (1, 1));
    assert_eq!(counted(&["turnout_arm_milliseconds;", "arm=baseline"]), 30);
    assert_eq!((sums("baseline", "ms"), sums("baseline", "ms_squared")), (30, 900));
    // 6 fresh tokens at 1, 4 cached at 0.1, 5 of answer at 2 millionths of a dollar: 16.4, as 17 where it is squared
    assert_eq!((sums("baseline", "priced"), sums("baseline", "nanousd")), (1, 16_400));
    assert_eq!((sums("baseline", "tokens"), sums("baseline", "tokens_squared")), (15, 225));
    assert_eq!((sums("baseline", "microusd_squared"), sums("baseline", "tokens_microusd")), (289, 255));
}

/// The canary fails the request, and the primary answers it.
fn fall_back(text: &str) {
    assert_eq!(attempt(11, text).as_deref(), Some("cb"));
    answer(11, "500", &[]);
    proxy_on_delete(11);
    assert_eq!(attempt(12, text).as_deref(), Some("ca"));
    answer(12, "200", JSON);
    held(12, ANSWER, true);
    finish(10);
}

#[test]
fn a_canary_that_fails_counts_once_and_the_fallback_counts_for_nobody() {
    rolling(10_000);
    let text = body("live", false);
    chat(10, "all", &text);
    fall_back(&text);
    assert_eq!((requests("canary", "server_error"), counted(&["turnout_arm_requests"])), (1, 1));
    assert_eq!(counted(&["turnout_arm_milliseconds"]) + counted(&["turnout_arm_sums"]), 0);
    assert_eq!(counted(&["turnout_attempts;", "arm=canary", "attempt=fallback", "result=ok"]), 1);
}

#[test]
fn a_canary_whose_circuit_is_open_counts_as_refused_and_the_primary_answers() {
    rolling(10_000);
    let text = body("live", false);
    for n in 0..3 {
        chat(10 + 10 * n, "all", &text);
        attempt(11 + 10 * n, &text);
        answer(11 + 10 * n, "500", &[]);
        proxy_on_delete(11 + 10 * n);
        proxy_on_delete(10 + 10 * n);
    }
    chat(50, "all", &text);
    assert_eq!(attempt(51, &text).as_deref(), Some("ca"));
    answer(51, "200", JSON);
    held(51, ANSWER, true);
    finish(50);
    assert_eq!((requests("canary", "server_error"), requests("canary", "open")), (3, 1));
    assert_eq!(counted(&["turnout_arm_requests;"]), 4);
}

#[test]
fn a_canary_whose_capacity_is_used_up_counts_as_refused() {
    rolling_with(10_000, "up-b\t0\t1\t0");
    let text = body("live", false);
    chat(10, "all", &text);
    assert_eq!(attempt(11, &text).as_deref(), Some("cb"));
    chat(20, "all", &text);
    assert_eq!(attempt(21, &text).as_deref(), Some("ca"));
    assert_eq!((requests("canary", "full"), counted(&["turnout_arm_requests;"])), (1, 1));
}

#[test]
fn a_canary_whose_provider_is_at_its_limit_counts_as_refused() {
    rolling(10_000);
    let text = body("live", false);
    chat(10, "all", &text);
    attempt(11, &text);
    answer(11, "429", &[("retry-after", "9")]);
    held(11, "{}", true);
    proxy_on_delete(11);
    proxy_on_delete(10);
    chat(20, "all", &text);
    assert_eq!(attempt(21, &text).as_deref(), Some("ca"));
    assert_eq!((requests("canary", "rate_limited"), requests("canary", "limited")), (1, 1));
}

#[test]
fn a_warm_up_of_the_canary_is_no_evidence() {
    rolling_with(10_000, "up-b\t0\t0\t60000");
    lanes();
    proxy_on_tick(FRONT_ROOT);
    let calls = fake(|f| f.calls.len());
    assert_eq!(calls, 1);
    set_headers(Map::Call, &[(":status", "500")]);
    fake(|f| f.buffers.insert(Buffer::Call, b"{}".to_vec()));
    proxy_on_http_call_response(FRONT_ROOT, 1, 1, 2, 0);
    assert_eq!((counted(&["turnout_warmups;", "result=server_error"]), counted(&["turnout_arm_"])), (1, 0));
}

#[test]
fn a_stream_counts_its_first_content_and_its_end() {
    rolling(10_000);
    let text = body("live", true);
    chat(10, "all", &text);
    attempt(11, &text);
    answer(11, "200", SSE);
    later(20);
    held(11, TOKEN, false);
    later(50);
    passing(11, DONE, true);
    finish(10);
    assert_eq!(requests("canary", "ok"), 1);
    assert_eq!(counted(&["turnout_arm_first_token_milliseconds;"]), 20);
    assert_eq!(counted(&["turnout_arm_milliseconds;"]), 70);
    assert_eq!(sums("canary", "priced"), 0, "it has no price");
}

#[test]
fn a_request_counts_for_the_period_in_which_it_was_drawn() {
    rolling(1); // the baseline's
    let text = body("live", false);
    chat(10, "all", &text);
    assert_eq!(attempt(11, &text).as_deref(), Some("ca"));
    period("run-2", 10_000, "up-b\t0\t0\t0");
    answer(11, "200", JSON);
    held(11, ANSWER, true);
    finish(10);
    chat(20, "all", &text);
    assert_eq!(attempt(21, &text).as_deref(), Some("cb"));
    answer(21, "200", JSON);
    held(21, ANSWER, true);
    finish(20);
    assert_eq!((requests("baseline", "ok"), counted(&["turnout_arm_requests;", "rollout=run-1"])), (1, 1));
    assert_eq!(counted(&["turnout_arm_requests;", "rollout=run-2;arm=canary;result=ok"]), 1);
    assert_eq!(counted(&["turnout_arm_requests;"]), 2);
}

#[test]
fn a_request_counts_as_drawn_at_once_and_once() {
    rolling(10_000);
    let text = body("live", false);
    chat(10, "all", &text);
    assert_eq!((drawn("canary"), counted(&["turnout_arm_"])), (1, 1));
    fall_back(&text);
    assert_eq!((drawn("canary"), requests("canary", "server_error")), (1, 1));
    assert_eq!(counted(&["turnout_arm_drawn;"]), counted(&["turnout_arm_requests;"]));
}

#[test]
fn a_request_that_ends_before_its_model_is_asked_says_so() {
    rolling(10_000);
    let text = body("live", false);
    chat(10, "all", &text); // its key has no room, say
    finish(10);
    assert_eq!((drawn("canary"), requests("canary", "unasked")), (1, 1));
    chat(20, "all", &text);
    assert_eq!(attempt(21, &text).as_deref(), Some("cb")); // asked: what becomes of it is told by the attempt
    proxy_on_delete(20);
    proxy_on_delete(21);
    assert_eq!((drawn("canary"), requests("canary", "unasked"), requests("canary", "hung_up")), (2, 1, 1));
}

#[test]
fn a_request_whose_model_is_not_to_be_had_counts_as_drawn_too_and_has_one_end() {
    rolling_with(10_000, "up-b\t0\t1\t0");
    let text = body("live", false);
    chat(10, "all", &text);
    assert_eq!(attempt(11, &text).as_deref(), Some("cb"));
    chat(20, "all", &text);
    finish(20); // before any model is asked
    assert_eq!((drawn("canary"), requests("canary", "full"), counted(&["turnout_arm_requests;"])), (2, 1, 1));
}

#[test]
fn who_names_a_model_or_has_no_rollout_counts_for_no_arm() {
    rolling(10_000);
    for (n, model) in [(10, "a"), (20, "a|b"), (30, "alone")] {
        let text = body(model, false);
        chat(n, "all", &text);
        assert_eq!(attempt(n + 1, &text).as_deref(), Some("ca"));
        answer(n + 1, "200", JSON);
        held(n + 1, ANSWER, true);
        finish(n);
    }
    rolling(0);
    let text = body("live", false);
    chat(40, "all", &text);
    assert_eq!(attempt(41, &text).as_deref(), Some("ca"));
    assert_eq!(counted(&["turnout_arm_"]), 0);
}
