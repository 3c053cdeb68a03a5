//! Chains: order, weights, ramps, trials, last resorts; and what keys may ask for.

use std::collections::HashMap;
use turnout_filter::arm::Arm;
use turnout_filter::chain::{choose, Chain, Doors, Step, Wish};
use turnout_filter::circuit::{Door, Rules};
use turnout_filter::fit::{Features, Need};
use turnout_filter::rights::{resolve, Denied};
use turnout_filter::table::{Key, Table};

const TABLE: &str = "turnout\t7
lane\tla\tca\thost\t/v1\t\t\tua\t0\t0\t0
lane\tlb\tcb\thost\t/v1\t\t\tub\t0\t0\t0
lane\tlc\tcc\thost\t/v1\t\t\tuc\t0\t0\t0
group\tg\t1\t1\t1\t1\t1\tlive
model\tg\ta\tla\t1\t5\t1000\t3\t0\t0\t0\t0\t0\t*
model\tg\tb\tlb\t1\t5\t1000\t3\t0\t0\t0\t0\t0\t*
model\tg\tc\tlc\t0\t5\t1000\t3\t0\t0\t0\t0\t0\t*
canary\tg\trun\trun-1\tc\t2000\t0\ta
group\tother\t1\t1\t1\t1\t1\tlive
model\tother\tx\tlc\t1\t5\t1000\t3\t0\t0\t0\t0\t0\t*
key\tall\t*\t*\t0\t0\t0
key\tfew\t*\tother\t0\t0\t0
";

/// The first number that is not the canary's, and the last one that is.
const BASELINE: u64 = 2_000;
const CANARY: u64 = BASELINE - 1;

/// Circuits by lane index; every other lane is open.
struct Fixed {
    doors: HashMap<usize, Door>,
    draw: u64,
    taken: Vec<usize>,
    asked: Vec<usize>,
    full: Vec<usize>,
}

impl Default for Fixed {
    fn default() -> Self {
        Fixed { doors: HashMap::new(), draw: BASELINE, taken: vec![], asked: vec![], full: vec![] }
    }
}

impl Doors for Fixed {
    fn door(&mut self, lane: usize, _: &Rules) -> Door {
        self.asked.push(lane);
        self.doors.get(&lane).copied().unwrap_or(Door::Open)
    }
    fn take_permit(&mut self, lane: usize, _: &Rules) -> bool {
        self.taken.push(lane);
        true
    }
    fn has_room(&mut self, lane: usize) -> bool {
        !self.full.contains(&lane)
    }
    fn take_room(&mut self, lane: usize, force: bool) -> bool {
        force || self.has_room(lane)
    }
    fn draw(&mut self, n: u64) -> u64 {
        self.draw.min(n - 1)
    }
}

fn names(table: &Table, steps: &[Step]) -> String {
    steps.iter().map(|s| table.groups[s.group].models[s.model].name.clone()).collect::<Vec<_>>().join(" ")
}

fn passed_by(table: &Table, chain: &Chain) -> String {
    let words = chain.passed.iter().map(|(step, why)| format!("{}={}", names(table, &[*step]), why.word()));
    words.collect::<Vec<_>>().join(" ")
}

fn chain(doors: &[(usize, Door)], draw: u64, wish: &str, attempts: usize) -> (String, Option<usize>, bool, bool) {
    let table = Table::parse(TABLE).unwrap();
    let wish = resolve(&table, &table.keys["all"], wish).unwrap();
    let mut fixed = Fixed { doors: doors.iter().copied().collect(), draw, ..Fixed::default() };
    let chain = choose(&table, &wish, "all", &Need::default(), attempts, &mut fixed);
    let mut asked = fixed.asked.clone();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), fixed.asked.len(), "a lane is asked once, or its ramp is drawn twice");
    (names(&table, &chain.steps), chain.permit, chain.alone, chain.drawn.map_or(false, |d| d.arm == Arm::Canary))
}

#[test]
fn the_first_is_drawn_by_weight_and_the_fallbacks_follow_in_order() {
    assert_eq!(chain(&[], BASELINE, "g", 1), ("a b".into(), None, false, false));
    assert_eq!(chain(&[], CANARY, "g", 1), ("c a b".into(), None, false, true));
    assert_eq!(chain(&[], 9_999, "g", 2).0, "a a b b");
    assert_eq!(chain(&[], 0, "g", 2).0, "c c a a b b");
    assert_eq!(chain(&[], 0, "a", 1), ("a".into(), None, true, false), "who names a model is drawn for no arm");
    assert_eq!(chain(&[], 0, "other", 1), ("x".into(), None, true, false), "a group without a rollout");
}

