//! The circuit against a model of it written in another way, over random sequences of successes, failures and time.

use turnout_filter::circuit::{Circuit, Door, Rules, State, PERMIT_LOST_MS};

const RULES: Rules = Rules { failures: 3, recovery_ms: 1_000, permits: 2, ramp_ms: 4_000 };

/// The simplest thing that could be right: what happened, kept as a list of phases.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    Closed { fails: u64, ramp: Option<(u64, u64)>, relapses: u32 },
    Open { until: u64, relapses: u32 },
    Trial { out: u64, last: u64, relapses: u32 },
}

impl Model {
    fn now(self, now: u64) -> Model {
        match self {
            Model::Open { until, relapses } if until <= now => Model::Trial { out: 0, last: 0, relapses },
            same => same,
        }
    }
    fn succeeded(self, now: u64) -> Model {
        match self.now(now) {
            Model::Closed { ramp, relapses, .. } => Model::Closed { fails: 0, ramp, relapses },
            Model::Trial { relapses, .. } => {
                Model::Closed { fails: 0, ramp: Some((now, now + RULES.ramp_ms)), relapses }
            }
            open => open,
        }
    }
    fn failed(self, now: u64) -> Model {
        let again = |relapses: u32| {
            let relapses = (relapses + 1).min(3);
            Model::Open { until: now + RULES.recovery_ms * [1, 2, 4, 8][relapses as usize], relapses }
        };
        match self.now(now) {
            Model::Closed { fails, ramp, relapses } if fails + 1 >= RULES.failures => match ramp {
                Some((_, until)) if now < until => again(relapses),
                _ => Model::Open { until: now + RULES.recovery_ms, relapses: 0 },
            },
            Model::Closed { fails, ramp, relapses } => Model::Closed { fails: fails + 1, ramp, relapses },
            Model::Trial { relapses, .. } => again(relapses),
            still => still,
        }
    }
    fn take(self, now: u64) -> (Model, bool) {
        match self.now(now) {
            Model::Trial { out, last, relapses } => {
                let out = if now > last + PERMIT_LOST_MS { 0 } else { out };
                let free = out < RULES.permits;
                let next = if free { (out + 1, now) } else { (out, last) };
                (Model::Trial { out: next.0, last: next.1, relapses }, free)
            }
            other => (other, false),
        }
    }
}

struct Random(u64);
impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % n
    }
}

#[test]
fn random_histories_end_where_the_model_ends() {
    for seed in 1..2_000 {
        let (mut random, mut now) = (Random(seed * 7919), 1_000_000);
        let (mut circuit, mut model) = (Circuit::default(), Model::Closed { fails: 0, ramp: None, relapses: 0 });
        let mut paused = 0;
        for _ in 0..200 {
            now += [0, 1, 37, 400, 1_000, 5_000, 130_000][random.below(7) as usize];
            match random.below(6) {
                0 | 1 => {
                    circuit.failed(&RULES, now);
                    model = model.failed(now);
                }
                2 => {
                    circuit.pause(now, 2_500);
                    paused = paused.max(now + 2_500);
                }
                3 => {
                    circuit.succeeded(&RULES, now);
                    model = model.succeeded(now);
                }
                _ if now < paused => assert!(!circuit.take_permit(&RULES, now)),
                _ => {
                    let (next, took) = model.take(now);
                    assert_eq!(circuit.take_permit(&RULES, now), took);
                    model = next;
                }
            }
            circuit = Circuit::from_bytes(&circuit.to_bytes()); // as another worker would read it
            if now < paused {
                let door = match model.now(now) {
                    Model::Open { until, .. } => Door::Shut(until.max(paused)),
                    _ => Door::Paused(paused),
                };
                assert_eq!(circuit.door(&RULES, now, |_| 0), door);
            } else {
                check(&circuit, model.now(now), now);
            }
        }
    }
}

fn check(circuit: &Circuit, model: Model, now: u64) {
    let always = |_| 0;
    let never = |n: u64| n - 1;
    match model {
        Model::Open { until, .. } => {
            assert_eq!(circuit.state(now), State::Open);
            assert_eq!(circuit.door(&RULES, now, always), Door::Shut(until));
        }
        Model::Trial { out, last, .. } => {
            assert_eq!(circuit.state(now), State::HalfOpen);
            let free = out < RULES.permits || now > last + PERMIT_LOST_MS;
            assert_eq!(circuit.door(&RULES, now, always), if free { Door::Permit } else { Door::Shut(now) });
        }
        Model::Closed { fails, ramp, .. } => {
            assert_eq!((circuit.state(now), circuit.fails), (State::Closed, fails));
            let rising = ramp.map_or(false, |(_, until)| now < until);
            assert_eq!(circuit.is_ramping(now), rising);
            assert_eq!(circuit.door(&RULES, now, always), Door::Open);
            assert_eq!(circuit.door(&RULES, now, never), if rising { Door::Ramping } else { Door::Open });
        }
    }
}

