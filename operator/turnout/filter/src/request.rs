//! The state of one request, shared by its front and its attempts: same worker, same VM, found again by a number that
//! travels in the request's filter state (upstream filters see the downstream request's).

use crate::arm::Arm;
use crate::cell::{Cell, Numbered};
use crate::chain::{Chain, Step};
use crate::cost::Usage;
use crate::host;
use crate::log::Tried;
use crate::metrics::Outcome;
use crate::options::Change;
use crate::table::{Group, Lane, Model, Table};
use crate::usage;
use std::cell::RefCell;
use std::rc::Rc;

/// Filter state with the request's number; Envoy keeps it as `wasm.turnout`.
pub const STATE: &str = "turnout";
/// Filter state with the cluster of the next attempt; the route reads it as `wasm.lane`.
pub const NEXT: &str = "lane";

/// The cluster of held streams: an in-process hop to the lane's cluster. Envoy's deadline of an attempt runs on until the
/// router sees an answer, and it sees none while we hold it; in the hop the same deadline ends with the headers.
pub const HOP: &str = "hop";

/// A request. Times are Unix ms.
pub struct Request {
    /// The table that it arrived with; a swap changes nothing for it.
    pub table: Rc<Table>,
    /// The key's name.
    pub key: String,
    /// Index of the group whose deadlines and delivery hold for it.
    pub group: usize,
    /// What it may try, in order.
    pub chain: Chain,
    /// Attempts begun.
    pub begun: usize,
    /// What follows the provider's base URL in the path.
    pub path: &'static str,
    /// Bytes of the body.
    pub length: u64,
    /// Offsets of the model's name in the body, inside its quotes.
    pub span: (u64, u64),
    /// It asks for a stream.
    pub stream: bool,
    /// What asks a provider for the stream's usage, if the client does not.
    pub ask_usage: Option<Change>,
    /// Lanes (by index) that refused this request because it asked them that.
    pub plain: Vec<usize>,
    /// When it arrived.
    pub started: u64,
    /// When it must be answered: a stream's first content, or the whole.
    pub deadline: u64,
    /// What stood before the model that answers, and why it did not: "a=open, b=503, c=timeout".
    pub tried: String,
    /// Attempts that failed.
    pub failed: u32,
    /// How the last attempt failed.
    pub last: Option<Outcome>,
    /// A Retry-After has been waited out already.
    pub waited: bool,
    /// The model that answered, or was asked last.
    pub step: Option<Step>,
    /// The answer's tokens.
    pub usage: Usage,
    /// The answer's cost, picodollars.
    pub cost: u64,
    /// An attempt gave an answer.
    pub answered: bool,
    /// The attempt under way, to settle it should its end never be told.
    pub current: Option<Current>,
    /// The client went away before the end.
    pub over: bool,
    /// How the attempts went, in order, if the access log is on.
    pub attempts: Option<Vec<Tried>>,
}

/// An attempt under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Current {
    /// Its context's number.
    pub context: u32,
    /// What it tries.
    pub step: Step,
    /// Whether it is the first.
    pub first: bool,
    /// When it began.
    pub started: u64,
    /// Milliseconds to a stream's first content, once that is there.
    pub first_token: Option<u64>,
}

/// A request as its contexts hold it.
pub type Shared = Rc<RefCell<Request>>;

thread_local! {
    static REQUESTS: Cell<Numbered<u32, Shared>> = Cell::new(Numbered::default());
}

/// Makes a request findable for its attempts.
pub fn register(number: u32, request: &Shared) {
    REQUESTS.with(|all| all.with(|all| all.insert(number, request.clone())));
    host::set_property(STATE, &number.to_le_bytes());
}

/// The request of the current stream; None if it belongs to a VM that is gone.
pub fn find() -> Option<Shared> {
    let number = <[u8; 4]>::try_from(host::property(STATE)).ok().map(u32::from_le_bytes)?;
    REQUESTS.with(|all| all.with(|all| all.get(&number).cloned())).flatten()
}

/// Forgets a request.
pub fn forget(number: u32) {
    REQUESTS.with(|all| all.with(|all| all.remove(&number)));
}

impl Request {
    /// The group whose deadlines hold.
    pub fn group(&self) -> Option<&Group> {
        self.table.groups.get(self.group)
    }

    /// The model of a step.
    pub fn model(&self, step: Step) -> Option<&Model> {
        self.table.model(step.group, step.model)
    }

    /// The model that the attempt under way asks.
    pub fn current_model(&self) -> Option<&Model> {
        self.model(self.current?.step)
    }

    /// Its lane.
    pub fn current_lane(&self) -> Option<&Lane> {
        self.lane(self.current?.step)
    }

    /// The lane of a step.
    pub fn lane(&self, step: Step) -> Option<&Lane> {
        self.table.lanes.get(self.model(step)?.lane)
    }

    /// Whether a stream is held until it is whole.
    pub fn holds(&self) -> bool {
        self.stream && self.group().map_or(false, |g| g.complete)
    }

    /// The model whose answer is on its way, or which was asked last.
    pub fn asked_last(&self) -> Option<&Model> {
        self.model(self.current.map(|c| c.step).or(self.step)?)
    }

    /// The cluster by which a lane is reached.
    pub fn cluster<'a>(&self, lane: &'a Lane) -> &'a str {
        if self.holds() {
            HOP
        } else {
            &lane.cluster
        }
    }

    /// Milliseconds within which an attempt must answer: its first content, or the whole of it.
    pub fn deadline_ms(&self) -> u64 {
        self.group().map_or(0, |g| if self.stream { g.first_ms } else { g.request_ms })
    }

    /// What attempt number `n` (from 0) tries; a lane alone may be tried once more than its chain says.
    pub fn step_of(&self, n: usize) -> Option<Step> {
        let spare = || self.chain.steps.last().copied().filter(|_| self.chain.alone && n == self.chain.steps.len());
        self.chain.steps.get(n).copied().or_else(spare)
    }

    /// Whether another attempt follows if the current one fails; the spare one of a lane alone not counted.
    pub fn has_more(&self) -> bool {
        self.begun < self.chain.steps.len()
    }

    /// Whether a lane alone still has its one try more.
    pub fn has_spare(&self) -> bool {
        self.chain.alone && self.begun == self.chain.steps.len()
    }

    /// How often Envoy may retry in all; once more on each lane that refuses to be asked for usage.
    pub fn retries(&self) -> usize {
        let over = if self.ask_usage.is_some() { self.chain.steps.len() } else { 0 };
        self.chain.steps.len().saturating_sub(1).saturating_add(usize::from(self.chain.alone)).saturating_add(over)
    }

    /// The word for the arm that it was drawn for.
    pub fn arm(&self) -> &'static str {
        self.chain.drawn.map_or(Arm::Baseline, |drawn| drawn.arm).word()
    }

    /// Whether the attempt has had all the time to answer that it may have at `now`, but for 5 ms and a twentieth: a loaded
    /// Envoy counts its timers from when its loop last looked at the clock.
    pub fn is_late(&self, current: &Current, now: u64) -> bool {
        let end = current.started.saturating_add(self.deadline_ms()).min(self.deadline);
        let slack = end.saturating_sub(current.started) / 20;
        now.saturating_add(5).saturating_add(slack) >= end
    }

    /// What asks this step's provider for usage, if that is to be done.
    pub fn asks_usage(&self, step: Step, now: u64) -> Option<Change> {
        let (lane, index) = (self.lane(step)?, self.model(step)?.lane);
        self.ask_usage.filter(|_| !self.plain.contains(&index) && !usage::is_refused(&lane.id, now))
    }
}
