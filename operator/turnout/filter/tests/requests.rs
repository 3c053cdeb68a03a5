//! Requests on their way to a provider: rights, our own answers, what each provider is sent.

mod common;
use common::*;
use turnout_filter::entry::{proxy_on_delete, proxy_on_response_headers};
use turnout_filter::host::{fake, Map};

fn refused(status: u16, code: &str) {
    let (found, body) = reply().expect("a reply");
    assert_eq!(found, status, "{}", body);
    assert!(body.contains(code), "{}", body);
    assert_eq!(header(Map::Request, "x-turnout-reply").as_deref(), Some("1"));
}

#[test]
fn a_provider_is_sent_its_own_path_host_credential_and_model() {
    router();
    let text = body("live", false);
    assert_eq!(chat(10, "all", &text), CONTINUE);
    assert_eq!(header(Map::Request, "x-turnout-group").as_deref(), Some("live"));
    assert_eq!(header(Map::Request, "x-turnout-key").as_deref(), Some("all"));
    assert_eq!(header(Map::Request, "x-envoy-max-retries").as_deref(), Some("1"));
    assert_eq!(header(Map::Request, "x-envoy-upstream-rq-per-try-timeout-ms").as_deref(), Some("5000"));
    assert_eq!(attempt(11, &text).as_deref(), Some("ca"));
    assert_eq!(header(Map::Request, ":path").as_deref(), Some("/api/v1/chat/completions"));
    assert_eq!(header(Map::Request, ":authority").as_deref(), Some("a.example"));
    assert_eq!(header(Map::Request, "authorization").as_deref(), Some("Bearer sk-a"));
    assert_eq!(sent(), body("up-a", false));
    assert_eq!(header(Map::Request, "content-length"), Some(sent().len().to_string()));
}

#[test]
fn the_next_provider_never_gets_the_credential_of_the_one_before() {
    router();
    let text = body("live", false);
    chat(10, "all", &text);
    attempt(11, &text);
    answer(11, "500", &[]);
    assert_eq!(header(Map::Response, "x-turnout-retry").as_deref(), Some("1"));
    proxy_on_delete(11);
    assert_eq!(attempt(12, &text).as_deref(), Some("cb"));
    assert_eq!(header(Map::Request, "authorization"), None);
    assert_eq!(header(Map::Request, ":path").as_deref(), Some("/chat/completions"));
    assert_eq!(sent(), body("up-b", false));
}

#[test]
fn a_request_whose_state_is_lost_is_never_sent() {
    router();
    let text = body("live", false);
    chat(10, "all", &text);
    fake(|f| f.properties.insert("turnout".into(), vec![9, 9, 9, 9]));
    assert_eq!((attempt(11, &text), reply().unwrap().0), (None, 503));
    fake(|f| f.properties.remove("turnout"));
    assert_eq!((attempt(12, &text), reply().unwrap().0), (None, 503));
}

#[test]
fn a_cluster_that_we_did_not_choose_gets_no_credential() {
    router();
    let text = body("live", false);
    chat(10, "all", &text);
    fake(|f| f.properties.insert("lane".into(), b"elsewhere".to_vec()));
    assert_eq!((attempt(11, &text), reply().unwrap().0), (None, 503));
    assert_eq!(header(Map::Request, "authorization"), None);
}

