//! What a key may do: paths, scopes, groups, expiry. Pure; answers are values, `replies` says them to the client.

use crate::chain::{Step, Wish};
use crate::table::{Group, Key, Table, Token};

/// A path that we serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// Goes to providers; what follows the provider's base URL.
    Provider(&'static str),
    /// GET /v1/models
    Models,
    /// GET /v1/auth/verify
    Verify,
}

impl Endpoint {
    /// The path without its query → what it is; None if we do not serve it.
    pub fn of(path: &str) -> Option<Endpoint> {
        match path.split('?').next().unwrap_or_default() {
            "/v1/chat/completions" => Some(Endpoint::Provider("/chat/completions")),
            "/v1/completions" => Some(Endpoint::Provider("/completions")),
            "/v1/embeddings" => Some(Endpoint::Provider("/embeddings")),
            "/v1/responses" => Some(Endpoint::Provider("/responses")),
            "/v1/models" => Some(Endpoint::Models),
            "/v1/auth/verify" => Some(Endpoint::Verify),
            _ => None,
        }
    }

    /// The one method that it has.
    pub fn method(self) -> &'static str {
        match self {
            Endpoint::Provider(_) => "POST",
            _ => "GET",
        }
    }

    /// The scope that it needs; None if any valid key will do.
    pub fn scope(self) -> Option<&'static str> {
        match self {
            Endpoint::Provider("/embeddings") => Some("embeddings:create"),
            Endpoint::Provider(_) => Some("chat:create"),
            Endpoint::Models => Some("models:list"),
            Endpoint::Verify => None,
        }
    }
}

/// Whether the key lacks the scope that this endpoint needs; which one.
pub fn missing_scope(key: &Key, endpoint: Endpoint) -> Option<&'static str> {
    let needed = endpoint.scope()?;
    let implied = |s: &str| endpoint == Endpoint::Models && s.ends_with(":create"); // who may use models may list them
    let has = key.scopes.iter().any(|s| s == "*" || s == needed || implied(s));
    Some(needed).filter(|_| !has)
}

/// Whether the token has expired at `now` (Unix ms).
pub fn is_expired(token: &Token, now: u64) -> bool {
    token.expires_ms > 0 && now >= token.expires_ms
}

/// Whether the key may use the group.
pub fn may_use(key: &Key, group: &Group) -> bool {
    key.groups.iter().any(|g| g == "*" || *g == group.name)
}

/// Why a model is not given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// Nothing of that name.
    Unknown(String),
    /// It exists, and not for this key.
    NotAllowed(String),
}

/// Names in one request's `a|b|c`; more make no sense and would only cost.
const LONGEST_CHAIN: usize = 32;

/// The value of `model` → what it means for this key: a group, a model of an allowed group, or a chain of them.
pub fn resolve(table: &Table, key: &Key, name: &str) -> Result<Wish, Denied> {
    if let Some(group) = allowed_group(table, key, name) {
        return Ok(Wish::Group(group));
    }
    let mut steps: Vec<Step> = Vec::new();
    for part in name.split('|').take(LONGEST_CHAIN).map(str::trim) {
        match allowed_group(table, key, part) {
            Some(group) => steps.extend(fallbacks(table, group)),
            None => steps.push(allowed_model(table, key, part).ok_or_else(|| denied(table, part))?),
        }
    }
    Ok(Wish::Models(steps))
}

fn allowed_group(table: &Table, key: &Key, name: &str) -> Option<usize> {
    let index = table.group(name)?;
    table.groups.get(index).filter(|g| may_use(key, g)).map(|_| index)
}

/// A model of that name in the first allowed group that has one.
fn allowed_model(table: &Table, key: &Key, name: &str) -> Option<Step> {
    let groups = table.groups.iter().enumerate().filter(|(_, g)| may_use(key, g));
    groups.flat_map(named(name)).next()
}

fn denied(table: &Table, name: &str) -> Denied {
    let exists = table.group(name).is_some() || table.groups.iter().enumerate().flat_map(named(name)).next().is_some();
    if exists {
        Denied::NotAllowed(name.to_string())
    } else {
        Denied::Unknown(name.to_string())
    }
}

fn named(name: &str) -> impl Fn((usize, &Group)) -> Option<Step> + '_ {
    move |(group, g)| g.models.iter().position(|m| m.name == name).map(|model| Step { group, model })
}

/// A group inside a chain stands for its models in order, without those that are only canaries.
fn fallbacks(table: &Table, group: usize) -> impl Iterator<Item = Step> + '_ {
    let models = table.groups.get(group).map(|g| g.models.iter()).into_iter().flatten();
    models.enumerate().filter(|(_, m)| m.fallback).map(move |(model, _)| Step { group, model })
}
