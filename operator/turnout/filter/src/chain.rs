//! The chain of one request: which lanes, in which order, chosen before Envoy routes so that a shut lane costs nothing.
//!
//! Impure only through `Doors`: circuits, permits, capacity and chance come from there.

use crate::arm::{self, Drawn};
use crate::circuit::{Door, Rules};
use crate::fit::Need;
use crate::table::{Group, Model, Table};

/// A model of a group: indices in `Table::groups` and `Group::models`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Index of the group.
    pub group: usize,
    /// Index of the model in it.
    pub model: usize,
}

/// What a request asked for, already allowed to its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// A group.
    Group(usize),
    /// Models by name, in this order; a group among them is spelt out.
    Models(Vec<Step>),
}

/// Why a model was passed by without an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passed {
    /// It cannot do this request.
    Unfit,
    /// Its circuit is open, or half-open with every trial taken.
    Open,
    /// It is being let in again, and this request is not of those.
    Recovering,
    /// Its provider wants peace.
    Limited,
    /// Its capacity is used up.
    Full,
}

impl Passed {
    /// As x-turnout-fallback spells it.
    pub fn word(self) -> &'static str {
        match self {
            Passed::Unfit => "unfit",
            Passed::Open => "open",
            Passed::Recovering => "recovering",
            Passed::Limited => "limited",
            Passed::Full => "full",
        }
    }
}

/// The circuits, as a chain sees them.
pub trait Doors {
    /// What a request finds at this lane (an index of `Table::lanes`).
    fn door(&mut self, lane: usize, rules: &Rules) -> Door;
    /// Takes a trial of a half-open lane.
    fn take_permit(&mut self, lane: usize, rules: &Rules) -> bool;
    /// Whether the lane may be asked one more.
    fn has_room(&mut self, lane: usize) -> bool;
    /// Counts a request there, if there is room or `force`; false if there is none.
    fn take_room(&mut self, lane: usize, force: bool) -> bool;
    /// A number below `n`.
    fn draw(&mut self, n: u64) -> u64;
}

/// What was chosen.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Attempts in order, a lane as often in a row as it may be tried.
    pub steps: Vec<Step>,
    /// There is only one lane: it may get one quick retry more.
    pub alone: bool,
    /// The lane whose trial was taken; the first of the chain.
    pub permit: Option<usize>,
    /// The arm of a rollout that the request was drawn for.
    pub drawn: Option<Drawn>,
    /// The lane at which the first attempt has been counted, until that begins.
    pub counted: Option<usize>,
    /// What was passed by on the way to the first attempt, in order. If there are no steps beside full lanes, nobody has
    /// room.
    pub passed: Vec<(Step, Passed)>,
    /// Without any step: Unix ms at which the first lane is ready again that is only at its limit.
    pub paused: Option<u64>,
}

/// Chooses. `key`: who asks; `attempts`: how often in a row a lane is tried.
pub fn choose(table: &Table, wish: &Wish, key: &str, need: &Need, attempts: usize, doors: &mut impl Doors) -> Chain {
    let mut choice = Choice {
        table,
        doors,
        need,
        unfit: Vec::new(),
        lanes: Vec::new(),
        last_resorts: Vec::new(),
        asked: Vec::new(),
        passed: Vec::new(),
        soonest: None,
        paused: None,
        permit: None,
    };
    let mut drawn = None;
    match wish {
        Wish::Group(index) => {
            if let Some(group) = table.groups.get(*index) {
                drawn = arm::draw(*index, group, key, need, |n| choice.doors.draw(n));
                choice.next(drawn.map_or(Step { group: *index, model: 0 }, |d| d.step), false);
                choice.fallbacks(*index, group);
            }
        }
        Wish::Models(steps) => steps.iter().for_each(|step| choice.next(*step, steps.len() == 1)),
    }
    choice.close();
    let counted = choice.spill();
    let Choice { lanes, permit, paused, mut passed, .. } = choice;
    passed.retain(|(step, _)| lanes.first() != Some(step)); // as a last resort it is asked after all
    let steps = lanes.iter().flat_map(|step| std::iter::repeat(*step).take(attempts)).collect();
    Chain { steps, alone: lanes.len() == 1, permit, drawn, counted, passed, paused }
}

