//! The circuit breaker of a lane: a pure state machine. Time comes in as milliseconds; `breaker` shares it among workers.
//!
//! Closed → open after `failures` in a row → after `recovery` half-open: at most `permits` trials until one has an
//! outcome → closed, with its share of the traffic rising over `ramp`; or open again, twice as long after each relapse.

/// What a group asks of a circuit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Failures in a row that open it.
    pub failures: u64,
    /// Milliseconds that it stays open, the first time.
    pub recovery_ms: u64,
    /// Trials at a time while half-open.
    pub permits: u64,
    /// Milliseconds over which a closed-again lane takes its share back.
    pub ramp_ms: u64,
}

/// A permit whose trial never came to an end (its worker crashed) is forgotten after this.
pub const PERMIT_LOST_MS: u64 = 120_000;

/// Relapses after which it stays open no longer than before: 8 times `recovery`.
const MOST_RELAPSES: u64 = 3;

/// Milliseconds of peace after a 429 that says nothing: limits are often kept second by second, so it is soon over.
const LIMITED_MS: u64 = 100;
/// After so many in a row it is not; from then on doubled each time, at most so often, to 3.2 s.
const PATIENCE: u64 = 5;
const MOST_DOUBLED: u64 = 5;

/// A ramp begins with one request in so many, else nothing would ever be learnt.
const LEAST_SHARE: u64 = 20;

/// The state of one lane. `until` 0: closed; later than now: open; else half-open.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Circuit {
    /// Failures in a row, while closed.
    pub fails: u64,
    /// Unix ms until which it is open; 0 when closed.
    pub until: u64,
    /// Trials under way, while half-open.
    pub permits: u64,
    /// Unix ms of the last permit.
    pub granted: u64,
    /// Unix ms since which it is closed again and its share rises; 0 when it never was open.
    pub ramp_from: u64,
    /// Unix ms at which the share is whole again.
    pub ramp_until: u64,
    /// The status with which the provider last refused our credential, account or model; 0 after a success.
    pub refused: u64,
    /// Relapses since it was last closed for longer than its ramp.
    pub relapses: u64,
    /// Unix ms until which the provider wants peace; whatever the circuit is, it is not asked before.
    pub paused: u64,
    /// Times in a row that it said 429 without saying until when.
    pub limited: u64,
}

/// Whether a request may go through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// Go.
    Open,
    /// Closed circuit, but this request is not of the share that the ramp lets in.
    Ramping,
    /// Half-open, and a trial is free: `take_permit` first.
    Permit,
    /// Open until that time (Unix ms), or half-open with every trial taken.
    Shut(u64),
    /// Well, but at its limit until that time.
    Paused(u64),
}

/// How a circuit reads, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Requests pass.
    Closed,
    /// None passes.
    Open,
    /// Trials pass.
    HalfOpen,
}

