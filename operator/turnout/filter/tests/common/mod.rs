//! A router in miniature: the filter's roles around the fake Envoy, driven as Envoy drives them.
#![allow(dead_code)]

use turnout_filter::entry::*;
use turnout_filter::host::{fake, Buffer, Map};

/// Two lanes on different endpoints, the second without a credential; a live, a complete and a lonely group.
pub const TABLE: &str = "turnout\t7
lane\tla\tca\ta.example\t/api/v1\tauthorization\tBearer sk-a\tup-a\t0\t0\t0
lane\tlb\tcb\tb.example\t\t\t\tup-b\t0\t0\t0
group\talone\t1000\t5000\t2000\t60000\t1\tlive
model\talone\ta\tla\t1\t3\t1000\t2\t0\t0\t0\t0\t0\t*
group\tlive\t1000\t5000\t2000\t60000\t1\tlive
model\tlive\ta\tla\t1\t3\t1000\t2\t0\t1000000\t100000\t2000000\t0\t*
model\tlive\tb\tlb\t1\t3\t1000\t2\t0\t0\t0\t0\t0\t*
group\twhole\t1000\t5000\t2000\t60000\t1\tcomplete
model\twhole\ta\tla\t1\t3\t1000\t2\t0\t0\t0\t0\t0\t*
model\twhole\tb\tlb\t1\t3\t1000\t2\t0\t0\t0\t0\t0\t*
key\tall\t*\t*\t60\t1000\t0
token\tall\ttoken\t0\t0
token\tall\t0a\t2\t0
key\tchat\tchat:create\tlive\t0\t0\t0
token\tchat\tother\t0\t1000
token\tchat\ttoken\t1\t2000000
key\tembed\tembeddings:create\t*\t0\t0\t0
token\tembed\ttoken\t0\t0
";

pub const FRONT_ROOT: u32 = 1;
pub const LANE_ROOT: u32 = 2;
pub const STATUS_ROOT: u32 = 3;
pub const PAUSE: u32 = 1;
pub const CONTINUE: u32 = 0;

fn configure(root: u32, text: &str) -> u32 {
    fake(|f| f.buffers.insert(Buffer::Configuration, text.as_bytes().to_vec()));
    proxy_on_configure(root, text.len())
}

/// All roles, at Unix ms 1,000,000.
pub fn router() {
    fake(|f| f.now = 1_000_000);
    assert_eq!(
        (configure(FRONT_ROOT, TABLE), configure(LANE_ROOT, "lane"), configure(STATUS_ROOT, "status")),
        (1, 1, 1)
    );
}

pub fn configure_front(text: &str) -> u32 {
    configure(FRONT_ROOT, text)
}

pub fn later(ms: u64) {
    fake(|f| f.now += ms);
}

