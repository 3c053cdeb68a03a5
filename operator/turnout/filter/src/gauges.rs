//! Circuits as gauges: whoever scrapes a router sees which of its lanes are open. Looked at with each tick of the front.
//!
//! Each worker's VM sets what it sees when that has changed; they see the same. A model that is gone is set to closed, so
//! that nobody is woken for it.

use crate::breaker;
use crate::cell::Cell;
use crate::circuit::State;
use crate::metrics::{count, Metric};
use crate::table::Table;
use std::collections::HashMap;

type Shown = HashMap<(String, String), State>;

thread_local! {
    static SHOWN: Cell<Shown> = Cell::new(Shown::default());
}

/// Shows the circuits of all models of all groups at `now` (Unix ms).
pub fn on_tick(table: &Table, now: u64) {
    let states: Vec<State> = table.lanes.iter().map(|lane| breaker::read(&lane.id).state(now)).collect();
    let mut found = Shown::default();
    for group in &table.groups {
        for model in &group.models {
            let state = states.get(model.lane).copied().unwrap_or(State::Closed);
            found.insert((group.name.clone(), model.name.clone()), state);
        }
    }
    let before = SHOWN.with(|shown| shown.with(|shown| std::mem::take(shown))).unwrap_or_default();
    for (names, state) in &found {
        if before.get(names) != Some(state) {
            show(names, *state);
        }
    }
    before.keys().filter(|names| !found.contains_key(*names)).for_each(|names| show(names, State::Closed));
    SHOWN.with(|shown| shown.with(|shown| *shown = found));
}

fn show((group, model): &(String, String), state: State) {
    let number = match state {
        State::Closed => 0,
        State::HalfOpen => 1,
        State::Open => 2,
    };
    count(Metric::Circuit, &[group, model], number);
}
