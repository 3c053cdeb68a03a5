//! The router's table: every lane, group and key, parsed once per configuration. Pure; fed by `entry` on configure.
//!
//! Written by operator/turnout/xds/table.py; the two change together. A line that does not fit refuses the whole table,
//! so that Envoy keeps the last good configuration: half a table would let a key do less, or more, than it may.

use crate::circuit::Rules;
use crate::cost::Price;
use crate::fit::{Features, Talent};
use std::collections::{HashMap, HashSet};

/// The format that this module reads.
pub const VERSION: &str = "4";

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
    /// Percent of first attempts.
    pub weight: u64,
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
    /// In chain order.
    pub models: Vec<Model>,
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
            return Err(Malformed { line: 1, why: "not a table of version 4" });
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
        let mut words = Words(text.split('\t'));
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
            "key" => {
                let key = words.key()?;
                if self.keys.insert(key.name.clone(), key).is_some() {
                    return Err("a second key of this name");
                }
            }
            "token" => {
                let key = self.keys.get_mut(words.text()?).ok_or("a token of an unknown key")?;
                key.tokens.push(Token { id: words.text()?.to_string(), expires_ms: words.number()? });
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
            if group.models.iter().fold(0_u64, |sum, m| sum.saturating_add(m.weight)) != 100 {
                return Err("a group whose weights are not 100 in all");
            }
        }
        Ok(())
    }
}

struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn any(&mut self) -> Result<&'a str, &'static str> {
        self.0.next().ok_or("too few words")
    }

    fn text(&mut self) -> Result<&'a str, &'static str> {
        self.any().and_then(|w| if w.is_empty() { Err("an empty word") } else { Ok(w) })
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        self.any()?.parse().map_err(|_| "not a number")
    }

    fn flag(&mut self) -> Result<bool, &'static str> {
        match self.text()? {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => Err("neither 0 nor 1"),
        }
    }

    fn positive(&mut self) -> Result<u64, &'static str> {
        self.number().and_then(|n| if n == 0 { Err("0 where there must be more") } else { Ok(n) })
    }

    fn list(&mut self) -> Result<Vec<String>, &'static str> {
        Ok(self.any()?.split(',').filter(|w| !w.is_empty()).map(str::to_string).collect())
    }

    fn end(&mut self) -> Result<(), &'static str> {
        self.0.next().map_or(Ok(()), |_| Err("too many words"))
    }

    fn lane(&mut self) -> Result<Lane, &'static str> {
        let (id, cluster, authority) = (self.text()?.to_string(), self.text()?.to_string(), self.text()?.to_string());
        let (prefix, header, credential) = (self.any()?.to_string(), self.any()?.to_string(), self.any()?.to_string());
        if header.is_empty() != credential.is_empty() {
            return Err("a header without a credential, or the other way round");
        }
        let credential = if header.is_empty() { None } else { Some((header, credential)) };
        let upstream = self.text()?.to_string();
        let capacity = Capacity { rpm: self.number()?, concurrent: self.number()? };
        let warm_ms = self.number()?;
        if crate::text::unescape(upstream.as_bytes()).is_none()
            || upstream.bytes().any(|c| c < b' ')
            || has_bare_quote(&upstream)
        {
            return Err("a model name that is not JSON");
        }
        Ok(Lane { id, cluster, authority, prefix, credential, upstream, capacity, warm_ms })
    }

    fn group(&mut self) -> Result<Group, &'static str> {
        let name = self.text()?.to_string();
        let (first_ms, request_ms, idle_ms) = (self.positive()?, self.positive()?, self.positive()?);
        let total_ms = self.positive()?;
        let attempts = match self.number()? {
            n @ 1..=3 => n as usize,
            _ => return Err("attempts that are not 1 to 3"),
        };
        let complete = match self.text()? {
            "live" => false,
            "complete" => true,
            _ => return Err("a delivery that is neither live nor complete"),
        };
        Ok(Group { name, first_ms, request_ms, idle_ms, total_ms, attempts, complete, models: Vec::new() })
    }

    fn model(&mut self, lanes: &HashMap<String, usize>) -> Result<Model, &'static str> {
        let name = self.text()?.to_string();
        let lane = *lanes.get(self.text()?).ok_or("a model on an unknown lane")?;
        let weight = self.number()?;
        let fallback = self.flag()?;
        let (failures, recovery_ms) = (self.positive()?, self.positive()?);
        let (permits, ramp_ms) = (self.positive()?, self.number()?);
        let rules = Rules { failures, recovery_ms, permits, ramp_ms };
        let (input, cached, output) = (self.number()?, self.number()?, self.number()?);
        let price = Price { input, cached, output };
        Ok(Model { name, lane, weight, fallback, rules, price, talent: self.talent()? })
    }

    fn talent(&mut self) -> Result<Talent, &'static str> {
        let window = self.number()?;
        let mut features = Features::NONE;
        for word in self.list()? {
            let feature = if word == "*" { Features::ALL } else { Features::named(&word).ok_or("an unknown feature")? };
            features = features.and(feature);
        }
        Ok(Talent { window, features })
    }

    fn key(&mut self) -> Result<Key, &'static str> {
        let name = self.text()?.to_string();
        let (scopes, groups) = (self.list()?, self.list()?);
        let (rpm, tpm, spent) = (self.number()?, self.number()?, self.flag()?);
        Ok(Key { name, tokens: Vec::new(), scopes, groups, rpm, tpm, spent })
    }
}

/// Whether a quote stands in JSON text without a backslash before it.
fn has_bare_quote(text: &str) -> bool {
    let mut escaped = false;
    text.bytes().any(|c| {
        let bare = c == b'"' && !escaped;
        escaped = c == b'\\' && !escaped;
        bare
    })
}
