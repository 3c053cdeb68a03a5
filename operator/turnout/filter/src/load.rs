//! What a lane is being asked, counted over all workers of a router, and whether it may be asked more. Impure: shared data.
//!
//! Key `load/LANE`: the rate, and how many requests each VM has in flight there. A VM writes only its own number, with a
//! beat; one whose beat is old (its VM crashed) counts no more. So nothing is ever leaked.

use crate::cell::{Cell, Numbered};
use crate::shared::{self, Record};
use crate::table::{Capacity, Lane};

/// Milliseconds after which a VM that shows no sign of life has nothing in flight.
const DEAD_MS: u64 = 5_000;
/// Milliseconds between signs of life.
const BEAT_MS: u64 = 1_000;

/// Thousandths of the rate that a refusal takes off, and that come back in so many milliseconds: what a person states and
/// what the provider counts differ by a little, and each refusal may cost a whole Retry-After. The same steps as TCP's
/// (RFC 5681: down by a share, up by a sum), but smaller, because the rate that was stated is about right. A guess.
const EASED: u64 = 20;
const EASED_FOR_MS: u64 = 60_000;
/// A lane keeps so many thousandths of its rate, however often it refuses.
const LEAST_RATE: u64 = 100;

#[derive(Default)]
struct Mine {
    /// This VM's number among all that ever shared the data.
    vm: u64,
    beaten: u64,
    /// In flight by lane.
    lanes: Numbered<String, u64>,
}

thread_local! {
    static MINE: Cell<Mine> = Cell::new(Mine::default());
}

fn with_mine<R>(f: impl FnOnce(&mut Mine) -> R) -> Option<R> {
    MINE.with(|mine| mine.with(f))
}

/// A lane's load as all workers see it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Load {
    /// Unix µs at which the rate would be used up to the last request (GCRA's theoretical arrival time).
    pub tat: u64,
    /// Thousandths of the rate that were taken off at `eased_at`.
    eased: u64,
    /// Unix ms.
    eased_at: u64,
    /// VM, its requests in flight, its last beat (Unix ms).
    holders: Vec<(u64, u64, u64)>,
}

impl Record for Load {
    type Bytes = Vec<u8>;

    fn from_bytes(bytes: &[u8]) -> Load {
        let mut words = bytes.chunks_exact(8).map(|c| <[u8; 8]>::try_from(c).map_or(0, u64::from_le_bytes));
        let mut next = || words.next().unwrap_or(0);
        let (tat, eased, eased_at) = (next(), next(), next());
        let mut holders = Vec::new();
        while let (Some(vm), Some(count), Some(beat)) = (words.next(), words.next(), words.next()) {
            holders.push((vm, count, beat));
        }
        Load { tat, eased, eased_at, holders }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let words = self.holders.iter().flat_map(|(vm, count, beat)| [*vm, *count, *beat]);
        [self.tat, self.eased, self.eased_at].into_iter().chain(words).flat_map(u64::to_le_bytes).collect()
    }
}

impl Load {
    /// Requests in flight at `now` (Unix ms).
    pub fn in_flight(&self, now: u64) -> u64 {
        let alive = self.holders.iter().filter(|(_, _, beat)| now <= beat.saturating_add(DEAD_MS));
        alive.fold(0, |sum, (_, count, _)| sum.saturating_add(*count))
    }

    /// Whether one more may go at `now` (Unix ms).
    ///
    /// The rate is GCRA's (ITU-T I.371): one request each 60 s / rpm, and ten at once, or as many as 10 ms bring: OpenAI
    /// says that it may enforce a limit per minute second by second, so a larger burst would pass it.
    pub fn has_room(&self, capacity: &Capacity, now: u64) -> bool {
        let calm = capacity.concurrent == 0 || self.in_flight(now) < capacity.concurrent;
        let ahead = self.tat.saturating_sub(now.saturating_mul(1000));
        calm && (capacity.rpm == 0 || ahead <= burst_us(capacity))
    }

    /// Thousandths of the stated rate that are asked for at `now` (Unix ms).
    pub fn rate(&self, now: u64) -> u64 {
        let back = now.saturating_sub(self.eased_at).saturating_mul(EASED) / EASED_FOR_MS;
        1000_u64.saturating_sub(self.eased.saturating_sub(back))
    }

