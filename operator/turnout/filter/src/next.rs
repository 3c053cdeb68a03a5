//! After a failed attempt: what may still be tried, and where Envoy goes next.

use crate::breaker;
use crate::cell::draw;
use crate::chain::Step;
use crate::circuit::Door;
use crate::host;
use crate::load;
use crate::request::{self, Request};

/// Milliseconds without which no attempt begins: enough to reach a provider of the same continent.
pub const LEAST_MS: u64 = 50;

/// Leaves out of the rest of the chain what cannot help any more: lanes that have been shut meanwhile or are full, and
/// models whose window is not larger than `window` (0: all may). Past the deadline nothing is left.
pub fn replan(r: &mut Request, now: u64, window: u64) {
    let late = r.deadline < now.saturating_add(LEAST_MS);
    let ahead = r.chain.steps.split_off(r.begun.min(r.chain.steps.len()));
    let kept: Vec<Step> = ahead.into_iter().filter(|step| !late && may_help(r, *step, now, window)).collect();
    r.chain.steps.extend(kept);
    r.chain.alone &= !late && window == 0;
    if let Some(lane) = r.step_of(r.begun).and_then(|s| r.lane(s)) {
        host::set_property(request::NEXT, r.cluster(lane).as_bytes());
    }
}

fn may_help(r: &Request, step: Step, now: u64, window: u64) -> bool {
    let (model, lane) = match (r.model(step), r.lane(step)) {
        (Some(model), Some(lane)) => (model, lane),
        _ => return false,
    };
    let open = !matches!(breaker::read(&lane.id).door(&model.rules, now, draw), Door::Shut(_) | Door::Paused(_));
    open && load::has_room(lane, now) && (window == 0 || model.talent.window > window)
}
