//! The front role: who asks for what, and what that key may (`plan`: the chain); at the end the request's statistics. One per request.

use crate::body::{Body, Scanner};
use crate::breaker;
use crate::host::{self, Buffer, Map};
use crate::limits;
use crate::load;
use crate::log::{self, Notes};
use crate::metrics::{count, Metric};
use crate::replies::{self, Reply};
use crate::request::{self, Shared};
use crate::rights::{self, Endpoint};
use crate::table::{Key, Table};
use crate::totals;
use std::rc::Rc;

/// Bytes of a body read at a time, so that a large one needs no large memory.
const PIECE: usize = 256 * 1024;

/// Header by which a client grants less time than the group does, in milliseconds.
const TIMEOUT: &str = "x-turnout-timeout-ms";

/// What the filter does with a callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Passes on.
    Continue = 0,
    /// Holds.
    Pause = 1,
}

/// The front of one request.
pub struct Front {
    pub(crate) context: u32,
    pub(crate) table: Rc<Table>,
    pub(crate) key: String,
    /// Id of the token that it came with.
    token: String,
    pub(crate) path: &'static str,
    scanner: Option<Scanner>,
    pub(crate) read: usize,
    pub(crate) started: u64,
    /// Milliseconds that the client grants; the group may grant fewer.
    pub(crate) patience: u64,
    pub(crate) request: Option<Shared>,
    code: u16,
    pub(crate) notes: Option<Box<Notes>>,
}

impl Front {
    /// The front of the request with this context's number.
    pub fn new(context: u32, table: Rc<Table>) -> Self {
        Front {
            context,
            table,
            key: String::new(),
            token: String::new(),
            path: "",
            scanner: None,
            read: 0,
            started: 0,
            patience: u64::MAX,
            request: None,
            code: 0,
            notes: None,
        }
    }

    /// Path, method and key; a request that may go on waits for its body.
    pub fn on_request_headers(&mut self, end: bool) -> Action {
        self.started = host::now_ms();
        let headers = host::headers(Map::Request);
        let (method, path, client) = (headers.get(":method"), headers.get(":path"), headers.get("x-turnout-client"));
        self.notes = log::is_on().then(|| Box::new(Notes::new(&headers)));
        let asked = headers.get(TIMEOUT);
        if !asked.is_empty() {
            match asked.parse() {
                Ok(ms) if ms > 0 => self.patience = ms,
                _ => return self.reply(&replies::bad_timeout()),
            }
        }
        match self.admit(method, path, client) {
            Ok(Endpoint::Provider(path)) => {
                self.path = path;
                self.scanner = Some(Scanner::default());
                if end {
                    return self.on_request_body(0, true);
                }
                Action::Pause
            }
            Ok(Endpoint::Models) => self.answer(replies::models),
            Ok(Endpoint::Verify) => {
                let token = std::mem::take(&mut self.token);
                self.answer(|_, key| replies::verify(key, &token))
            }
            Err(reply) => self.reply(&reply),
        }
    }

    /// The body: read as it comes, held until its end, because the model may stand last.
    pub fn on_request_body(&mut self, size: usize, end: bool) -> Action {
        let scanner = match &mut self.scanner {
            Some(scanner) => scanner,
            None => return Action::Pause, // answered already
        };
        self.read = scan(scanner, self.read, size);
        if !end {
            return Action::Pause;
        }
        match self.scanner.take().map(Scanner::finish) {
            Some(Ok(mut body)) => {
                self.count_tokens(&mut body);
                self.begin(&body)
            }
            Some(Err(refusal)) => self.reply(&replies::bad_body(refusal)),
            None => Action::Pause,
        }
    }

    /// Reads the body once more to know its tokens better, if some model's window may be too small for it.
    fn count_tokens(&self, body: &mut Body) {
        if body.need.tokens <= self.table.least_window {
            return;
        }
        let mut counting = Scanner::counting();
        scan(&mut counting, 0, self.read);
        if let Ok(counted) = counting.finish() {
            body.need = counted.need;
        }
    }

    /// Trailers end a body that did not.
    pub fn on_request_trailers(&mut self) -> Action {
        match self.scanner {
            Some(_) => self.on_request_body(self.read, true),
            None => Action::Continue,
        }
    }

    /// The answer's headers on their way to the client.
    pub fn on_response_headers(&mut self) -> Action {
        if let Some(notes) = &mut self.notes {
            notes.first_byte(host::now_ms().saturating_sub(self.started));
        }
        let headers = host::headers(Map::Response);
        self.code = headers.get(":status").parse().unwrap_or(0);
        if let Some(key) = self.table.keys.get(&self.key) {
            let begun = self.request.as_ref().and_then(|r| r.try_borrow().ok()).map_or(0, |r| r.begun);
            limits::tell(&headers, key, self.code == 429 && begun == 0);
        }
        if let Some(Ok(request)) = self.request.as_ref().map(|r| r.try_borrow()) {
            if request.failed > 0 || !request.plain.is_empty() {
                ["x-turnout-retry", "x-turnout-wait"].iter().for_each(|ours| host::drop_header(Map::Response, ours));
            }
            if let Some(model) = request.asked_last() {
                host::set_header(Map::Response, "x-turnout-model", &model.name);
            }
            if request.begun > 0 {
                host::set_header(Map::Response, "x-turnout-attempts", &request.begun.to_string());
            }
            if !request.tried.is_empty() {
                host::set_header(Map::Response, "x-turnout-fallback", &request.tried);
            }
        }
        Action::Continue
    }

