//! An Envoy of a few maps, for native tests: the same functions as `host`, answered from memory. Never in the module.

use crate::headers::Headers;
use std::cell::RefCell;
use std::collections::HashMap;

/// Headers of one side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Map {
    /// The request's.
    Request,
    /// The response's.
    Response,
    /// Those of the answer to an HTTP call.
    Call,
}

/// Bytes that Envoy holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Buffer {
    /// The request's body.
    Request,
    /// The response's body.
    Response,
    /// The answer of an HTTP call.
    Call,
    /// The configuration.
    Configuration,
}

/// What a number is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// Only rises.
    Counter,
    /// Is what it was last set to.
    Gauge,
    /// Of milliseconds.
    Histogram,
}

/// Everything that the fake Envoy knows; a test writes and reads it with `fake`.
#[derive(Default)]
pub struct Fake {
    /// Headers of both sides, in order.
    pub headers: HashMap<Map, Vec<(String, String)>>,
    /// Buffers.
    pub buffers: HashMap<Buffer, Vec<u8>>,
    /// Properties, filter state among them without its prefix.
    pub properties: HashMap<String, Vec<u8>>,
    /// Shared data with their versions.
    pub shared: HashMap<String, (Vec<u8>, u32)>,
    /// Unix ms.
    pub now: u64,
    /// Metrics by name: what was counted, or the values recorded.
    pub metrics: HashMap<String, Vec<u64>>,
    /// The local reply, if any: status, headers, body.
    pub reply: Option<(u16, Vec<(String, String)>, String)>,
    /// Streams that were closed or continued: "close 7", "continue 7".
    pub acts: Vec<String>,
    /// Calls made: cluster, path and body; numbered from 1.
    pub calls: Vec<(String, String, String)>,
    names: Vec<String>,
    context: u32,
}

thread_local! {
    static FAKE: RefCell<Fake> = RefCell::new(Fake::default());
}

/// Runs `f` with the fake Envoy of this thread.
pub fn fake<R>(f: impl FnOnce(&mut Fake) -> R) -> R {
    FAKE.with(|fake| f(&mut fake.borrow_mut()))
}

/// At most `most` bytes of a buffer from `start` on.
pub fn buffer(kind: Buffer, start: usize, most: usize) -> Vec<u8> {
    fake(|f| f.buffers.entry(kind).or_default().iter().skip(start).take(most).copied().collect())
}

/// Puts `bytes` in the place of `size` bytes from `start` on; as in Envoy, only at the beginning or the end.
pub fn set_buffer(kind: Buffer, start: usize, size: usize, bytes: &[u8]) {
    fake(|f| {
        let held = f.buffers.entry(kind).or_default();
        assert!(start == 0 || start >= held.len(), "Envoy refuses this");
        let tail = held.get((start + size).min(held.len())..).unwrap_or_default().to_vec();
        held.truncate(start);
        held.extend_from_slice(bytes);
        held.extend(tail);
    });
}

/// All headers of one side.
pub fn headers(map: Map) -> Headers {
    let pairs = fake(|f| f.headers.entry(map).or_default().clone());
    let borrowed: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    Headers::new(Headers::serialise(&borrowed))
}

/// Sets a header.
pub fn set_header(map: Map, name: &str, value: &str) {
    drop_header(map, name);
    fake(|f| f.headers.entry(map).or_default().push((name.to_string(), value.to_string())));
}

/// Takes a header away.
pub fn drop_header(map: Map, name: &str) {
    fake(|f| f.headers.entry(map).or_default().retain(|(n, _)| n != name));
}

/// Shared data and their version.
pub fn shared(key: &str) -> Option<(Vec<u8>, u32)> {
    fake(|f| f.shared.get(key).cloned())
}

/// Writes shared data, if the version is still `cas`, or 0.
pub fn set_shared(key: &str, value: &[u8], cas: u32) -> bool {
    fake(|f| {
        let version = f.shared.get(key).map_or(0, |(_, v)| *v);
        let free = cas == 0 || cas == version;
        if free {
            f.shared.insert(key.to_string(), (value.to_vec(), version + 1));
        }
        free
    })
}

/// A property.
pub fn property(path: &str) -> Vec<u8> {
    fake(|f| f.properties.get(path).cloned().unwrap_or_default())
}

/// Sets a property.
pub fn set_property(name: &str, value: &[u8]) {
    fake(|f| f.properties.insert(name.to_string(), value.to_vec()));
}

/// Nanoseconds since 1970.
pub fn now_ns() -> u64 {
    now_ms().wrapping_mul(1_000_000)
}

/// A callback begins.
pub fn begin_callback() {}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    fake(|f| f.now)
}

/// A metric's number.
pub fn define_metric(_kind: MetricKind, name: &str) -> u32 {
    fake(|f| {
        f.names.push(name.to_string());
        f.names.len() as u32 - 1
    })
}

/// Adds to a counter.
pub fn increment(id: u32, by: u64) {
    fake(|f| {
        let name = f.names[id as usize].clone();
        let values = f.metrics.entry(name).or_insert_with(|| vec![0]);
        values[0] += by;
    });
}

/// Adds a value to a histogram.
pub fn record(id: u32, value: u64) {
    fake(|f| {
        let name = f.names[id as usize].clone();
        f.metrics.entry(name).or_default().push(value);
    });
}

/// Nothing here: tests call `on_tick`.
pub fn tick_every(_ms: u32) {}

/// Notes which stream is meant.
pub fn act_on(context: u32) {
    fake(|f| f.context = context);
}

/// Notes that a request goes on.
pub fn continue_request() {
    fake(|f| f.acts.push(format!("go {}", f.context)));
}

/// Notes that a response goes on.
pub fn continue_response() {
    fake(|f| f.acts.push(format!("continue {}", f.context)));
}

/// Notes that a stream is reset.
pub fn close() {
    fake(|f| f.acts.push(format!("close {}", f.context)));
}

/// Notes a local reply.
pub fn reply(status: u16, headers: &[(&str, &str)], body: &str) {
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    fake(|f| f.reply = Some((status, headers, body.to_string())));
}

/// Notes a call.
pub fn call(cluster: &str, headers: &[(&str, &str)], body: &[u8], _timeout_ms: u32) -> Option<u32> {
    let path = headers.iter().find(|(n, _)| *n == ":path").map_or("", |(_, v)| v);
    fake(|f| {
        f.calls.push((cluster.to_string(), path.to_string(), String::from_utf8_lossy(body).into_owned()));
        u32::try_from(f.calls.len()).ok()
    })
}

/// Says it on standard error.
pub fn warn(message: &str) {
    eprintln!("{}", message);
}
