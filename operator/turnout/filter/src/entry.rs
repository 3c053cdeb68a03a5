//! Envoy's callbacks: which role, which context. No logic here.

use crate::breaker;
use crate::cell::{Cell, Numbered};
use crate::front::{Action, Front};
use crate::gauges;
use crate::host::{self, Buffer};
use crate::lane::Attempt;
use crate::load;
use crate::log;
use crate::status::Status;
use crate::table::Table;
use crate::warm;
use crate::watch;
use std::cell::RefCell;
use std::rc::Rc;

/// What a root context (one configured filter) is.
#[derive(Clone)]
enum Role {
    Front(Rc<Table>),
    Lane,
    Status,
}

enum Context {
    Front(Front),
    Lane(Attempt),
    Status(Status),
}

/// Milliseconds between looks at circuits, and for lanes to be warmed.
const FRONT_TICK_MS: u32 = 1_000;

thread_local! {
    /// The root of the newest table.
    static NEWEST: std::cell::Cell<u32> = std::cell::Cell::new(0);
    static ROLES: Cell<Numbered<u32, Role>> = Cell::new(Numbered::default());
    static CONTEXTS: Cell<Numbered<u32, Rc<RefCell<Context>>>> = Cell::new(Numbered::default());
}

fn role(root: u32) -> Option<Role> {
    ROLES.with(|roles| roles.with(|roles| roles.get(&root).cloned())).flatten()
}

/// Runs `f` with a context; None if it is unknown, or at work already.
fn with<R>(context: u32, f: impl FnOnce(&mut Context) -> R) -> Option<R> {
    let found = CONTEXTS.with(|all| all.with(|all| all.get(&context).cloned())).flatten()?;
    let mut context = found.try_borrow_mut().ok()?;
    Some(f(&mut context))
}

fn every_context() -> Vec<Rc<RefCell<Context>>> {
    CONTEXTS.with(|all| all.with(|all| all.values().cloned().collect())).unwrap_or_default()
}

fn act(context: u32, f: impl FnOnce(&mut Context) -> Action) -> u32 {
    host::begin_callback();
    with(context, f).unwrap_or(Action::Continue) as u32
}

/// The ABI's version, by its presence.
#[no_mangle]
pub extern "C" fn proxy_abi_version_0_2_1() {}

/// Memory that Envoy fills and hands to us.
#[no_mangle]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    std::mem::ManuallyDrop::new(Vec::<u8>::with_capacity(size)).as_mut_ptr()
}

/// The VM starts.
#[no_mangle]
pub extern "C" fn proxy_on_vm_start(_root: u32, _size: usize) -> u32 {
    1
}

/// A configuration: "lane", "status" or a table. 0 refuses it, and Envoy keeps the last one.
#[no_mangle]
pub extern "C" fn proxy_on_configure(root: u32, size: usize) -> u32 {
    let bytes = host::buffer(Buffer::Configuration, 0, size);
    let role = match bytes.as_slice() {
        b"lane" => {
            host::tick_every(watch::TICK_MS);
            Role::Lane
        }
        b"status" => {
            host::tick_every(watch::TICK_MS);
            Role::Status
        }
        table => match std::str::from_utf8(table).ok().map(Table::parse) {
            Some(Ok(table)) => {
                breaker::announce(&table);
                log::configure();
                host::tick_every(FRONT_TICK_MS);
                NEWEST.with(|newest| newest.set(root));
                Role::Front(Rc::new(table))
            }
            Some(Err(wrong)) => {
                host::warn(&format!("turnout: table refused: line {}: {}", wrong.line, wrong.why));
                return 0;
            }
            None => {
                host::warn("turnout: table refused: not UTF-8");
                return 0;
            }
        },
    };
    ROLES.with(|roles| roles.with(|roles| roles.insert(root, role)));
    1
}

/// A tick of a role: of the front for gauges and warm-ups, of the others for all their contexts. A front whose table has
/// been replaced lives on with its last request, and has no say any more.
#[no_mangle]
pub extern "C" fn proxy_on_tick(root: u32) {
    host::begin_callback();
    let (role, now) = (role(root), host::now_ms());
    if let Some(Role::Front(table)) = &role {
        if NEWEST.with(|newest| newest.get()) == root {
            gauges::on_tick(table, now);
            warm::on_tick(table, now);
        }
        return;
    }
    let lanes = matches!(role, Some(Role::Lane));
    if lanes {
        load::on_tick(now);
    }
    for context in every_context() {
        match context.try_borrow_mut().as_deref_mut() {
            Ok(Context::Lane(attempt)) if lanes => attempt.on_tick(now),
            Ok(Context::Status(status)) if !lanes => status.on_tick(now),
            _ => {}
        }
    }
}

