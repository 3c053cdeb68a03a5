//! Envoy, as safe functions. The only module that calls the ABI; natively `fake.rs` stands in for it.

use crate::abi;
use crate::headers::Headers;
use std::ptr::null_mut;

/// Headers of one side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Map {
    /// The request's.
    Request = 0,
    /// The response's.
    Response = 2,
    /// Those of the answer to an HTTP call of ours.
    Call = 6,
}

/// Bytes that Envoy holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Buffer {
    /// The request's body, as far as it has come and is held.
    Request = 0,
    /// The response's body, likewise.
    Response = 1,
    /// The answer of an HTTP call of ours.
    Call = 4,
    /// The configuration of this role.
    Configuration = 7,
}

/// What a number is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// Only rises.
    Counter = 0,
    /// Is what it was last set to.
    Gauge = 1,
    /// Of milliseconds.
    Histogram = 2,
}

const REQUEST_STREAM: u32 = 0;
const RESPONSE_STREAM: u32 = 1;
const WARN: u32 = 3;

/// Memory that Envoy allocated with `proxy_on_memory_allocate` and handed over.
fn owned(data: *mut u8, len: usize) -> Vec<u8> {
    if data.is_null() {
        return Vec::new();
    }
    // SAFETY: proxy_on_memory_allocate made it as a Vec<u8> of exactly this capacity, and Envoy keeps no pointer to it.
    unsafe { Vec::from_raw_parts(data, len, len) }
}

/// Calls a function of the form `(…, out, len) -> status`.
fn fetch(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let (mut data, mut len) = (null_mut(), 0);
    let status = call(&mut data, &mut len);
    let bytes = owned(data, len);
    Some(bytes).filter(|_| status == 0)
}

/// At most `most` bytes of a buffer from `start` on.
pub fn buffer(kind: Buffer, start: usize, most: usize) -> Vec<u8> {
    // SAFETY: out and len live through the call.
    fetch(|out, len| unsafe { abi::proxy_get_buffer_bytes(kind as u32, start, most, out, len) }).unwrap_or_default()
}

/// Puts `bytes` in the place of `size` bytes from `start` on.
pub fn set_buffer(kind: Buffer, start: usize, size: usize, bytes: &[u8]) {
    // SAFETY: bytes lives through the call.
    unsafe { abi::proxy_set_buffer_bytes(kind as u32, start, size, bytes.as_ptr(), bytes.len()) };
}

/// All headers of one side.
pub fn headers(map: Map) -> Headers {
    // SAFETY: as in `buffer`.
    let bytes = fetch(|out, len| unsafe { abi::proxy_get_header_map_pairs(map as u32, out, len) });
    Headers::new(bytes.unwrap_or_default())
}

/// Sets a header, whatever stood there.
pub fn set_header(map: Map, name: &str, value: &str) {
    // SAFETY: both live through the call.
    unsafe {
        abi::proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len());
    }
}

/// Takes a header away.
pub fn drop_header(map: Map, name: &str) {
    // SAFETY: name lives through the call.
    unsafe { abi::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) };
}

/// Data shared by all workers, and the number with which `set_shared` can tell whether it changed meanwhile.
pub fn shared(key: &str) -> Option<(Vec<u8>, u32)> {
    let mut cas = 0;
    // SAFETY: as in `buffer`.
    let bytes = fetch(|out, len| unsafe { abi::proxy_get_shared_data(key.as_ptr(), key.len(), out, len, &mut cas) });
    bytes.map(|b| (b, cas))
}

/// Writes shared data if nobody did since it was read with `cas`; 0 writes in any case. False if somebody did.
pub fn set_shared(key: &str, value: &[u8], cas: u32) -> bool {
    // SAFETY: both live through the call.
    unsafe { abi::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) == 0 }
}

/// A property of the stream; empty if there is none.
pub fn property(path: &str) -> Vec<u8> {
    // SAFETY: as in `buffer`.
    fetch(|out, len| unsafe { abi::proxy_get_property(path.as_ptr(), path.len(), out, len) }).unwrap_or_default()
}

/// Leaves `value` in the request's filter state, as `wasm.` + name.
pub fn set_property(name: &str, value: &[u8]) {
    // SAFETY: both live through the call.
    unsafe { abi::proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

thread_local! {
    static NOW_MS: std::cell::Cell<u64> = std::cell::Cell::new(0);
}

/// A callback begins: the clock is looked at anew, once, when it is first asked for.
pub fn begin_callback() {
    NOW_MS.with(|now| now.set(0));
}

/// Nanoseconds since 1970.
pub fn now_ns() -> u64 {
    let mut nanoseconds = 0;
    // SAFETY: it lives through the call.
    unsafe { abi::proxy_get_current_time_nanoseconds(&mut nanoseconds) };
    nanoseconds
}

/// Milliseconds since 1970, the same for the whole of a callback.
pub fn now_ms() -> u64 {
    NOW_MS.with(|now| {
        if now.get() == 0 {
            now.set(now_ns() / 1_000_000);
        }
        now.get()
    })
}

/// A metric's number.
pub fn define_metric(kind: MetricKind, name: &str) -> u32 {
    let mut id = 0;
    // SAFETY: both live through the call.
    unsafe { abi::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) };
    id
}

/// Adds to a counter.
pub fn increment(id: u32, by: u64) {
    let by = i64::try_from(by).unwrap_or(i64::MAX);
    if by > 0 {
        // SAFETY: takes no pointer.
        unsafe { abi::proxy_increment_metric(id, by) };
    }
}

/// Adds a value to a histogram, or sets a gauge.
pub fn record(id: u32, value: u64) {
    // SAFETY: takes no pointer.
    unsafe { abi::proxy_record_metric(id, value) };
}

/// Calls `on_tick` of this role so often.
pub fn tick_every(ms: u32) {
    // SAFETY: takes no pointer.
    unsafe { abi::proxy_set_tick_period_milliseconds(ms) };
}

/// Makes the following calls concern this stream.
pub fn act_on(context: u32) {
    // SAFETY: takes no pointer.
    unsafe { abi::proxy_set_effective_context(context) };
}

/// Lets a held request go on, after the current callback.
pub fn continue_request() {
    // SAFETY: takes no pointer.
    unsafe { abi::proxy_continue_stream(REQUEST_STREAM) };
}

/// Lets a held response go on, after the current callback.
pub fn continue_response() {
    // SAFETY: takes no pointer.
    unsafe { abi::proxy_continue_stream(RESPONSE_STREAM) };
}

/// Resets the stream.
pub fn close() {
    // SAFETY: takes no pointer.
    unsafe { abi::proxy_close_stream(RESPONSE_STREAM) };
}

/// Answers the request in place of everybody behind this filter.
pub fn reply(status: u16, headers: &[(&str, &str)], body: &str) {
    let (headers, details) = (Headers::serialise(headers), "turnout");
    // SAFETY: all live through the call.
    unsafe {
        abi::proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        );
    }
}

/// Asks a cluster; the answer comes to `on_call` with this number. None if Envoy does not know the cluster.
pub fn call(cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout_ms: u32) -> Option<u32> {
    let (headers, trailers, mut token) = (Headers::serialise(headers), Headers::serialise(&[]), 0);
    // SAFETY: all live through the call.
    let status = unsafe {
        abi::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout_ms,
            &mut token,
        )
    };
    Some(token).filter(|_| status == 0)
}

/// A warning in Envoy's log.
pub fn warn(message: &str) {
    // SAFETY: message lives through the call.
    unsafe { abi::proxy_log(WARN, message.as_ptr(), message.len()) };
}
