//! Turnout's filter: one Wasm module for stock Envoy, in three roles that share one VM per worker, and so memory.
//!
//! - **front** (listener): which key asks for what, what it may, and the chain of lanes for this request, chosen before
//!   Envoy routes; at the end the request's statistics.
//! - **lane** (the router's upstream filter, once for each attempt): path, host, credential and model name of this
//!   provider; the judge, which holds an answer until it is known to be one; usage, cost, and the lane's circuit.
//! - **status** (second listener): the circuits as JSON, and drain.
//!
//! Nothing in here may panic: Envoy would throw the worker's VM away, and with it the requests that it holds. So: no
//! indexing, no unwrap, saturating arithmetic. Everything that reads bytes from outside is fuzzed (`fuzz.sh`).
#![deny(missing_docs, unused_must_use)]
#![allow(unknown_lints, unexpected_cfgs)] // `--cfg lint` lets clippy see the real host natively
#![cfg_attr(
    any(target_arch = "wasm32", lint),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)
)]
#![cfg_attr(
    any(target_arch = "wasm32", lint),
    deny(clippy::expect_used, clippy::panic, clippy::unreachable, clippy::string_slice)
)]

#[cfg(any(target_arch = "wasm32", lint))]
mod abi;
pub mod answer;
pub mod arm;
pub mod body;
pub mod breaker;
pub mod cell;
pub mod chain;
pub mod circuit;
pub mod cost;
pub mod entry;
pub mod facts;
pub mod failure;
pub mod fit;
pub mod front;
pub mod gauges;
pub mod headers;
#[cfg_attr(not(any(target_arch = "wasm32", lint)), path = "fake.rs")]
pub mod host;
pub mod json;
pub mod judge;
pub mod lane;
pub mod limits;
pub mod load;
pub mod log;
pub mod metrics;
pub mod next;
pub mod options;
pub mod pause;
pub mod plan;
pub mod provider;
pub mod refusal;
pub mod replies;
pub mod request;
pub mod rights;
pub mod settle;
pub mod shared;
pub mod sse;
pub mod status;
pub mod strain;
pub mod table;
pub mod text;
pub mod tokens;
pub mod totals;
pub mod usage;
pub mod warm;
pub mod watch;
pub mod words;
