//! Header maps as the ABI carries them: a count, the lengths of all names and values, then the texts, each ended by 0.

/// Headers in order; names are lower case.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Reads the ABI's form; what does not fit is left out.
    pub fn parse(bytes: &[u8]) -> Headers {
        let word = |at: usize| -> Option<usize> {
            let text = bytes.get(at..at.checked_add(4)?)?;
            usize::try_from(u32::from_le_bytes(<[u8; 4]>::try_from(text).ok()?)).ok()
        };
        let count = word(0).unwrap_or(0).min(bytes.len() / 8);
        let mut texts = count.saturating_mul(8).saturating_add(4);
        let mut take = |length: usize| {
            let text = bytes.get(texts..texts.saturating_add(length)).map(String::from_utf8_lossy);
            texts = texts.saturating_add(length).saturating_add(1);
            text.unwrap_or_default().into_owned()
        };
        let pairs = (0..count).map(|i| {
            let at = i.saturating_mul(8).saturating_add(4);
            let name = take(word(at).unwrap_or(0));
            (name, take(word(at.saturating_add(4)).unwrap_or(0)))
        });
        Headers(pairs.collect())
    }

    /// Writes the ABI's form.
    pub fn serialise(pairs: &[(&str, &str)]) -> Vec<u8> {
        let length = |text: &str| u32::try_from(text.len()).unwrap_or(0).to_le_bytes();
        let mut out = u32::try_from(pairs.len()).unwrap_or(0).to_le_bytes().to_vec();
        for (name, value) in pairs {
            out.extend_from_slice(&length(name));
            out.extend_from_slice(&length(value));
        }
        for (name, value) in pairs {
            out.extend_from_slice(name.as_bytes());
            out.push(0);
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        }
        out
    }

    /// The first value of that name, or "".
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// Every value of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The names in order; one that stands twice comes twice.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(n, _)| n.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_survive_the_abi() {
        let headers = Headers::parse(&Headers::serialise(&[(":path", "/v1/models"), ("a", ""), ("x", "1"), ("x", "2")]));
        assert_eq!((headers.get(":path"), headers.get("a"), headers.get("none")), ("/v1/models", "", ""));
        assert_eq!(headers.all("x").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn broken_bytes_are_read_as_far_as_they_go() {
        for bytes in [&[][..], &[1], &[255; 40], &[2, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, b'a', 0]] {
            let _ = Headers::parse(bytes);
        }
    }
}
