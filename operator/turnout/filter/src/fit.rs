//! Whether a model can do a request: what its body asks for, and how long it is. Pure.

/// Abilities that not every model has.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Features(u8);

impl Features {
    /// None of them.
    pub const NONE: Features = Features(0);
    /// All of them.
    pub const ALL: Features = Features(15);
    /// Calling functions: `tools`, `functions`.
    pub const TOOLS: Features = Features(1);
    /// Images in the prompt.
    pub const VISION: Features = Features(2);
    /// Audio in the prompt.
    pub const AUDIO: Features = Features(4);
    /// Answers after a JSON schema.
    pub const JSON_SCHEMA: Features = Features(8);

    /// As the table spells it.
    pub fn named(name: &str) -> Option<Features> {
        match name {
            "tools" => Some(Features::TOOLS),
            "vision" => Some(Features::VISION),
            "audio" => Some(Features::AUDIO),
            "json_schema" => Some(Features::JSON_SCHEMA),
            _ => None,
        }
    }

    /// Both.
    pub fn and(self, other: Features) -> Features {
        Features(self.0 | other.0)
    }

    /// Whether all of `wanted` are among these.
    pub fn cover(self, wanted: Features) -> bool {
        wanted.0 & !self.0 == 0
    }
}

/// What a model can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Talent {
    /// Tokens that it takes, prompt and answer together; 0 = unknown.
    pub window: u64,
    /// What it is able to.
    pub features: Features,
}

/// What a request needs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Need {
    /// Tokens of its prompt at most, by estimate.
    pub tokens: u64,
    /// What it asks for.
    pub features: Features,
}

impl Need {
    /// Whether the model can do it, as far as is known.
    pub fn met_by(&self, talent: &Talent) -> bool {
        talent.features.cover(self.features) && (talent.window == 0 || self.tokens <= talent.window)
    }
}

/// Whether a provider's 400 says that the prompt is too long for the model: OpenAI's code, and the words of Anthropic,
/// Gemini, vLLM and those who copy them.
pub fn says_too_long(body: &[u8]) -> bool {
    const WORDS: [&str; 5] = [
        "context_length_exceeded",
        "maximum context length",
        "prompt is too long",
        "exceeds the maximum number of tokens",
        "exceed context limit",
    ];
    let text = String::from_utf8_lossy(body);
    WORDS.iter().any(|words| text.contains(words))
}
