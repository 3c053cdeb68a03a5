//! Tokens → money, in exact integers. Pure. Prices are picodollars (1e-12 USD) per token: 0.14 USD per million = 140,000.

use std::fmt::Write;

/// Tokens of one answer as the provider reports them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub input: u64,
    /// Those of them that the provider had cached.
    pub cached: u64,
    /// Completion tokens, reasoning included.
    pub output: u64,
}

/// Picodollars per token.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Price {
    /// A prompt token.
    pub input: u64,
    /// A cached prompt token.
    pub cached: u64,
    /// A completion token.
    pub output: u64,
}

impl Price {
    /// Picodollars for `usage`; saturates (at 18 million USD).
    pub fn of(&self, usage: Usage) -> u64 {
        let cached = usage.cached.min(usage.input);
        let fresh = usage.input.saturating_sub(cached);
        let input = fresh.saturating_mul(self.input).saturating_add(cached.saturating_mul(self.cached));
        input.saturating_add(usage.output.saturating_mul(self.output))
    }
}

/// Picodollars as dollars: plain decimal, no exponent, no trailing zeros ("0.0000182", "0").
pub fn dollars(pico: u64) -> String {
    const UNIT: u64 = 1_000_000_000_000;
    let mut out = format!("{}.", pico / UNIT);
    let _ = write!(out, "{:012}", pico % UNIT);
    let kept = out.trim_end_matches('0').trim_end_matches('.').len();
    out.truncate(kept);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_exact() {
        let price = Price { input: 140_000, cached: 14_000, output: 420_000 };
        let usage = Usage { input: 1_000, cached: 400, output: 50 };
        assert_eq!(price.of(usage), 600 * 140_000 + 400 * 14_000 + 50 * 420_000);
        assert_eq!(price.of(Usage { input: 1, cached: 9, output: 0 }), 14_000);
        assert_eq!(price.of(Usage { input: u64::MAX, cached: 0, output: u64::MAX }), u64::MAX);
    }

    #[test]
    fn dollars_are_plain_decimals() {
        for (pico, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (18_200_000, "0.0000182"),
            (10_000_000_000_000, "10"),
            (2_500_000_000_000, "2.5"),
        ] {
            assert_eq!(dollars(pico), text);
        }
    }
}
