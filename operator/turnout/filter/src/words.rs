//! The words of one line of the table, read one by one into what they mean. Pure.

use crate::arm::{Canary, WHOLE};
use crate::circuit::Rules;
use crate::cost::Price;
use crate::fit::{Features, Talent};
use crate::table::{Capacity, Group, Key, Lane, Model, Token};
use std::collections::HashMap;

/// The words of one line that are not read yet.
pub struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    /// The words of a line.
    pub fn of(line: &'a str) -> Self {
        Words(line.split('\t'))
    }

    fn any(&mut self) -> Result<&'a str, &'static str> {
        self.0.next().ok_or("too few words")
    }

    /// The next word, which is not empty.
    pub fn text(&mut self) -> Result<&'a str, &'static str> {
        self.any().and_then(|w| if w.is_empty() { Err("an empty word") } else { Ok(w) })
    }

    /// A whole number.
    pub fn number(&mut self) -> Result<u64, &'static str> {
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

    /// There must be no more.
    pub fn end(&mut self) -> Result<(), &'static str> {
        self.0.next().map_or(Ok(()), |_| Err("too many words"))
    }

    /// The rest of a lane's line.
    pub fn lane(&mut self) -> Result<Lane, &'static str> {
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

    /// The rest of a group's line.
    pub fn group(&mut self) -> Result<Group, &'static str> {
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
        Ok(Group { name, first_ms, request_ms, idle_ms, total_ms, attempts, complete, models: Vec::new(), canary: None })
    }

    /// The rest of a model's line, after its group.
    pub fn model(&mut self, lanes: &HashMap<String, usize>) -> Result<Model, &'static str> {
        let name = self.text()?.to_string();
        let lane = *lanes.get(self.text()?).ok_or("a model on an unknown lane")?;
        let fallback = self.flag()?;
        let (failures, recovery_ms) = (self.positive()?, self.positive()?);
        let (permits, ramp_ms) = (self.positive()?, self.number()?);
        let rules = Rules { failures, recovery_ms, permits, ramp_ms };
        let (input, cached, output) = (self.number()?, self.number()?, self.number()?);
        let price = Price { input, cached, output };
        Ok(Model { name, lane, fallback, rules, price, talent: self.talent()? })
    }

    /// The rest of a canary's line, after its group.
    pub fn canary(&mut self, group: &Group) -> Result<Canary, &'static str> {
        let (rollout, tag) = (self.text()?.to_string(), self.text()?.to_string());
        let canary = self.member(group)?;
        let weight = self.number()?;
        if weight > WHOLE {
            return Err("a weight of more than everything");
        }
        let sticky = self.flag()?;
        let baseline = self.member(group)?;
        if canary == baseline {
            return Err("a canary that is its own baseline");
        }
        Ok(Canary { rollout, tag, canary, baseline, weight, sticky })
    }

    fn member(&mut self, group: &Group) -> Result<usize, &'static str> {
        let name = self.text()?;
        group.models.iter().position(|m| m.name == name).ok_or("an arm that is no model of its group")
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

    /// The rest of a key's line.
    pub fn key(&mut self) -> Result<Key, &'static str> {
        let name = self.text()?.to_string();
        let (scopes, groups) = (self.list()?, self.list()?);
        let (rpm, tpm, spent) = (self.number()?, self.number()?, self.flag()?);
        Ok(Key { name, tokens: Vec::new(), scopes, groups, rpm, tpm, spent })
    }

    /// The rest of a token's line, after its key.
    pub fn token(&mut self) -> Result<Token, &'static str> {
        let (id, slot, expires_ms) = (self.text()?.to_string(), self.number()?.to_string(), self.number()?);
        let number = u64::from_str_radix(&["1", &id].concat(), 16).unwrap_or(0);
        Ok(Token { id, number, slot, expires_ms })
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