#[test]
fn exactly_so_many_trials_pass_in_each_window_while_a_lane_is_dead() {
    let mut circuit = Circuit::default();
    (0..3).for_each(|_| circuit.failed(&RULES, 0));
    let mut now = 0;
    for times in [1, 2, 4, 8, 8, 8] {
        assert_eq!(circuit.until, now + times * 1_000, "twice as long after each relapse, 8 times at most");
        now = circuit.until;
        let passed = (0..50).filter(|_| circuit.take_permit(&RULES, now)).count();
        assert_eq!(passed, 2);
        circuit.failed(&RULES, now);
        circuit.failed(&RULES, now); // the second trial's failure comes while it is open: no longer recovery
    }
}

#[test]
fn a_relapse_during_the_ramp_counts_and_one_after_it_does_not() {
    let mut circuit = Circuit { until: 1, ..Circuit::default() };
    circuit.succeeded(&RULES, 10_000); // the ramp ends at 14,000
    (0..3).for_each(|_| circuit.failed(&RULES, 13_000));
    assert_eq!(circuit.until, 15_000);
    circuit.succeeded(&RULES, 15_000);
    (0..3).for_each(|_| circuit.failed(&RULES, 19_000));
    assert_eq!(circuit.until, 20_000);
}

#[test]
fn the_share_of_a_recovered_lane_rises_in_a_line() {
    let mut circuit = Circuit { until: 1, ..Circuit::default() };
    circuit.succeeded(&RULES, 10_000);
    let mut random = Random(42);
    for (after, percent) in [(0, 5), (1_000, 25), (2_000, 50), (3_000, 75), (4_000, 100)] {
        let open =
            (0..20_000).filter(|_| circuit.door(&RULES, 10_000 + after, |n| random.below(n)) == Door::Open).count();
        assert!((open as i64 / 200 - percent).abs() <= 1, "{} ms: {} %", after, open / 200);
    }
}

#[test]
fn a_lane_comes_back_from_a_pause_as_it_was() {
    let mut circuit = Circuit::default();
    circuit.failed(&RULES, 0);
    circuit.pause(0, 1_000);
    assert_eq!((circuit.state(999), circuit.door(&RULES, 999, |_| 0)), (State::Closed, Door::Paused(1_000)));
    assert_eq!((circuit.door(&RULES, 1_000, |_| 0), circuit.is_ramping(1_000), circuit.fails), (Door::Open, false, 1));
}

#[test]
fn a_limit_without_a_time_is_a_short_pause_that_grows_until_a_success() {
    let (mut circuit, mut now) = (Circuit::default(), 0);
    for pause in [100, 100, 100, 100, 100, 100, 200, 400, 800, 1_600, 3_200, 3_200] {
        (0..30).for_each(|_| circuit.limit(now)); // thirty were on their way
        assert_eq!(circuit.door(&RULES, now, |_| 0), Door::Paused(now + pause));
        now += pause;
        assert_eq!(circuit.door(&RULES, now, |_| 0), Door::Open);
    }
    circuit.succeeded(&RULES, now);
    circuit.limit(now);
    assert_eq!((circuit.door(&RULES, now, |_| 0), circuit.fails), (Door::Paused(now + 100), 0));
}

#[test]
fn a_success_forgets_a_refusal_and_a_failure_does_not() {
    let mut circuit = Circuit { refused: 401, ..Circuit::default() };
    (0..3).for_each(|_| circuit.failed(&RULES, 0));
    assert_eq!((circuit.refused, circuit.state(0)), (401, State::Open));
    circuit.succeeded(&RULES, 2_000);
    assert_eq!(circuit.refused, 0);
}

#[test]
fn times_at_the_end_of_time_do_no_harm() {
    let rules = Rules { failures: 1, recovery_ms: u64::MAX, permits: u64::MAX, ramp_ms: u64::MAX };
    let mut circuit = Circuit::from_bytes(&[255; 80]);
    circuit.failed(&rules, u64::MAX);
    circuit.pause(u64::MAX, u64::MAX);
    circuit.succeeded(&rules, u64::MAX);
    circuit.take_permit(&rules, u64::MAX);
    circuit.give_back();
    let _ = circuit.door(&rules, u64::MAX, |n| n);
    assert_eq!(Circuit::from_bytes(&[]), Circuit::default());
}
