//! What an attempt comes to, once it is over: its lane's circuit and capacity, the statistics, what the client is told.

use crate::breaker;
use crate::chain::Step;
use crate::host;
use crate::load;
use crate::log::Tried;
use crate::metrics::{count, Metric, Outcome};
use crate::request::{Request, NEXT};
use crate::warm;
use std::fmt::Write;

impl Request {
    /// What came of the attempt under way: circuit, capacity and statistics, once. `why`: what x-turnout-fallback says of it.
    pub fn settle(&mut self, context: u32, outcome: Outcome, blame: Blame, why: &str) {
        let current = match self.current.filter(|c| c.context == context) {
            Some(current) => current,
            None => return,
        };
        self.current = None;
        let now = host::now_ms();
        self.circuit(current.step, outcome, now, blame);
        if let Some(lane) = self.lane(current.step) {
            load::give_back(lane, now);
            warm::used(lane, self.path, outcome == Outcome::Ok, now);
        }
        self.step = Some(current.step);
        let ms = now.saturating_sub(current.started);
        if let Some(attempts) = &mut self.attempts {
            attempts.push(Tried { step: current.step, outcome, ms });
        }
        let attempt = if current.first { "first" } else { "fallback" };
        let name = self.model(current.step).map(|m| m.name.clone()).unwrap_or_default();
        let group = self.group().map(|g| g.name.as_str()).unwrap_or_default();
        let arm = self.arm();
        count(Metric::Attempts, &[group, &name, arm, attempt, outcome.word()], 1);
        count(Metric::AttemptMs, &[group, &name, arm, attempt], ms);
        self.count_arm(&current, outcome, ms);
        match outcome {
            Outcome::Ok | Outcome::ClientError => self.answered = true,
            Outcome::HungUp => {}
            _ => {
                count(Metric::LostMs, &[group, &name], ms);
                self.failed = self.failed.saturating_add(1);
                self.last = Some(outcome);
                note(&mut self.tried, &name, why);
            }
        }
    }

    /// Notes what was passed by without an attempt.
    pub fn note_passed(&mut self) {
        let mut tried = String::new();
        for (step, why) in &self.chain.passed {
            let name = self.model(*step).map(|m| m.name.as_str()).unwrap_or_default();
            note(&mut tried, name, why.word());
        }
        self.tried = tried;
    }

    /// The attempt under way is done over on its lane, without asking for usage: it counts for nothing.
    pub fn over_again(&mut self, context: u32) {
        let step = match self.current.filter(|c| c.context == context) {
            Some(current) => current.step,
            None => return,
        };
        self.current = None;
        self.begun = self.begun.saturating_sub(1);
        if let (Some(lane), Some(index)) = (self.lane(step), self.model(step).map(|m| m.lane)) {
            load::give_back(lane, host::now_ms());
            host::set_property(NEXT, self.cluster(lane).as_bytes());
            self.plain.push(index);
        }
    }

    /// A fallback follows the attempt that just failed.
    pub fn left(&self, step: Step, outcome: Outcome, next: Step) {
        let group = self.group().map(|g| g.name.as_str()).unwrap_or_default();
        let name = |step| self.model(step).map(|m| m.name.as_str()).unwrap_or_default();
        count(Metric::Fallbacks, &[group, name(step), name(next), outcome.word()], 1);
    }

    /// What an outcome means for the lane's circuit, and for the trial that this request may hold.
    fn circuit(&mut self, step: Step, outcome: Outcome, now: u64, blame: Blame) {
        let (lane, index, rules) = match (self.lane(step), self.model(step)) {
            (Some(lane), Some(model)) => (lane, model.lane, model.rules),
            _ => return,
        };
        let held = self.chain.permit == Some(index);
        match (outcome, blame) {
            (Outcome::Ok | Outcome::ClientError, _) => breaker::succeeded(&lane.id, &rules, now),
            (Outcome::HungUp, _) | (_, Blame::Nobody) => return, // the request's end gives the trial back
            (_, Blame::Pause(ms)) => return breaker::pause(lane, now, ms),
            (_, Blame::Shut(ms)) => breaker::shut(&lane.id, now, ms),
            (_, Blame::Lane) => breaker::failed(&lane.id, &rules, now),
        }
        if held {
            self.chain.permit = None; // the circuit has moved on, which cleared its trials
        }
    }
}

fn note(tried: &mut String, name: &str, why: &str) {
    let comma = if tried.is_empty() { "" } else { ", " };
    let _ = write!(tried, "{}{}={}", comma, name, why);
}

/// What a failure means for its lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// It counts in the circuit.
    Lane,
    /// The provider is at its limit, and gets so many milliseconds of peace; None: it did not say how many.
    Pause(Option<u64>),
    /// The lane is of no use for so many milliseconds.
    Shut(u64),
    /// Nothing: a path that this provider does not have, a prompt that is too long for this model.
    Nobody,
}