impl Circuit {
    /// The state at `now` (Unix ms).
    pub fn state(&self, now: u64) -> State {
        match self.until {
            0 => State::Closed,
            until if until > now => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// What a request arriving now finds. `draw(n)` gives a number below n, for the ramp.
    pub fn door(&self, rules: &Rules, now: u64, draw: impl FnOnce(u64) -> u64) -> Door {
        match self.state(now) {
            State::Open => Door::Shut(self.until.max(self.paused)),
            _ if self.paused > now => Door::Paused(self.paused),
            State::HalfOpen if self.permits < rules.permits || self.permits_lost(now) => Door::Permit,
            State::HalfOpen => Door::Shut(now),
            State::Closed if self.is_ramping(now) => {
                let whole = self.ramp_until.saturating_sub(self.ramp_from);
                let share = now.saturating_sub(self.ramp_from).max(whole / LEAST_SHARE);
                if draw(whole) < share {
                    Door::Open
                } else {
                    Door::Ramping
                }
            }
            State::Closed => Door::Open,
        }
    }

    /// Takes a trial; false if there is none to take.
    pub fn take_permit(&mut self, rules: &Rules, now: u64) -> bool {
        if self.permits_lost(now) {
            self.permits = 0;
        }
        if self.state(now) != State::HalfOpen || self.paused > now || self.permits >= rules.permits {
            return false;
        }
        self.permits = self.permits.saturating_add(1);
        self.granted = now;
        true
    }

    /// Gives a trial back whose request never reached the lane.
    pub fn give_back(&mut self) {
        self.permits = self.permits.saturating_sub(1);
    }

    /// A success. It closes a half-open circuit and starts the ramp; one that comes late, while open, changes nothing.
    pub fn succeeded(&mut self, rules: &Rules, now: u64) {
        self.refused = 0;
        self.limited = 0;
        match self.state(now) {
            State::Closed => self.fails = 0,
            State::HalfOpen => {
                let ramp_until = now.saturating_add(rules.ramp_ms);
                let Circuit { relapses, paused, .. } = *self;
                *self = Circuit { ramp_from: now, ramp_until, relapses, paused, ..Circuit::default() };
            }
            State::Open => {}
        }
    }

    /// The provider asked for a pause. That is no failure: it comes back as it was, without a trial or a ramp.
    pub fn pause(&mut self, now: u64, ms: u64) {
        self.paused = self.paused.max(now.saturating_add(ms));
    }

    /// The provider is at its limit and does not say until when: a short pause, longer if that does not help. Those who
    /// were on their way when it began say nothing new.
    pub fn limit(&mut self, now: u64) {
        if self.paused <= now {
            self.paused = now.saturating_add(LIMITED_MS << self.limited.saturating_sub(PATIENCE).min(MOST_DOUBLED));
            self.limited = self.limited.saturating_add(1);
        }
    }

    /// It is of no use for so long: open, and then half-open.
    pub fn shut(&mut self, now: u64, ms: u64) {
        self.open(self.until.max(now.saturating_add(ms)));
    }

    /// A failure. One that comes while open counts not.
    pub fn failed(&mut self, rules: &Rules, now: u64) {
        match self.state(now) {
            State::Open => {}
            State::HalfOpen => self.relapse(rules, now),
            State::Closed => {
                self.fails = self.fails.saturating_add(1);
                if self.fails >= rules.failures && self.is_ramping(now) {
                    self.relapse(rules, now);
                } else if self.fails >= rules.failures {
                    self.relapses = 0;
                    self.open(now.saturating_add(rules.recovery_ms));
                }
            }
        }
    }

    /// Whether the share is still rising.
    pub fn is_ramping(&self, now: u64) -> bool {
        self.until == 0 && now < self.ramp_until
    }

    fn relapse(&mut self, rules: &Rules, now: u64) {
        self.relapses = self.relapses.saturating_add(1).min(MOST_RELAPSES);
        self.open(now.saturating_add(rules.recovery_ms.saturating_mul(1 << self.relapses)));
    }

    fn open(&mut self, until: u64) {
        let Circuit { refused, relapses, paused, limited, .. } = *self;
        *self = Circuit { until, refused, relapses, paused, limited, ..Circuit::default() };
    }

    fn permits_lost(&self, now: u64) -> bool {
        now > self.granted.saturating_add(PERMIT_LOST_MS)
    }

    /// The bytes kept in shared data: ten little-endian numbers.
    pub fn to_bytes(self) -> [u8; 80] {
        let mut out = [0; 80];
        let Circuit { fails, until, permits, granted, ramp_from, ramp_until, refused, relapses, paused, limited } = self;
        let fields = [fails, until, permits, granted, ramp_from, ramp_until, refused, relapses, paused, limited];
        for (slot, field) in out.chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        out
    }

    /// Reads `to_bytes` back; what is missing is 0.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut fields = bytes.chunks_exact(8).map(|c| <[u8; 8]>::try_from(c).map_or(0, u64::from_le_bytes));
        let mut next = || fields.next().unwrap_or(0);
        Circuit {
            fails: next(),
            until: next(),
            permits: next(),
            granted: next(),
            ramp_from: next(),
            ramp_until: next(),
            refused: next(),
            relapses: next(),
            paused: next(),
            limited: next(),
        }
    }
}