#[test]
fn shut_lanes_are_left_out_and_when_all_are_shut_the_soonest_gets_one_try() {
    assert_eq!(chain(&[(0, Door::Shut(9))], BASELINE, "g", 1), ("b".into(), None, true, false), "not all to the canary");
    assert_eq!(chain(&[(0, Door::Shut(9))], CANARY, "g", 1).0, "c b");
    assert_eq!(chain(&[(2, Door::Shut(9))], CANARY, "g", 1), ("a b".into(), None, false, true));
    let shut = [(0, Door::Shut(9)), (1, Door::Shut(7)), (2, Door::Shut(8))];
    assert_eq!(chain(&shut, CANARY, "g", 1), ("b".into(), None, true, true));
}

#[test]
fn a_trial_is_first_or_it_is_a_last_resort() {
    assert_eq!(chain(&[(0, Door::Permit)], BASELINE, "g", 1), ("a b".into(), Some(0), false, false));
    assert_eq!(chain(&[(0, Door::Permit)], CANARY, "g", 1), ("c b a".into(), None, false, true));
    assert_eq!(chain(&[(1, Door::Permit)], BASELINE, "g", 1), ("a b".into(), None, false, false));
    assert_eq!(chain(&[(1, Door::Permit)], BASELINE, "b", 1), ("b".into(), Some(1), true, false));
}

#[test]
fn a_lane_that_the_ramp_holds_back_comes_last() {
    assert_eq!(chain(&[(0, Door::Ramping)], BASELINE, "g", 1), ("b a".into(), None, false, false));
    assert_eq!(chain(&[(2, Door::Ramping)], CANARY, "g", 1), ("a b c".into(), None, false, true));
    assert_eq!(chain(&[(0, Door::Ramping)], BASELINE, "a", 1).0, "a");
}

#[test]
fn a_sticky_key_keeps_its_arm_and_a_request_that_one_arm_cannot_do_has_none() {
    let drawn = |weight: u64, key: &str, tokens| {
        let text = TABLE
            .replace("run\trun-1\tc\t2000\t0", &format!("run\trun-{}\tc\t{}\t1", weight, weight))
            .replace("lc\t0\t5\t1000\t3\t0\t0\t0\t0\t0", "lc\t0\t5\t1000\t3\t0\t0\t0\t0\t1000");
        let table = Table::parse(&text).unwrap();
        let need = Need { tokens, features: Features::NONE };
        choose(&table, &Wish::Group(0), key, &need, 1, &mut Fixed::default()).drawn.map(|d| d.arm)
    };
    let keys: Vec<String> = (0..200).map(|n| format!("key-{}", n)).collect();
    let inside = |weight| keys.iter().filter(|k| drawn(weight, k, 1) == Some(Arm::Canary)).count();
    let stays = |k: &&String| drawn(500, k, 1) != Some(Arm::Canary) || drawn(5_000, k, 1) == Some(Arm::Canary);
    assert_eq!(keys.iter().filter(stays).count(), 200, "a weight of another period lets no key out of the canary");
    assert!(inside(500) < inside(5_000) && inside(5_000) < inside(9_500) && inside(10_000) == 200);
    assert_eq!((drawn(0, "all", 1), drawn(10_000, "all", 5_000)), (None, None));
}

#[test]
fn a_request_may_bring_its_own_chain() {
    assert_eq!(chain(&[], BASELINE, "b|a", 1).0, "b a");
    assert_eq!(chain(&[], 0, " b | g | b ", 1).0, "b a");
    assert_eq!(chain(&[(1, Door::Shut(9))], 0, "b|a", 1).0, "a");
    assert_eq!(chain(&[], 0, "c|x", 1).0, "c", "two names of one lane are tried once");
}

