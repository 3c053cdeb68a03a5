//! What no timer of Envoy's can do, done by a tick: streams that fall silent, held ones (delivery Complete) that get no
//! first content. Envoy's own timers end everything else.

use crate::answer::Phase;
use crate::failure::retry;
use crate::host::{self, Map};
use crate::judge::Judge;
use crate::lane::{refuse, Attempt};
use crate::metrics::Outcome;
use crate::settle::Blame;

/// Milliseconds between looks; deadlines kept here are late by at most this.
pub const TICK_MS: u32 = 100;

/// What is to be done with an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Nothing,
    /// The wait before a second attempt is over.
    Go,
    /// Resets the stream.
    Close,
    /// The request's deadline has passed, and no answer is there.
    Late,
    /// A live stream has fallen silent.
    Cut,
    /// A held answer comes too late: the next lane, or an end.
    GiveUp(Outcome),
}

impl Attempt {
    /// One look at an attempt.
    pub fn on_tick(&mut self, now: u64) {
        let due = self.due(now);
        if due != Due::Nothing {
            host::act_on(self.context);
        }
        match due {
            Due::Nothing => {}
            Due::Go => self.go(),
            Due::Close => host::close(),
            Due::Late => {
                self.phase = Phase::Passing;
                self.with(|r, context| r.settle(context, Outcome::Timeout, Blame::Lane, Outcome::Timeout.word()));
                refuse(504);
            }
            Due::Cut => {
                self.phase = Phase::Passing;
                self.note_usage();
                self.with(|r, context| {
                    r.settle(context, Outcome::Stalled, Blame::Lane, Outcome::Stalled.word());
                    r.answered = true; // in part
                });
                host::close();
            }
            Due::GiveUp(outcome) => self.give_up(outcome),
        }
    }

    fn due(&self, now: u64) -> Due {
        let due = self.with(|r, context| {
            let silent = now > self.last.saturating_add(r.group().map_or(u64::MAX, |g| g.idle_ms));
            let awaited = !self.judge.as_ref().map_or(false, Judge::has_content);
            match self.phase {
                Phase::Sending if self.waits > 0 && now >= self.waits => Due::Go,
                Phase::Sending | Phase::Judging if awaited && !r.holds() && now >= r.deadline => Due::Late,
                Phase::Flowing if silent => Due::Cut,
                Phase::Rejected if !self.ended => Due::Close,
                Phase::Judging | Phase::Refusal if r.holds() => {
                    let late = r.current.map_or(false, |c| c.context == context && r.is_late(&c, now));
                    match awaited {
                        false if silent => Due::GiveUp(Outcome::Stalled),
                        true if late => Due::GiveUp(Outcome::Timeout),
                        _ => Due::Nothing,
                    }
                }
                _ => Due::Nothing,
            }
        });
        due.unwrap_or(Due::Nothing)
    }

    /// Ends a held attempt: its headers go on, marked for the next lane; without a next one the client gets 504.
    fn give_up(&mut self, outcome: Outcome) {
        let more = self.with(|r, context| {
            r.settle(context, outcome, Blame::Lane, outcome.word());
            retry(r, None);
            r.has_more()
        });
        if more == Some(true) {
            self.phase = Phase::Rejected;
            host::set_header(Map::Response, ":status", "504");
            host::continue_response();
        } else {
            self.phase = Phase::Passing;
            refuse(504);
        }
    }
}
