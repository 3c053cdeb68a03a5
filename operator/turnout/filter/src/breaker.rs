//! Circuits shared by all workers of a router: read, change, write if nobody was quicker. Impure: Envoy's shared data.
//!
//! Keys: `circuit/LANE` holds `Circuit::to_bytes`; `refusal/LANE` holds "STATUS\tUNIX-MS\tMESSAGE", of any age: it
//! counts while the circuit's `refused` is not 0. `lanes` holds the ids of the lanes of the newest table, one a line.

use crate::cell::draw;
use crate::chain::Doors;
use crate::circuit::{Circuit, Door, Rules};
use crate::host;
use crate::load;
use crate::shared::{self, Record};
use crate::table::{Lane, Table};
use std::fmt::Write;

const LANES: &str = "lanes";

fn key(lane: &str) -> String {
    ["circuit/", lane].concat()
}

/// The circuit of a lane.
pub fn read(lane: &str) -> Circuit {
    shared::read(&key(lane))
}

impl Record for Circuit {
    type Bytes = [u8; 80];
    fn from_bytes(bytes: &[u8]) -> Self {
        Circuit::from_bytes(bytes)
    }
    fn to_bytes(&self) -> Self::Bytes {
        Circuit::to_bytes(*self)
    }
}

fn update(lane: &str, change: impl Fn(&mut Circuit) -> bool) -> bool {
    shared::update(&key(lane), change)
}

/// Takes a trial of a half-open lane.
pub fn take_permit(lane: &str, rules: &Rules, now: u64) -> bool {
    update(lane, |c| c.take_permit(rules, now))
}

/// Gives back a trial that never happened.
pub fn give_back(lane: &str) {
    update(lane, |c| {
        c.give_back();
        true
    });
}

/// A success of a lane.
pub fn succeeded(lane: &str, rules: &Rules, now: u64) {
    update(lane, |c| {
        c.succeeded(rules, now);
        true
    });
}

/// A failure of a lane.
pub fn failed(lane: &str, rules: &Rules, now: u64) {
    update(lane, |c| {
        c.failed(rules, now);
        true
    });
}

/// The provider is at its limit: a pause of so many milliseconds, or a short one if it does not say how long. Those who
/// were on their way when a pause began say nothing new; the first one eases the lane's rate.
pub fn pause(lane: &Lane, now: u64, ms: Option<u64>) {
    let mut eased = None;
    shared::update(&key(&lane.id), |c: &mut Circuit| {
        let calm = c.paused <= now;
        match ms {
            Some(ms) => c.pause(now, ms),
            None => c.limit(now),
        }
        eased = Some(c.paused).filter(|_| calm);
        true
    });
    if let Some(until) = eased {
        load::ease(lane, now, until);
    }
}

/// The provider refused our credential, account or model; kept until the lane's next success.
pub fn refused(lane: &str, status: u16, now: u64, message: &str) {
    let record = format!("{}\t{}\t{}", status, now, message);
    host::set_shared(&["refusal/", lane].concat(), record.as_bytes(), 0);
    update(lane, |c| {
        c.refused = u64::from(status);
        true
    });
}

/// The lane is of no use for so many milliseconds.
pub fn shut(lane: &str, now: u64, ms: u64) {
    update(lane, |c| {
        c.shut(now, ms);
        true
    });
}

/// Notes the lanes of a new table, so that /lanes can list them; a lane that is new gets its circuit.
pub fn announce(table: &Table) {
    let mut ids = String::new();
    for lane in &table.lanes {
        let _ = writeln!(ids, "{}", lane.id);
        if host::shared(&key(&lane.id)).is_none() {
            host::set_shared(&key(&lane.id), &Circuit::default().to_bytes(), 0);
        }
    }
    host::set_shared(LANES, ids.as_bytes(), 0);
}

/// The ids of the newest table's lanes.
pub fn lanes() -> Vec<String> {
    let (bytes, _) = host::shared(LANES).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_string).collect()
}

/// The last refusal of a lane: status, message, Unix ms; None after a success.
pub fn refusal(lane: &str, circuit: &Circuit) -> Option<(u16, String, u64)> {
    if circuit.refused == 0 {
        return None;
    }
    let (bytes, _) = host::shared(&["refusal/", lane].concat())?;
    let text = String::from_utf8_lossy(&bytes);
    let mut words = text.splitn(3, '\t');
    let (status, at) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((status, words.next().unwrap_or_default().to_string(), at))
}

/// The shared circuits, at the time of one request.
pub struct Circuits<'a> {
    table: &'a Table,
    now: u64,
}

impl<'a> Circuits<'a> {
    /// The circuits of `table` at `now` (Unix ms).
    pub fn new(table: &'a Table, now: u64) -> Self {
        Circuits { table, now }
    }
}

impl Doors for Circuits<'_> {
    fn door(&mut self, lane: usize, rules: &Rules) -> Door {
        match self.table.lanes.get(lane) {
            Some(lane) => read(&lane.id).door(rules, self.now, draw),
            None => Door::Shut(u64::MAX),
        }
    }

    fn take_permit(&mut self, lane: usize, rules: &Rules) -> bool {
        self.table.lanes.get(lane).map_or(false, |lane| take_permit(&lane.id, rules, self.now))
    }

    fn has_room(&mut self, lane: usize) -> bool {
        self.table.lanes.get(lane).map_or(false, |lane| load::has_room(lane, self.now))
    }

    fn take_room(&mut self, lane: usize, force: bool) -> bool {
        self.table.lanes.get(lane).map_or(false, |lane| load::take(lane, self.now, force))
    }

    fn draw(&mut self, n: u64) -> u64 {
        draw(n)
    }
}