#[test]
fn a_name_is_a_group_first_then_a_model_of_an_allowed_group() {
    let table = Table::parse(TABLE).unwrap();
    let (all, few): (&Key, &Key) = (&table.keys["all"], &table.keys["few"]);
    assert_eq!(resolve(&table, all, "g"), Ok(Wish::Group(0)));
    assert_eq!(resolve(&table, few, "x"), Ok(Wish::Models(vec![Step { group: 1, model: 0 }])));
    assert_eq!(resolve(&table, few, "g"), Err(Denied::NotAllowed("g".into())));
    assert_eq!(resolve(&table, few, "x|a"), Err(Denied::NotAllowed("a".into())));
    for unknown in ["nope", "", "|", "x||x", "g,x"] {
        assert!(matches!(resolve(&table, all, unknown), Err(Denied::Unknown(_))), "{:?}", unknown);
    }
}

#[test]
fn full_lanes_are_passed_by_in_order_and_when_all_are_nobody_is_asked() {
    let table = Table::parse(TABLE).unwrap();
    for (full, steps, passed) in [
        (vec![], "a b", ""),
        (vec![0], "b", "a=full"),
        (vec![1], "a b", ""), // only the first is taken now; the others when it comes to them
        (vec![0, 1], "", "a=full b=full"),
    ] {
        let mut fixed = Fixed { full: full.clone(), ..Fixed::default() };
        let chain = choose(&table, &Wish::Group(0), "all", &Need::default(), 1, &mut fixed);
        assert_eq!((names(&table, &chain.steps), passed_by(&table, &chain)), (steps.to_string(), passed.to_string()));
        assert_eq!(chain.counted.is_some(), !steps.is_empty());
    }
}

#[test]
fn a_trial_needs_room_and_then_is_counted_in_any_case() {
    let table = Table::parse(TABLE).unwrap();
    let half_open = || [(0, Door::Permit)].into_iter().collect();
    let mut full = Fixed { doors: half_open(), full: vec![0], ..Fixed::default() };
    let chain = choose(&table, &Wish::Group(0), "all", &Need::default(), 1, &mut full);
    assert_eq!((chain.permit, full.taken.len(), names(&table, &chain.steps)), (None, 0, "b a".to_string()));
}

#[test]
fn a_model_that_cannot_do_it_is_skipped_and_if_none_can_the_widest_is_asked() {
    let text = TABLE
        .replace("la\t1\t5\t1000\t3\t0\t0\t0\t0\t0\t*", "la\t1\t5\t1000\t3\t0\t0\t0\t0\t8000\t*")
        .replace("lb\t1\t5\t1000\t3\t0\t0\t0\t0\t0\t*", "lb\t1\t5\t1000\t3\t0\t0\t0\t0\t32000\ttools")
        .replace("lc\t0\t5\t1000\t3\t0\t0\t0\t0\t0\t*", "lc\t0\t5\t1000\t3\t0\t0\t0\t0\t1000\t");
    let table = Table::parse(&text).unwrap();
    for (tokens, features, steps) in [
        (500, Features::NONE, "a b"),
        (9_000, Features::NONE, "b"),
        (500, Features::VISION, "a"),
        (9_000, Features::TOOLS, "b"),
        (90_000, Features::NONE, "b"),
    ] {
        let chain = choose(&table, &Wish::Group(0), "all", &Need { tokens, features }, 1, &mut Fixed::default());
        assert_eq!(names(&table, &chain.steps), steps, "{} {:?}", tokens, features);
    }
}

#[test]
fn what_stands_before_the_first_attempt_is_told_with_its_reason() {
    let text = TABLE.replace("lb\t1\t5\t1000\t3\t0\t0\t0\t0\t0\t*", "lb\t1\t5\t1000\t3\t0\t0\t0\t0\t0\t");
    let table = Table::parse(&text).unwrap();
    let vision = Need { tokens: 1, features: Features::VISION };
    for (doors, need, steps, passed) in [
        (vec![], Need::default(), "a b", ""),
        (vec![(1, Door::Shut(9))], Need::default(), "a", ""),
        (vec![(0, Door::Shut(9)), (2, Door::Paused(9))], Need::default(), "b", "a=open"),
        (vec![(0, Door::Ramping), (2, Door::Shut(9))], Need::default(), "b a", "a=recovering"),
        (vec![(0, Door::Shut(8)), (2, Door::Shut(9))], vision, "a", "b=unfit"),
    ] {
        let mut fixed = Fixed { doors: doors.into_iter().collect(), ..Fixed::default() };
        let chain = choose(&table, &Wish::Group(0), "all", &need, 1, &mut fixed);
        assert_eq!((names(&table, &chain.steps), passed_by(&table, &chain)), (steps.to_string(), passed.to_string()));
    }
}