    /// The provider says at `now` that it is asked too much, and that it can be asked again from `until` on (Unix ms): a
    /// little less from now on, and not the burst that a rest would bring.
    fn ease(&mut self, capacity: &Capacity, now: u64, until: u64) {
        let rate = self.rate(now).saturating_sub(EASED).max(LEAST_RATE);
        self.eased = 1000_u64.saturating_sub(rate);
        self.eased_at = now;
        self.tat = self.tat.max(until.saturating_mul(1000).saturating_add(burst_us(capacity)));
    }

    fn add(&mut self, capacity: &Capacity, now: u64) {
        if capacity.rpm > 0 {
            let apart = apart_us(capacity).saturating_mul(1000).checked_div(self.rate(now)).unwrap_or(0);
            self.tat = self.tat.max(now.saturating_mul(1000)).saturating_add(apart);
        }
    }

    fn hold(&mut self, vm: u64, count: u64, now: u64) {
        self.holders.retain(|(other, _, beat)| *other != vm && now <= beat.saturating_add(DEAD_MS));
        if count > 0 {
            self.holders.push((vm, count, now));
        }
    }
}

/// Microseconds between two requests.
fn apart_us(capacity: &Capacity) -> u64 {
    60_000_000_u64.checked_div(capacity.rpm).unwrap_or(0)
}

/// How far ahead of the clock requests may be, without the one that is asking.
fn burst_us(capacity: &Capacity) -> u64 {
    let at_once = (capacity.rpm / 6_000).max(capacity.rpm.min(10));
    apart_us(capacity).saturating_mul(at_once.saturating_sub(1))
}

fn key(lane: &str) -> String {
    ["load/", lane].concat()
}

/// A lane's load.
pub fn read(lane: &str) -> Load {
    shared::read(&key(lane))
}

/// Whether a lane may be asked at `now`; a lane without a capacity always.
pub fn has_room(lane: &Lane, now: u64) -> bool {
    lane.capacity == Capacity::default() || read(&lane.id).has_room(&lane.capacity, now)
}

/// Counts a request if there is room for it, or in any case (`force`); false if there is none.
pub fn take(lane: &Lane, now: u64, force: bool) -> bool {
    if lane.capacity == Capacity::default() {
        return true;
    }
    let count = held(&lane.id).saturating_add(1);
    let taken = update(&lane.id, |load| {
        let may = force || load.has_room(&lane.capacity, now);
        if may {
            load.add(&lane.capacity, now);
            load.hold(vm(), count, now);
        }
        may
    });
    if taken {
        keep(&lane.id, count);
    }
    taken
}

/// A lane with a rate said that it is asked too much, and may be asked again from `until` on (Unix ms).
pub fn ease(lane: &Lane, now: u64, until: u64) {
    if lane.capacity.rpm > 0 {
        update(&lane.id, |load| {
            load.ease(&lane.capacity, now, until);
            true
        });
    }
}

/// A request that was counted is over.
pub fn give_back(lane: &Lane, now: u64) {
    if lane.capacity == Capacity::default() {
        return;
    }
    let count = held(&lane.id).saturating_sub(1);
    keep(&lane.id, count);
    update(&lane.id, |load| {
        load.hold(vm(), count, now);
        true
    });
}

/// A sign of life, from time to time, for what is in flight.
pub fn on_tick(now: u64) {
    let due = with_mine(|mine| {
        if now < mine.beaten.saturating_add(BEAT_MS) {
            return Vec::new();
        }
        mine.beaten = now;
        mine.lanes.iter().map(|(lane, count)| (lane.clone(), *count)).collect::<Vec<_>>()
    });
    for (lane, count) in due.unwrap_or_default() {
        update(&lane, |load| {
            load.hold(vm(), count, now);
            true
        });
    }
}

fn update(lane: &str, change: impl Fn(&mut Load) -> bool) -> bool {
    shared::update(&key(lane), change)
}

fn held(lane: &str) -> u64 {
    with_mine(|mine| mine.lanes.get(lane).copied()).flatten().unwrap_or(0)
}

fn keep(lane: &str, count: u64) {
    with_mine(|mine| match count {
        0 => {
            mine.lanes.remove(lane);
        }
        _ => {
            mine.lanes.insert(lane.to_string(), count);
        }
    });
}