pub fn header(map: Map, name: &str) -> Option<String> {
    fake(|f| f.headers.entry(map).or_default().iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
}

pub fn set_headers(map: Map, pairs: &[(&str, &str)]) {
    let pairs = pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    fake(|f| f.headers.insert(map, pairs));
}

/// A request of a key at its front; its context is `front`. Returns what the filter did with its headers.
pub fn arrive(front: u32, key: &str, method: &str, path: &str) -> u32 {
    arrive_with(front, &format!("{}/token", key), method, path)
}

/// The same with another of its tokens: KEY/ID.
pub fn arrive_with(front: u32, client: &str, method: &str, path: &str) -> u32 {
    fake(|f| f.reply = None);
    set_headers(Map::Request, &[(":method", method), (":path", path), ("x-turnout-client", client)]);
    proxy_on_context_create(front, FRONT_ROOT);
    proxy_on_request_headers(front, 3, 0)
}

/// A chat request up to the router: its body, as the front leaves it.
pub fn chat(front: u32, key: &str, body: &str) -> u32 {
    if arrive(front, key, "POST", "/v1/chat/completions") == PAUSE && reply().is_some() {
        return PAUSE;
    }
    fake(|f| f.buffers.insert(Buffer::Request, body.as_bytes().to_vec()));
    proxy_on_request_body(front, body.len(), 1)
}

pub fn body(model: &str, stream: bool) -> String {
    format!(r#"{{"messages":[],"model":"{}","stream":{}}}"#, model, stream)
}

/// Envoy begins an attempt where the filter state leads: everything but the callbacks. Returns the cluster.
pub fn begin_attempt(lane: u32, body: &str) -> Vec<u8> {
    let cluster = fake(|f| f.properties["lane"].clone());
    fake(|f| {
        f.reply = None;
        f.properties.insert("xds\0cluster_name".into(), cluster.clone());
        f.buffers.insert(Buffer::Request, body.as_bytes().to_vec());
        f.buffers.insert(Buffer::Response, Vec::new());
    });
    proxy_on_context_create(lane, LANE_ROOT);
    cluster
}

/// Envoy begins an attempt; returns the cluster, or None if the filter refused.
pub fn attempt(lane: u32, body: &str) -> Option<String> {
    let cluster = begin_attempt(lane, body);
    if proxy_on_request_headers(lane, 3, 0) == PAUSE {
        return None;
    }
    assert_eq!(proxy_on_request_body(lane, body.len(), 1), CONTINUE);
    Some(String::from_utf8(cluster).unwrap())
}

/// Streams that were closed or let go on, in order.
pub fn acts() -> Vec<String> {
    fake(|f| f.acts.clone())
}

/// The provider's headers.
pub fn answer(lane: u32, status: &str, pairs: &[(&str, &str)]) -> u32 {
    let mut all = vec![(":status", status)];
    all.extend(pairs);
    set_headers(Map::Response, &all);
    proxy_on_response_headers(lane, 1, 0)
}

/// More of the provider's body, while it is held.
pub fn held(lane: u32, text: &str, end: bool) -> u32 {
    let size = fake(|f| {
        let buffer = f.buffers.entry(Buffer::Response).or_default();
        buffer.extend_from_slice(text.as_bytes());
        buffer.len()
    });
    proxy_on_response_body(lane, size, u32::from(end))
}

/// A piece of a body that passes; returns what goes on to the client.
pub fn passing(lane: u32, text: &str, end: bool) -> String {
    fake(|f| f.buffers.insert(Buffer::Response, text.as_bytes().to_vec()));
    assert_eq!(proxy_on_response_body(lane, text.len(), u32::from(end)), CONTINUE);
    response()
}

pub fn response() -> String {
    fake(|f| String::from_utf8(f.buffers[&Buffer::Response].clone()).unwrap())
}

pub fn sent() -> String {
    fake(|f| String::from_utf8(f.buffers[&Buffer::Request].clone()).unwrap())
}

pub fn reply() -> Option<(u16, String)> {
    fake(|f| f.reply.as_ref().map(|(status, _, body)| (*status, body.clone())))
}

/// The answer passes the front, and the request ends.
pub fn finish(front: u32) {
    proxy_on_response_headers(front, 1, 0);
    proxy_on_delete(front);
}

/// What a metric counted, all series together whose name contains every one of `parts`.
pub fn counted(parts: &[&str]) -> u64 {
    fake(|f| {
        f.metrics.iter().filter(|(n, _)| parts.iter().all(|p| n.contains(p))).map(|(_, v)| v.iter().sum::<u64>()).sum()
    })
}

/// GET /lanes.
pub fn lanes() -> String {
    set_headers(Map::Request, &[(":method", "GET"), (":path", "/lanes")]);
    proxy_on_context_create(9_000, STATUS_ROOT);
    proxy_on_request_headers(9_000, 2, 1);
    proxy_on_delete(9_000);
    reply().unwrap().1
}

pub const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}"#;
pub const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
pub const SSE: &[(&str, &str)] = &[("content-type", "text/event-stream")];
pub const TOKEN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
pub const DONE: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