#[test]
fn keys_get_what_they_may_and_no_more() {
    router();
    for (key, method, path, status, code) in [
        ("nobody", "GET", "/v1/models", 401, "invalid_api_key"),
        ("all", "GET", "/v1/nothing?x", 404, "unknown_url"),
        ("all", "GET", "/v1/chat/completions", 405, "method_not_supported"),
        ("all", "POST", "/v1/models", 405, "method_not_supported"),
        ("embed", "POST", "/v1/chat/completions", 403, "insufficient_permissions"),
        ("chat", "POST", "/v1/embeddings", 403, "insufficient_permissions"),
        ("chat", "GET", "/v1/auth/verify", 200, "\"expiresAt\":\"1970-01-01T00:33:20Z\""),
        ("chat", "GET", "/v1/models", 200, "\"id\":\"live\""),
    ] {
        assert_eq!(arrive(20, key, method, path), PAUSE);
        refused(status, code);
        proxy_on_delete(20);
    }
    assert_eq!(chat(21, "chat", &body("whole", false)), PAUSE);
    refused(403, "model_not_found");
    assert_eq!(chat(22, "chat", &body("nothing", false)), PAUSE);
    refused(404, "model_not_found");
    later(1_000_000);
    assert_eq!(arrive(23, "chat", "GET", "/v1/models"), PAUSE);
    refused(401, "expired");
}

#[test]
fn requests_are_counted_by_the_slot_of_their_token_which_tells_its_id() {
    router();
    let shown = |name: &str, slot: u64| {
        let series = format!("turnout_token_{};key=all;slot={}", name, slot);
        fake(|f| f.metrics.get(&series).cloned().unwrap_or_default())
    };
    for (client, path) in [("all/0a", "/v1/models"), ("all/token", "/v1/nothing"), ("all/0a", "/v1/auth/verify")] {
        arrive_with(25, client, "GET", path);
        proxy_on_delete(25);
    }
    assert_eq!((shown("requests", 0), shown("requests", 2)), (vec![1], vec![1]));
    assert_eq!((shown("last_used_id", 0), shown("last_used_id", 2)), (vec![0], vec![0x10a]));
    assert_eq!(shown("last_used_timestamp_seconds", 2), vec![1_000]);
    assert_eq!(counted(&["turnout_token_requests;"]), 2);
}

