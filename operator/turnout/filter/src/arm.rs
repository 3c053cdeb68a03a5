//! The arms of a canary rollout: which model a request is drawn for, and what its first attempt tells of that model.
//!
//! A request keeps its arm, and counts for the period in which it was drawn, whenever it ends. It counts twice: as drawn at
//! once, so that whoever looks knows of what is under way, and by what became of it, once. That is its first attempt at the
//! model of its arm, that this model was not to be had, or that the request ended before the model was asked; fallbacks,
//! warm-ups and requests for a model by name count for no arm. Requests that one of the two models cannot do are not drawn: the other would get all of them,
//! and they are not like the rest.

use crate::chain::{Passed, Step};
use crate::cost::{Price, Usage};
use crate::fit::Need;
use crate::metrics::{count, Metric, Outcome};
use crate::request::{Current, Request};
use crate::table::Group;

/// All first attempts, in the unit of `Canary::weight`: hundredths of a percent.
pub const WHOLE: u64 = 10_000;
/// Counted of a request that ended before the model of its arm was asked.
const UNASKED: &str = "unasked";
const PICO_PER_NANO: u64 = 1_000;
const PICO_PER_MICRO: u64 = 1_000_000;

/// A rollout under way.
#[derive(Debug)]
pub struct Canary {
    /// Id of this run of the rollout: what a key's place hangs on.
    pub rollout: String,
    /// The run and the period in which evidence is gathered: what the statistics are told apart by.
    pub tag: String,
    /// Index of its model in the group.
    pub canary: usize,
    /// And of the model that it is compared with.
    pub baseline: usize,
    /// Share of first attempts, of `WHOLE`.
    pub weight: u64,
    /// Whether a key always has the same arm.
    pub sticky: bool,
}

/// Which of the two models.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arm {
    /// The one that is there already.
    Baseline,
    /// The new one.
    Canary,
}

impl Arm {
    /// As tags spell it.
    pub fn word(self) -> &'static str {
        match self {
            Arm::Baseline => "baseline",
            Arm::Canary => "canary",
        }
    }
}

/// What a request was drawn for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drawn {
    /// The arm.
    pub arm: Arm,
    /// Its model.
    pub step: Step,
}

/// Draws, if the group (at `index`) has a rollout under way. `chance`: a number below its argument.
pub fn draw(index: usize, group: &Group, key: &str, need: &Need, chance: impl FnOnce(u64) -> u64) -> Option<Drawn> {
    let canary = group.canary.as_ref().filter(|canary| canary.weight > 0)?;
    let fits = |model: usize| group.models.get(model).map_or(false, |m| need.met_by(&m.talent));
    if !fits(canary.canary) || !fits(canary.baseline) {
        return None;
    }
    let place = if canary.sticky { place(&canary.rollout, key) } else { chance(WHOLE) };
    let (arm, model) =
        if place < canary.weight { (Arm::Canary, canary.canary) } else { (Arm::Baseline, canary.baseline) };
    Some(Drawn { arm, step: Step { group: index, model } })
}

/// Where a key stands in a rollout, below `WHOLE`: more weight takes in more keys and lets none out. FNV-1a, then the end
/// of MurmurHash3, as FNV alone spreads short names badly over the higher bits.
fn place(rollout: &str, key: &str) -> u64 {
    let bytes = rollout.bytes().chain([0]).chain(key.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash ^ hash >> 33) % WHOLE
}

impl Request {
    /// Counts that it was drawn; and that the model of its arm was not to be had, if so.
    pub fn count_drawn(&self) {
        let (group, tag, drawn) = match (self.trial(), self.chain.drawn) {
            (Some([group, tag]), Some(drawn)) => (group, tag, drawn),
            _ => return,
        };
        count(Metric::ArmDrawn, &[group, tag, drawn.arm.word()], 1);
        if !self.asks(drawn) {
            let passed = self.chain.passed.iter().find(|(step, _)| *step == drawn.step);
            let why = passed.map_or(Passed::Open, |(_, why)| *why);
            count(Metric::ArmRequests, &[group, tag, drawn.arm.word(), why.word()], 1);
        }
    }

    /// At its end: counts that the model of its arm was to be asked and was not, if so. The client left before, or had no
    /// room in a limit of its key.
    pub fn count_unasked(&self) {
        let drawn = self.chain.drawn.filter(|drawn| self.begun == 0 && self.asks(*drawn));
        if let (Some([group, tag]), Some(drawn)) = (self.trial(), drawn) {
            count(Metric::ArmRequests, &[group, tag, drawn.arm.word(), UNASKED], 1);
        }
    }

    fn asks(&self, drawn: Drawn) -> bool {
        self.chain.steps.first() == Some(&drawn.step)
    }

    /// Counts what an attempt came to after so many milliseconds, if it is the first one at the model of its arm.
    pub fn count_arm(&self, current: &Current, outcome: Outcome, ms: u64) {
        let drawn = self.chain.drawn.filter(|drawn| current.first && drawn.step == current.step);
        let (group, tag, arm) = match (self.trial(), drawn) {
            (Some([group, tag]), Some(drawn)) => (group, tag, drawn.arm.word()),
            _ => return,
        };
        count(Metric::ArmRequests, &[group, tag, arm, outcome.word()], 1);
        if outcome != Outcome::Ok {
            return;
        }
        count(Metric::ArmMs, &[group, tag, arm], ms);
        if let Some(first) = current.first_token {
            count(Metric::ArmFirstTokenMs, &[group, tag, arm], first);
        }
        let add = |of: &str, by: u64| count(Metric::ArmSums, &[group, tag, arm, of], by);
        add("ms", ms);
        add("ms_squared", ms.saturating_mul(ms));
        let price = self.model(current.step).map(|m| m.price).unwrap_or_default();
        if price == Price::default() || self.usage == Usage::default() {
            return;
        }
        // The spread of a ratio of sums needs squares and the product.
        let tokens = self.usage.input.saturating_add(self.usage.output);
        let micro = self.cost.saturating_add(PICO_PER_MICRO - 1) / PICO_PER_MICRO;
        add("priced", 1);
        add("nanousd", self.cost.saturating_add(PICO_PER_NANO / 2) / PICO_PER_NANO);
        add("tokens", tokens);
        add("tokens_squared", tokens.saturating_mul(tokens));
        add("microusd_squared", micro.saturating_mul(micro));
        add("tokens_microusd", tokens.saturating_mul(micro));
    }

    /// The group, and what its rollout counts by, both as they were when the request came.
    fn trial(&self) -> Option<[&str; 2]> {
        let group = self.group()?;
        Some([&group.name, &group.canary.as_ref()?.tag])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_evenly_and_differently_in_each_rollout() {
        let at = |rollout: &str, n: &usize| place(rollout, &format!("key-{}", n));
        let inside = |rollout: &str, weight| (0..10_000).filter(|n| at(rollout, n) < weight).count() as u64;
        for rollout in ["5f2c1a77", "0", "another"] {
            for weight in [500, 2_500, 5_000] {
                let share = inside(rollout, weight);
                assert!(share.abs_diff(weight) < 150, "{} of {}", share, weight);
            }
        }
        let both = (0..10_000).filter(|n| at("a", n) < 5_000 && at("b", n) < 5_000).count() as u64;
        assert!(both.abs_diff(2_500) < 200, "{} have the canary in both", both);
    }
}
