//! Circuits as gauges: set when they change, and to closed when their model is gone.

mod common;
use common::*;
use turnout_filter::breaker::shut;
use turnout_filter::entry::proxy_on_tick;
use turnout_filter::host::fake;

fn shown(model: &str) -> Vec<u64> {
    proxy_on_tick(FRONT_ROOT);
    let name = ["turnout_circuit;group=live;model=", model].concat();
    fake(|f| f.metrics.get(&name).cloned().unwrap_or_default())
}

#[test]
fn a_change_is_shown_once_and_a_model_that_is_gone_is_closed() {
    router();
    assert_eq!((shown("a"), shown("b")), (vec![0], vec![0]));
    shut("la", 1_000_000, 1_000);
    assert_eq!((shown("a"), shown("a"), shown("b")), (vec![0, 2], vec![0, 2], vec![0]));
    later(1_000);
    assert_eq!(shown("a"), vec![0, 2, 1]);
    assert_eq!(configure_front("turnout\t7\n"), 1);
    assert_eq!((shown("a"), shown("b")), (vec![0, 2, 1, 0], vec![0, 0]));
}
