//! The Proxy-Wasm ABI 0.2.1 as Envoy 1.40 offers it: raw declarations, used by `host` alone.

#[rustfmt::skip]
extern "C" {
    pub fn proxy_get_buffer_bytes(kind: u32, start: usize, max: usize, out: *mut *mut u8, len: *mut usize) -> u32;
    pub fn proxy_set_buffer_bytes(kind: u32, start: usize, size: usize, data: *const u8, len: usize) -> u32;
    pub fn proxy_get_header_map_pairs(map: u32, out: *mut *mut u8, len: *mut usize) -> u32;
    pub fn proxy_replace_header_map_value(map: u32, key: *const u8, key_len: usize, value: *const u8, value_len: usize) -> u32;
    pub fn proxy_remove_header_map_value(map: u32, key: *const u8, key_len: usize) -> u32;
    pub fn proxy_get_shared_data(key: *const u8, key_len: usize, out: *mut *mut u8, len: *mut usize, cas: *mut u32) -> u32;
    pub fn proxy_set_shared_data(key: *const u8, key_len: usize, value: *const u8, value_len: usize, cas: u32) -> u32;
    pub fn proxy_get_property(key: *const u8, key_len: usize, out: *mut *mut u8, len: *mut usize) -> u32;
    pub fn proxy_set_property(key: *const u8, key_len: usize, value: *const u8, value_len: usize) -> u32;
    pub fn proxy_get_current_time_nanoseconds(out: *mut u64) -> u32;
    pub fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, out: *mut u32) -> u32;
    pub fn proxy_increment_metric(id: u32, by: i64) -> u32;
    pub fn proxy_record_metric(id: u32, value: u64) -> u32;
    pub fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    pub fn proxy_set_effective_context(context: u32) -> u32;
    pub fn proxy_continue_stream(kind: u32) -> u32;
    pub fn proxy_close_stream(kind: u32) -> u32;
    pub fn proxy_send_local_response(status: u32, details: *const u8, details_len: usize, body: *const u8, body_len: usize, headers: *const u8, headers_len: usize, grpc: i32) -> u32;
    pub fn proxy_http_call(cluster: *const u8, cluster_len: usize, headers: *const u8, headers_len: usize, body: *const u8, body_len: usize, trailers: *const u8, trailers_len: usize, timeout_ms: u32, out: *mut u32) -> u32;
    pub fn proxy_log(level: u32, message: *const u8, len: usize) -> u32;
}
