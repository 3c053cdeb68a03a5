//! The circuit against a model of it written in another way, over random sequences of successes, failures and time.

use turnout_filter::circuit::{Circuit, Door, Rules, State, PERMIT_LOST_MS};

const RULES: Rules = Rules { failures: 3, recovery_ms: 1_000, permits: 2, ramp_ms: 4_000 };

/// The simplest thing that could be right: what happened, kept as a list of phases.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    Closed { fails: u64, ramp: Option<(u64, u64)> },
    Open { until: u64 },
    Trial { out: u64, last: u64 },
}

impl Model {
    fn now(self, now: u64) -> Model {
        match self {
            Model::Open { until } if until <= now => Model::Trial { out: 0, last: 0 },
            same => same,
        }
    }
    fn succeeded(self, now: u64) -> Model {
        match self.now(now) {
            Model::Closed { ramp, .. } => Model::Closed { fails: 0, ramp },
            Model::Trial { .. } => Model::Closed { fails: 0, ramp: Some((now, now + RULES.ramp_ms)) },
            open => open,
        }
    }
    fn failed(self, now: u64, shut: u64) -> Model {
        let open = Model::Open { until: now + RULES.recovery_ms };
        match self.now(now) {
            Model::Open { until } if shut > 0 => Model::Open { until: until.max(now + shut) },
            _ if shut > 0 => Model::Open { until: now + shut },
            Model::Closed { fails, .. } if fails + 1 >= RULES.failures => open,
            Model::Closed { fails, ramp } => Model::Closed { fails: fails + 1, ramp },
            Model::Trial { .. } => open,
            still => still,
        }
    }
    fn take(self, now: u64) -> (Model, bool) {
        match self.now(now) {
            Model::Trial { out, last } => {
                let out = if now > last + PERMIT_LOST_MS { 0 } else { out };
                let free = out < RULES.permits;
                (if free { Model::Trial { out: out + 1, last: now } } else { Model::Trial { out, last } }, free)
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
        let (mut circuit, mut model) = (Circuit::default(), Model::Closed { fails: 0, ramp: None });
        for _ in 0..200 {
            now += [0, 1, 37, 400, 1_000, 5_000, 130_000][random.below(7) as usize];
            match random.below(6) {
                0 | 1 => {
                    circuit.failed(&RULES, now, 0);
                    model = model.failed(now, 0);
                }
                2 => {
                    circuit.failed(&RULES, now, 2_500);
                    model = model.failed(now, 2_500);
                }
                3 => {
                    circuit.succeeded(&RULES, now);
                    model = model.succeeded(now);
                }
                _ => {
                    let (next, took) = model.take(now);
                    assert_eq!(circuit.take_permit(&RULES, now), took);
                    model = next;
                }
            }
            circuit = Circuit::from_bytes(&circuit.to_bytes()); // as another worker would read it
            check(&circuit, model.now(now), now);
        }
    }
}

fn check(circuit: &Circuit, model: Model, now: u64) {
    let always = |_| 0;
    let never = |n: u64| n - 1;
    match model {
        Model::Open { until } => {
            assert_eq!(circuit.state(now), State::Open);
            assert_eq!(circuit.door(&RULES, now, always), Door::Shut(until));
        }
        Model::Trial { out, last } => {
            assert_eq!(circuit.state(now), State::HalfOpen);
            let free = out < RULES.permits || now > last + PERMIT_LOST_MS;
            assert_eq!(circuit.door(&RULES, now, always), if free { Door::Permit } else { Door::Shut(now) });
        }
        Model::Closed { fails, ramp } => {
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
    (0..3).for_each(|_| circuit.failed(&RULES, 0, 0));
    for window in 1..20 {
        let now = window * 1_001;
        let passed = (0..50).filter(|_| circuit.take_permit(&RULES, now)).count();
        assert_eq!(passed, 2);
        circuit.failed(&RULES, now, 0);
        circuit.failed(&RULES, now, 0); // the second trial's failure comes while it is open: no longer recovery
        assert_eq!(circuit.until, now + 1_000);
    }
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
fn a_success_forgets_a_refusal_and_a_failure_does_not() {
    let mut circuit = Circuit { refused: 401, ..Circuit::default() };
    (0..3).for_each(|_| circuit.failed(&RULES, 0, 0));
    assert_eq!((circuit.refused, circuit.state(0)), (401, State::Open));
    circuit.succeeded(&RULES, 2_000);
    assert_eq!(circuit.refused, 0);
}

#[test]
fn times_at_the_end_of_time_do_no_harm() {
    let rules = Rules { failures: 1, recovery_ms: u64::MAX, permits: u64::MAX, ramp_ms: u64::MAX };
    let mut circuit = Circuit::from_bytes(&[255; 56]);
    circuit.failed(&rules, u64::MAX, u64::MAX);
    circuit.succeeded(&rules, u64::MAX);
    circuit.take_permit(&rules, u64::MAX);
    circuit.give_back();
    let _ = circuit.door(&rules, u64::MAX, |n| n);
    assert_eq!(Circuit::from_bytes(&[]), Circuit::default());
}