/// A new root (parent 0) or a new request's context.
#[no_mangle]
pub extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    if parent != 0 {
        warm::works();
    }
    let created = match role(parent) {
        Some(Role::Front(table)) => Context::Front(Front::new(context, table)),
        Some(Role::Lane) => Context::Lane(Attempt::new(context)),
        Some(Role::Status) => Context::Status(Status::new(context)),
        None => return,
    };
    CONTEXTS.with(|all| all.with(|all| all.insert(context, Rc::new(RefCell::new(created)))));
}

/// A request's headers.
#[no_mangle]
pub extern "C" fn proxy_on_request_headers(context: u32, _count: u32, end: u32) -> u32 {
    act(context, |c| match c {
        Context::Front(front) => front.on_request_headers(end != 0),
        Context::Lane(attempt) => attempt.on_request_headers(),
        Context::Status(status) => status.on_request_headers(),
    })
}

/// A request's body, all that is held of it.
#[no_mangle]
pub extern "C" fn proxy_on_request_body(context: u32, size: usize, end: u32) -> u32 {
    act(context, |c| match c {
        Context::Front(front) => front.on_request_body(size, end != 0),
        Context::Lane(attempt) => attempt.on_request_body(size, end != 0),
        Context::Status(_) => Action::Continue,
    })
}

/// Trailers end a body.
#[no_mangle]
pub extern "C" fn proxy_on_request_trailers(context: u32, _count: u32) -> u32 {
    act(context, |c| match c {
        Context::Front(front) => front.on_request_trailers(),
        _ => Action::Continue,
    })
}

/// An answer's headers.
#[no_mangle]
pub extern "C" fn proxy_on_response_headers(context: u32, _count: u32, end: u32) -> u32 {
    act(context, |c| match c {
        Context::Front(front) => front.on_response_headers(),
        Context::Lane(attempt) => attempt.on_response_headers(end != 0),
        Context::Status(_) => Action::Continue,
    })
}

/// An answer's body: all that is held, or the piece that passes.
#[no_mangle]
pub extern "C" fn proxy_on_response_body(context: u32, size: usize, end: u32) -> u32 {
    act(context, |c| match c {
        Context::Lane(attempt) => attempt.on_response_body(size, end != 0),
        _ => Action::Continue,
    })
}

/// Trailers end an answer.
#[no_mangle]
pub extern "C" fn proxy_on_response_trailers(context: u32, _count: u32) -> u32 {
    act(context, |c| match c {
        Context::Lane(attempt) => attempt.on_response_trailers(),
        _ => Action::Continue,
    })
}

/// The answer to a call of ours. Envoy tells the role, not the stream that asked; every drain under way may read it.
#[no_mangle]
pub extern "C" fn proxy_on_http_call_response(_root: u32, token: u32, headers: u32, size: usize, _trailers: u32) {
    host::begin_callback();
    if warm::on_call(token, headers, size) {
        return;
    }
    let now = host::now_ms();
    for context in every_context() {
        if let Ok(Context::Status(status)) = context.try_borrow_mut().as_deref_mut() {
            status.on_call(size, now);
        }
    }
}

/// A request is over, just before Envoy's access logger writes its line.
#[no_mangle]
pub extern "C" fn proxy_on_log(context: u32) {
    host::begin_callback();
    with(context, |c| match c {
        Context::Front(front) => front.on_log(),
        _ => {}
    });
}

/// A context is over: a request's, or a configuration's.
#[no_mangle]
pub extern "C" fn proxy_on_delete(context: u32) {
    host::begin_callback();
    let removed = CONTEXTS.with(|all| all.with(|all| all.remove(&context))).flatten();
    let found = match &removed {
        Some(found) => found.try_borrow_mut(),
        None => {
            ROLES.with(|roles| roles.with(|roles| roles.remove(&context)));
            return;
        }
    };
    if let Ok(mut found) = found {
        match &mut *found {
            Context::Front(front) => front.on_delete(),
            Context::Lane(attempt) => attempt.on_delete(),
            Context::Status(_) => {}
        }
    };
}
