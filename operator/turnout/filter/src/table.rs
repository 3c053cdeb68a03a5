//! The router's table: every lane, group and key, parsed once per configuration. Pure; fed by `entry` on configure.
//!
//! Written by operator/turnout/xds/table.py; the two change together. A line that does not fit refuses the whole table,
//! so that Envoy keeps the last good configuration: half a table would let a key do less, or more, than it may.

use crate::arm::Canary;
use crate::circuit::Rules;
use crate::cost::Price;
use crate::fit::Talent;
use crate::words::Words;
use std::collections::{HashMap, HashSet};

/// The format that this module reads.
pub const VERSION: &str = "7";

/// One way to a model: everything between "try it" and the provider's answer.
#[derive(Debug)]
pub struct Lane {
    /// Its name in shared data and on /lanes.
    pub id: String,
    /// The Envoy cluster of its endpoint.
    pub cluster: String,
    /// Host header.
    pub authority: String,
    /// What replaces "/v1" in the path.
    pub prefix: String,
    /// Header and value of the credential; None for providers without one.
    pub credential: Option<(String, String)>,
    /// The provider's name of the model, as it stands between quotes in JSON.
    pub upstream: String,
    /// What it may be asked.
    pub capacity: Capacity,
    /// Milliseconds of idleness after which it is asked for a token; 0 = never.
    pub warm_ms: u64,
}

/// What one router may ask of a lane; 0 = no limit.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Requests a minute.
    pub rpm: u64,
    /// Requests at a time.
    pub concurrent: u64,
}

/// A model as a group's chain has it.
#[derive(Debug)]
pub struct Model {
    /// What clients and metrics call it.
    pub name: String,
    /// Index in `Table::lanes`.
    pub lane: usize,
    /// Whether it is used as a fallback.
    pub fallback: bool,
    /// Its circuit's rules in this group.
    pub rules: Rules,
    /// What its tokens cost.
    pub price: Price,
    /// What it can do.
    pub talent: Talent,
}

/// A prioritised chain of models behind one name.
#[derive(Debug)]
pub struct Group {
    /// What clients send as `model`.
    pub name: String,
    /// Milliseconds to a stream's first content.
    pub first_ms: u64,
    /// Milliseconds of one whole attempt that does not stream.
    pub request_ms: u64,
    /// Milliseconds of silence inside a stream.
    pub idle_ms: u64,
    /// Milliseconds over all attempts.
    pub total_ms: u64,
    /// Attempts at a model before the next, 1–3.
    pub attempts: usize,
    /// Streams are held until they are whole.
    pub complete: bool,
    /// In chain order; the first is the primary.
    pub models: Vec<Model>,
    /// The rollout under way.
    pub canary: Option<Canary>,
}

/// What a key may do.
#[derive(Debug)]
pub struct Key {
    /// The ScopedKey's name.
    pub name: String,
    /// Its tokens, newest last.
    pub tokens: Vec<Token>,
    /// Scopes, or "*".
    pub scopes: Vec<String>,
    /// Group names, or "*".
    pub groups: Vec<String>,
    /// Requests a minute; 0 = no limit.
    pub rpm: u64,
    /// Tokens a minute; 0 = no limit.
    pub tpm: u64,
    /// Its budget of money is used up.
    pub spent: bool,
}

/// A token of a key.
#[derive(Debug)]
pub struct Token {
    /// Its public name.
    pub id: String,
    /// The id as a gauge can tell it: its hexadecimal digits behind a 1, so that none is lost; 0 if it has others.
    pub number: u64,
    /// The number that it has among the key's tokens as long as it lives; afterwards another has it.
    pub slot: String,
    /// Unix ms; 0 = never.
    pub expires_ms: u64,
}

/// The whole of it.
#[derive(Default, Debug)]
pub struct Table {
    /// All lanes.
    pub lanes: Vec<Lane>,
    /// All groups.
    pub groups: Vec<Group>,
    /// Keys by name.
    pub keys: HashMap<String, Key>,
    /// The smallest context window that a model states, tokens; u64::MAX if none does.
    pub least_window: u64,
    group_names: HashMap<String, usize>,
}

/// Which line is wrong and how; never holds a credential.
#[derive(PartialEq, Eq, Debug)]
pub struct Malformed {
    /// Line number from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Key {
    /// The token of that id.
    pub fn token(&self, id: &str) -> Option<&Token> {
        self.tokens.iter().find(|token| token.id == id)
    }
}

impl Table {
    /// Parses a table.
    pub fn parse(text: &str) -> Result<Table, Malformed> {
        let mut table = Table::default();
        let mut lanes = HashMap::new();
        let mut lines = text.lines().zip(1..);
        let versioned = lines.next().map_or(false, |(line, _)| line.split('\t').eq(["turnout", VERSION]));
        if !versioned {
            return Err(Malformed { line: 1, why: "not a table of version 7" });
        }
        for (text, line) in lines {
            table.line(text, &mut lanes).map_err(|why| Malformed { line, why })?;
        }
        table.check().map_err(|why| Malformed { line: 0, why })?;
        let models = table.groups.iter().flat_map(|group| &group.models);
        table.least_window = models.map(|m| m.talent.window).filter(|w| *w > 0).min().unwrap_or(u64::MAX);
        Ok(table)
    }

    /// A model by the indices of its group and in it.
    pub fn model(&self, group: usize, model: usize) -> Option<&Model> {
        self.groups.get(group)?.models.get(model)
    }

    /// The group of that name.
    pub fn group(&self, name: &str) -> Option<usize> {
        self.group_names.get(name).copied()
    }

    fn line(&mut self, text: &str, lanes: &mut HashMap<String, usize>) -> Result<(), &'static str> {
        let mut words = Words::of(text);
        match words.text()? {
            "lane" => {
                let lane = words.lane()?;
                if lanes.insert(lane.id.clone(), self.lanes.len()).is_some() {
                    return Err("a second lane of this id");
                }
                self.lanes.push(lane);
            }
            "group" => {
                let group = words.group()?;
                if self.group_names.insert(group.name.clone(), self.groups.len()).is_some() {
                    return Err("a second group of this name");
                }
                self.groups.push(group);
            }
            "model" => {
                let group = self.groups.last_mut().ok_or("a model before any group")?;
                if words.text()? != group.name {
                    return Err("a model that does not follow its group");
                }
                group.models.push(words.model(lanes)?);
            }
            "canary" => {
                let group = self.groups.last_mut().ok_or("a canary before any group")?;
                if words.text()? != group.name || group.canary.is_some() {
                    return Err("a canary that does not follow its group, or a second one");
                }
                group.canary = Some(words.canary(group)?);
            }
            "key" => {
                let key = words.key()?;
                if self.keys.insert(key.name.clone(), key).is_some() {
                    return Err("a second key of this name");
                }
            }
            "token" => {
                let key = self.keys.get_mut(words.text()?).ok_or("a token of an unknown key")?;
                key.tokens.push(words.token()?);
            }
            _ => return Err("an unknown kind of line"),
        }
        words.end()
    }

    fn check(&self) -> Result<(), &'static str> {
        for group in &self.groups {
            let names: HashSet<&str> = group.models.iter().map(|m| m.name.as_str()).collect();
            if names.len() != group.models.len() {
                return Err("a group with two models of one name");
            }
            if group.models.is_empty() {
                return Err("a group without models");
            }
        }
        Ok(())
    }
}