#[test]
fn the_list_of_models_is_openais_and_names_only_what_the_key_may_use() {
    router();
    arrive(30, "chat", "GET", "/v1/models");
    let item = |id: &str| format!(r#"{{"id":"{}","object":"model","created":0,"owned_by":"turnout"}}"#, id);
    let list = format!(r#"{{"object":"list","data":[{},{},{}]}}"#, item("live"), item("a"), item("b"));
    assert_eq!(reply(), Some((200, list)));
}

#[test]
fn a_body_that_names_no_model_is_our_own_400() {
    router();
    for (n, text) in ["", "{", "[]", "{}", r#"{"model":1}"#, r#"{"model":"a","model":"a"}"#].iter().enumerate() {
        assert_eq!(chat(40 + n as u32, "all", text), PAUSE);
        refused(400, "invalid_request_error");
    }
}

/// Of the key `all`, which has 1,000 a minute.
const HITS_A_TOKEN: usize = 1_000_000;

#[test]
fn tokens_are_reserved_from_the_body_and_its_maximum() {
    router();
    let reserved = |text: &str| {
        assert_eq!(chat(50, "all", text), CONTINUE);
        header(Map::Request, "x-turnout-tpm").unwrap().parse::<usize>().unwrap() / HITS_A_TOKEN
    };
    let text = r#"{"model":"live","max_tokens":900,"messages":[]}"#;
    assert_eq!(reserved(text), text.len() / 4 + 900);
    assert_eq!(reserved(&body("live", false)), body("live", false).len() / 4 + 500);
    assert_eq!(header(Map::Request, "x-turnout-rpm").as_deref(), Some("15000000"), "a sixtieth of a minute's hits");
}

#[test]
fn what_can_never_fit_into_a_minute_is_told_so() {
    router();
    for most in ["1000", "99999999999999999999"] {
        let text = format!(r#"{{"model":"live","max_tokens":{}}}"#, most);
        assert_eq!(chat(51, "all", &text), PAUSE);
        refused(429, "Limit 1000, Requested 1");
    }
    assert_eq!(chat(52, "chat", r#"{"model":"live","max_tokens":99999999999999999999}"#), CONTINUE, "has no limit");
    assert_eq!(header(Map::Request, "x-turnout-tpm"), None);
}

/// The answer's headers as limiters leave them: limit, remaining and reset of each.
fn told(status: &str, said: &[(&str, &str, &str)]) {
    let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let each = said.iter().flat_map(|(limit, left, reset)| names.iter().copied().zip([*limit, *left, *reset]));
    set_headers(Map::Response, &std::iter::once((":status", status)).chain(each).collect::<Vec<_>>());
    proxy_on_response_headers(60, 5, 0);
    names.iter().for_each(|name| assert_eq!(header(Map::Response, name), None));
}

/// What the client then reads: limit, remaining, reset.
fn read(unit: &str) -> [String; 3] {
    ["limit", "remaining", "reset"]
        .map(|kind| header(Map::Response, &format!("x-ratelimit-{}-{}", kind, unit)).unwrap_or_default())
}

const RPM: &str = "900000000";
const TPM: &str = "1000000000";

#[test]
fn rate_limits_are_told_in_openais_words() {
    router();
    chat(60, "all", &body("live", false));
    told("200", &[(TPM, "490000000", "0"), (RPM, "885000000", "0")]);
    assert_eq!(read("tokens"), ["1000", "490", "31s"]);
    assert_eq!(read("requests"), ["60", "59", "1s"]);
    assert_eq!(header(Map::Response, "retry-after"), None);
    chat(61, "chat", &body("live", false));
    set_headers(Map::Response, &[(":status", "200"), ("x-ratelimit-limit", RPM)]);
    proxy_on_response_headers(61, 3, 0);
    assert_eq!(read("requests"), ["", "", ""], "a key without limits has none to tell");
}

#[test]
fn what_is_left_at_the_rate_limit_service_counts_if_it_is_less() {
    router();
    chat(60, "all", &body("live", false));
    let window = format!("{}, {};w=60", RPM, RPM);
    told("200", &[(&window, "450000000", "17"), (RPM, "885000000", "0")]);
    assert_eq!(read("requests"), ["60", "30", "17s"]);
    told("200", &[(&window, "900000000", "60"), (RPM, "0", "0")]);
    assert_eq!(read("requests"), ["60", "0", "1m0s"]);
}

#[test]
fn a_refusal_says_when_to_ask_again() {
    router();
    let window = format!("{}, {};w=60", TPM, TPM);
    chat(60, "all", r#"{"messages":[],"model":"live","max_tokens":589}"#); // 600 with its prompt
    for (said, seconds, why) in [
        (vec![(RPM, "0", "0")], "1", "a sixtieth of a minute brings the next request"),
        (vec![(TPM, "100000000", "0"), (RPM, "800000000", "0")], "30", "half of the tokens are missing"),
        (vec![(TPM, "700000000", "0"), (RPM, "800000000", "0")], "36", "they count for other routers as well"),
        (vec![(&window, "0", "43"), (TPM, "900000000", "0"), (RPM, "0", "0")], "43", "the service's next window"),
    ] {
        told("429", &said);
        assert_eq!(header(Map::Response, "retry-after").as_deref(), Some(seconds), "{}", why);
    }
    told("429", &[(TPM, "1000000000", "0"), (RPM, "800000000", "0")]);
    assert_eq!(header(Map::Response, "retry-after"), None);
    assert_eq!(header(Map::Response, "x-should-retry").as_deref(), Some("false"), "more than a full bucket");
    set_headers(Map::Response, &[(":status", "429")]);
    proxy_on_response_headers(60, 2, 0);
    assert_eq!(header(Map::Response, "retry-after"), None, "no limiter of ours has refused");
}

#[test]
fn a_broken_table_is_refused_and_the_one_before_stays() {
    router();
    assert_eq!(configure_front(&TABLE.replace("key\tall", "kee\tall")), 0);
    assert_eq!(chat(70, "all", &body("live", false)), CONTINUE);
}
