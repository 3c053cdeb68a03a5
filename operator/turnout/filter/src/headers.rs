//! Header maps as the ABI carries them: a count, the lengths of all names and values, then the texts, each ended by 0.

/// Headers in order, as they came: nothing is copied out until it is asked for. Names are lower case.
#[derive(Default, Clone, PartialEq, Eq, Debug)]
pub struct Headers(Vec<u8>);

impl Headers {
    /// Takes the ABI's form; what does not fit is left out.
    pub fn new(bytes: Vec<u8>) -> Headers {
        Headers(bytes)
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

    /// The first value of that name, or "". One that is not UTF-8 is "".
    pub fn get(&self, name: &str) -> &str {
        self.pairs().find(|(n, _)| *n == name.as_bytes()).map_or("", |(_, v)| text(v))
    }

    /// Names and values in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let count = self.word(0).unwrap_or(0).min(self.0.len() / 8);
        let mut at = count.saturating_mul(8).saturating_add(4);
        (0..count).map(move |i| {
            let lengths = i.saturating_mul(8).saturating_add(4);
            let name = self.bytes(at, self.word(lengths));
            at = at.saturating_add(self.word(lengths).unwrap_or(0)).saturating_add(1);
            let value = self.bytes(at, self.word(lengths.saturating_add(4)));
            at = at.saturating_add(self.word(lengths.saturating_add(4)).unwrap_or(0)).saturating_add(1);
            (name, value)
        })
    }

    fn word(&self, at: usize) -> Option<usize> {
        let bytes = <[u8; 4]>::try_from(self.0.get(at..at.checked_add(4)?)?).ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    fn bytes(&self, at: usize, length: Option<usize>) -> &[u8] {
        length.and_then(|l| self.0.get(at..at.checked_add(l)?)).unwrap_or_default()
    }
}

/// A name or value as text; "" if it is none.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_survive_the_abi() {
        let headers = Headers::new(Headers::serialise(&[(":path", "/v1/models"), ("a", ""), ("x", "1"), ("x", "2")]));
        assert_eq!((headers.get(":path"), headers.get("a"), headers.get("none")), ("/v1/models", "", ""));
        let all = headers.pairs().filter(|(name, _)| *name == b"x").map(|(_, value)| text(value));
        assert_eq!(all.collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn broken_bytes_are_read_as_far_as_they_go() {
        for bytes in [&[][..], &[1], &[255; 40], &[2, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, b'a', 0]] {
            let _ = Headers::new(bytes.to_vec()).pairs().count();
        }
    }
}