struct Choice<'a, D> {
    table: &'a Table,
    doors: &'a mut D,
    need: &'a Need,
    lanes: Vec<Step>,
    unfit: Vec<Step>,
    last_resorts: Vec<Step>,
    asked: Vec<(usize, bool)>,
    passed: Vec<(Step, Passed)>,
    soonest: Option<(u64, Step)>,
    paused: Option<u64>,
    permit: Option<usize>,
}

impl<'a, D: Doors> Choice<'a, D> {
    fn fallbacks(&mut self, index: usize, group: &Group) {
        for (model, entry) in group.models.iter().enumerate() {
            if entry.fallback {
                self.next(Step { group: index, model }, false);
            }
        }
    }

    /// Appends a lane if it is open, and not yet in the chain. A lane that is `wanted` by name is not left to the ramp.
    fn next(&mut self, step: Step, wanted: bool) {
        if self.knows(step) {
            return;
        }
        if self.door(step) {
            self.lanes.push(step);
        } else if wanted && self.last_resorts.contains(&step) {
            self.last_resorts.clear();
            self.lanes.push(step);
        }
    }

    /// The end: lanes that are only good as a last resort. If there is none at all, the one that opens soonest, unless one
    /// is well and only at its limit: then to wait helps, and to ask does not. If none could do this request, the one that
    /// is said to take most.
    fn close(&mut self) {
        for step in std::mem::take(&mut self.last_resorts) {
            if !self.knows(step) {
                self.lanes.push(step);
            }
        }
        if self.lanes.is_empty() && self.paused.is_none() {
            let window = |step: &Step| self.model(*step).map_or(0, |m| m.talent.window);
            let widest = self.unfit.iter().rev().copied().max_by_key(window);
            self.lanes.extend(self.soonest.map(|(_, step)| step).or(widest));
        }
    }

    /// Counts the request at the first lane that has room; those before it are passed by.
    fn spill(&mut self) -> Option<usize> {
        while let Some(step) = self.lanes.first().copied() {
            let lane = self.model(step).map_or(usize::MAX, |m| m.lane);
            if self.doors.take_room(lane, self.permit == Some(lane)) {
                return Some(lane);
            }
            self.passed.push((self.lanes.remove(0), Passed::Full));
        }
        None
    }

    fn pass(&mut self, step: Step, why: Passed) {
        if self.lanes.is_empty() {
            self.passed.push((step, why));
        }
    }

    fn model(&self, step: Step) -> Option<&'a Model> {
        self.table.model(step.group, step.model)
    }

    /// Whether a request may pass. Each lane is asked once: a ramp is one draw, not two.
    fn door(&mut self, step: Step) -> bool {
        let model = match self.model(step) {
            Some(model) => model,
            None => return false,
        };
        if !self.need.met_by(&model.talent) {
            if !self.unfit.contains(&step) {
                self.unfit.push(step);
                self.pass(step, Passed::Unfit);
            }
            return false;
        }
        if let Some((_, answer)) = self.asked.iter().find(|(lane, _)| *lane == model.lane) {
            return *answer;
        }
        let answer = self.ask(step, model.lane, &model.rules);
        self.asked.push((model.lane, answer));
        answer
    }

    fn ask(&mut self, step: Step, lane: usize, rules: &Rules) -> bool {
        match self.doors.door(lane, rules) {
            Door::Open => return true,
            // a trial only as the first of a chain, so that it really happens
            Door::Permit if self.may_try(lane) && self.doors.take_permit(lane, rules) => {
                self.permit = Some(lane);
                return true;
            }
            Door::Permit | Door::Ramping => {
                self.last_resorts.push(step);
                self.pass(step, Passed::Recovering);
            }
            Door::Paused(until) => {
                self.paused = Some(self.paused.map_or(until, |best| best.min(until)));
                self.pass(step, Passed::Limited);
            }
            Door::Shut(until) => {
                if self.soonest.map_or(true, |(best, _)| until < best) {
                    self.soonest = Some((until, step));
                }
                self.pass(step, Passed::Open);
            }
        }
        false
    }

    fn may_try(&mut self, lane: usize) -> bool {
        self.lanes.is_empty() && self.permit.is_none() && self.doors.has_room(lane)
    }

    /// Whether the chain has this lane already; two models may share one.
    fn knows(&self, step: Step) -> bool {
        let lane = |s: &Step| self.model(*s).map(|m| m.lane);
        self.lanes.iter().any(|known| lane(known) == lane(&step))
    }
}