    /// The end, when Envoy still has the headers. A request that was refused before it came here has no other callback.
    pub fn on_log(&mut self) {
        if self.started == 0 {
            self.started = host::now_ms();
            self.code = host::headers(Map::Response).get(":status").parse().unwrap_or(0);
        }
        if !log::is_on() {
            return;
        }
        let notes = self.notes.take().unwrap_or_else(|| Box::new(Notes::new(&host::headers(Map::Request))));
        let request = self.request.as_ref().and_then(|r| r.try_borrow().ok());
        let members = notes.members(&self.key, self.code, request.as_deref(), host::now_ms());
        host::set_property(log::STATE, members.as_bytes());
    }

    /// The end: statistics; a trial that never happened is given back.
    pub fn on_delete(&mut self) {
        request::forget(self.context);
        let elapsed = host::now_ms().saturating_sub(self.started);
        let shared = match self.request.take() {
            Some(shared) => shared,
            None => return totals::of_refused(self.code, elapsed),
        };
        if let Ok(mut request) = shared.try_borrow_mut() {
            request.over = true;
            request.count_unasked();
            if let Some(lane) = request.chain.permit.take().and_then(|l| request.table.lanes.get(l)) {
                breaker::give_back(&lane.id);
            }
            if let Some(lane) = request.chain.counted.take().and_then(|l| request.table.lanes.get(l)) {
                load::give_back(lane, host::now_ms());
            }
            totals::of_request(&request, self.code, elapsed);
        };
    }

    pub(crate) fn key(&self) -> Option<&Key> {
        self.table.keys.get(&self.key)
    }

    /// What this path and key come to.
    fn admit(&mut self, method: &str, path: &str, client: &str) -> Result<Endpoint, Reply> {
        let (name, id) = client.rsplit_once('/').unwrap_or((client, ""));
        (self.key, self.token) = (name.to_string(), id.to_string());
        let key = self.key().ok_or_else(replies::unknown_key)?;
        let token = key.token(id).ok_or_else(replies::unknown_key)?;
        if rights::is_expired(token, self.started) {
            return Err(replies::expired_key());
        }
        let bare = path.split('?').next().unwrap_or_default();
        let endpoint = Endpoint::of(path);
        if endpoint != Some(Endpoint::Verify) {
            // To ask whether a token is good is no use of it.
            let tags = [name, &token.slot];
            // The token first: whoever sees a request counted must not take it for one with the slot's last holder.
            count(Metric::TokenUsed, &tags, token.number);
            count(Metric::TokenUsedAt, &tags, self.started / 1000);
            count(Metric::TokenRequests, &tags, 1);
        }
        let endpoint = endpoint.ok_or_else(|| replies::unknown_path(method, bare))?;
        if method != endpoint.method() {
            return Err(replies::wrong_method(method, bare, endpoint.method()));
        }
        match rights::missing_scope(key, endpoint) {
            Some(scope) => Err(replies::missing_scope(scope)),
            None if key.spent && matches!(endpoint, Endpoint::Provider(_)) => Err(replies::spent()),
            None => Ok(endpoint),
        }
    }

    fn answer(&mut self, reply: impl FnOnce(&Table, &Key) -> Reply) -> Action {
        let reply = self.key().map_or_else(replies::unknown_key, |key| reply(&self.table, key));
        self.reply(&reply)
    }

    pub(crate) fn reply(&mut self, reply: &Reply) -> Action {
        self.scanner = None;
        host::set_header(Map::Request, "x-turnout-reply", "1"); // the body is complete: Envoy passes it as it is
        let json = ("content-type", "application/json");
        match &reply.header {
            Some((name, value)) => host::reply(reply.status, &[json, (name, value)], &reply.body),
            None => host::reply(reply.status, &[json], &reply.body),
        }
        Action::Pause
    }
}

/// Reads the held body from one offset to another, as far as it is there; returns how far.
fn scan(scanner: &mut Scanner, from: usize, to: usize) -> usize {
    let mut at = from;
    while at < to {
        let piece = host::buffer(Buffer::Request, at, PIECE.min(to.saturating_sub(at)));
        if piece.is_empty() {
            break;
        }
        at = at.saturating_add(piece.len());
        scanner.feed(&piece);
    }
    at
}