/// This VM's number, drawn once from a counter that all VMs share.
fn vm() -> u64 {
    let known = with_mine(|mine| mine.vm).unwrap_or(0);
    if known > 0 {
        return known;
    }
    let mut drawn = u64::MAX;
    let counted = shared::update("vms", |vms: &mut Vms| {
        vms.0 = vms.0.saturating_add(1);
        drawn = vms.0;
        true
    });
    if !counted {
        return u64::MAX;
    }
    with_mine(|mine| mine.vm = drawn);
    drawn
}

/// How many VMs have ever shared the data.
#[derive(Clone, Default, PartialEq)]
struct Vms(u64);

impl Record for Vms {
    type Bytes = [u8; 8];

    fn from_bytes(bytes: &[u8]) -> Vms {
        Vms(<[u8; 8]>::try_from(bytes).map_or(0, u64::from_le_bytes))
    }

    fn to_bytes(&self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    const NOW: u64 = 1_000_000;

    fn lane(id: &str, rpm: u64, concurrent: u64) -> Lane {
        let text = |t: &str| t.to_string();
        let capacity = Capacity { rpm, concurrent };
        let (cluster, authority, prefix, upstream) = (text("c"), text("a"), text(""), text("u"));
        Lane { id: text(id), cluster, authority, prefix, credential: None, upstream, capacity, warm_ms: 0 }
    }

    #[test]
    fn as_many_pass_in_a_minute_as_it_says_and_ten_at_once() {
        let lane = lane("rate", 600, 0);
        let at_once = (0..100).filter(|_| take(&lane, NOW, false)).count();
        assert_eq!(at_once, 10);
        let minute = (0..60_000).filter(|ms| take(&lane, NOW + 1 + ms, false)).count();
        assert!((599..=600).contains(&minute), "{}", minute);
    }

    #[test]
    fn a_refusal_takes_a_fiftieth_off_for_a_minute_and_the_burst_with_it() {
        let lane = lane("eased", 6_000, 0);
        ease(&lane, NOW, NOW + 1_000);
        let passed = |from: u64, to: u64| (from..to).filter(|at| take(&lane, NOW + at, false)).count();
        assert_eq!(passed(1_000, 1_010), 1, "no burst after the rest");
        assert_eq!(passed(1_010, 2_000), 97);
        assert!((98..=99).contains(&(passed(2_000, 60_000) / 58)), "on the way back");
        assert_eq!(passed(60_000, 61_000), 100, "the whole rate again");
        let rate = |refusals: u64| {
            (0..refusals).for_each(|_| ease(&lane, NOW * 2, NOW * 2));
            read("eased").rate(NOW * 2)
        };
        assert_eq!((rate(0), rate(2), rate(98)), (1000, 960, LEAST_RATE));
        assert_eq!(read("eased").rate(NOW * 2 + 45 * EASED_FOR_MS), 1000);
    }

    #[test]
    fn so_many_are_in_flight_and_no_more() {
        let lane = lane("flight", 0, 3);
        let taken = (0..9).filter(|_| take(&lane, NOW, false)).count();
        assert_eq!((taken, read("flight").in_flight(NOW), has_room(&lane, NOW)), (3, 3, false));
        give_back(&lane, NOW);
        assert!(has_room(&lane, NOW) && take(&lane, NOW, false) && take(&lane, NOW, true), "one that must is counted");
        assert_eq!(read("flight").in_flight(NOW), 4);
    }

    #[test]
    fn what_a_dead_worker_held_is_free_again_and_what_a_living_one_holds_is_not() {
        let lane = lane("crash", 0, 2);
        let mut load = Load::default();
        load.hold(99, 2, NOW); // another VM
        host::set_shared(&key("crash"), &load.to_bytes(), 0);
        assert!(!take(&lane, NOW + DEAD_MS, false));
        assert!(take(&lane, NOW + DEAD_MS + 1, false));
        on_tick(NOW + DEAD_MS * 2);
        assert_eq!(read("crash").in_flight(NOW + DEAD_MS * 3), 1);
    }

    #[test]
    fn a_lane_without_a_capacity_touches_nothing() {
        let lane = lane("free", 0, 0);
        assert!(take(&lane, NOW, false) && has_room(&lane, NOW));
        give_back(&lane, NOW);
        assert!(host::shared(&key("free")).is_none());
    }
}
