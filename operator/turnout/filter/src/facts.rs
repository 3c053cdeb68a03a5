//! One JSON document of a provider (an event of a stream, or a whole answer) → what it says. Pure; builds no tree.
//!
//! Known forms: OpenAI's chat completions, completions, embeddings and responses; the fields that DeepSeek, Gemini,
//! OpenRouter, Groq, Moonshot and Mistral add to them; Anthropic's messages, which some gateways let through.

use crate::cost::Usage;
use crate::json::{Kind, Sink, Word};
use crate::text::number;

/// What a document says.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Facts {
    /// It reports an error.
    pub error: bool,
    /// The HTTP status that the error names, 400–599, or 0.
    pub status: u16,
    /// It holds text, reasoning, a refusal, a tool call, audio or an image: something a client can use.
    pub content: bool,
    /// There is a `choices`, `data` or `output` list; an answer of OpenAI's form.
    pub known: bool,
    /// That list has nothing in it.
    pub hollow: bool,
    /// The model says that it is done, and why is not important.
    pub finish: bool,
    /// It is done because it had nothing more to say; without content, an empty answer.
    pub stop: bool,
    /// Tokens, if told.
    pub usage: Usage,
    /// It tells them and nothing else: OpenAI's event for `stream_options.include_usage`, whose `choices` are empty.
    pub only_usage: bool,
}

/// A key on the way to a value; only those that mean something.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Other,
    Item,
    Error,
    Code,
    Status,
    Type,
    Choices,
    Data,
    Output,
    Message,
    Delta,
    Content,
    Words, // text, reasoning, refusal, arguments, tool_calls and so on
    Finish,
    Usage,
    Input,
    Completion,
    Total,
    CachedInside, // a part of the prompt's tokens
    CachedBeside, // Anthropic counts it beside the prompt's tokens
    Details,
    Block,
    Response,
    Groq,
}

/// How deep paths are looked at: choices, item, message, content, and one for the document itself.
const LOOKED_AT: usize = 6;

/// Reads one document.
#[derive(Default)]
pub struct Reader {
    facts: Facts,
    path: [Step; LOOKED_AT],
    arrays: u8,
    delta_event: bool,
    response_event: bool,
    top_delta: bool,
    counted: bool,
    filled: bool,
    beside: u64,
    total: u64,
    usage: Usage,
}

impl Reader {
    /// What the document said; call it when the document is whole.
    pub fn facts(&self) -> Facts {
        let mut facts = self.facts;
        facts.content |= self.top_delta && (self.delta_event || !self.response_event);
        let input = self.usage.input.saturating_add(self.beside);
        // xAI and Gemini leave reasoning out of the completion's tokens, but not out of the bill, nor of the total.
        let output = self.usage.output.max(self.total.saturating_sub(input));
        facts.usage = Usage { input, cached: self.usage.cached.min(input), output };
        let other = facts.error || facts.content || facts.finish || self.filled;
        facts.only_usage = self.counted && !other;
        facts
    }

    fn step(&self, at: usize) -> Step {
        self.path.get(at).copied().unwrap_or_default()
    }

    /// The steps from the outermost container to a value at `depth`; Gemini wraps errors into a list, which is left out.
    fn steps(&self, depth: usize) -> Option<&[Step]> {
        let from = if self.step(0) == Step::Item { 1 } else { 0 };
        self.path.get(from..depth)
    }

    fn set(&mut self, depth: usize, step: Step) {
        if let Some(slot) = depth.checked_sub(1).and_then(|at| self.path.get_mut(at)) {
            *slot = step;
        }
    }

    /// A value inside a list has no key: its step is Item.
    fn place(&mut self, depth: usize) {
        let inside_list = depth.checked_sub(1).map_or(false, |at| at < 8 && self.arrays >> at & 1 == 1);
        if inside_list {
            self.set(depth, Step::Item);
        }
    }

    /// A value that is not null, false, empty or nothing stands at `depth`.
    fn something(&mut self, depth: usize) {
        use Step::*;
        let steps = match self.steps(depth) {
            Some(steps) => steps,
            None => return,
        };
        match steps {
            [Error] | [Response, Error] | [Choices, Item, Error] => self.facts.error = true,
            [Choices, Item, Message | Delta, Content | Words] | [Choices, Item, Words] => self.facts.content = true,
            [Delta, Words] | [Content] | [Output, Item] => self.facts.content = true,
            [Usage] => self.counted = true,
            [Choices | Data | Output] => self.filled = true,
            _ => {}
        }
    }

    fn list(&mut self, depth: usize, filled: bool) {
        if matches!(self.steps(depth), Some([Step::Choices | Step::Data | Step::Output])) {
            self.facts.known = true;
            self.facts.hollow = !filled;
        }
    }

    fn text(&mut self, depth: usize, text: &[u8]) {
        use Step::*;
        match self.steps(depth) {
            Some([Type]) => self.event(text),
            Some([Error, Code | Type | Status]) => self.named_status(text),
            Some([Choices, Item, Finish]) | Some([Delta, Finish]) => {
                self.facts.finish = true;
                self.facts.stop |= matches!(text, b"stop" | b"end_turn" | b"STOP");
                self.facts.error |= text == b"error";
            }
            Some([Block, Type]) => self.facts.content |= text == b"tool_use",
            Some([Delta]) => self.top_delta |= !text.is_empty(),
            _ => {}
        }
    }

    /// The `type` of an event of OpenAI's responses or Anthropic's messages.
    fn event(&mut self, name: &[u8]) {
        self.response_event |= name.starts_with(b"response.");
        self.delta_event |= name.ends_with(b".delta");
        match name {
            b"message_start" | b"response.created" | b"response.in_progress" => self.facts.known = true,
            b"message_stop" | b"response.completed" | b"response.incomplete" => {
                self.facts.known = true;
                self.facts.finish = true;
                self.facts.stop |= name == b"response.completed";
            }
            b"error" | b"response.failed" => self.facts.error = true,
            _ => {}
        }
    }

    fn named_status(&mut self, name: &[u8]) {
        let status = match name {
            b"rate_limit_exceeded" | b"rate_limit_error" | b"insufficient_quota" | b"RESOURCE_EXHAUSTED" => 429,
            b"overloaded_error" | b"UNAVAILABLE" | b"server_overloaded" => 503,
            digits => number(digits),
        };
        self.status(status);
    }

    fn status(&mut self, status: u64) {
        if (400..600).contains(&status) && self.facts.status == 0 {
            self.facts.status = u16::try_from(status).unwrap_or(0);
        }
    }

    fn number(&mut self, depth: usize, value: u64) {
        use Step::*;
        let steps = self.steps(depth).unwrap_or_default();
        if let [Error, Code | Status] = steps {
            return self.status(value);
        }
        let inside = match steps {
            [Response | Message | Groq, inside @ ..] | [Choices, Item, inside @ ..] => inside,
            all => all,
        };
        match inside {
            [Usage, Input] => self.usage.input = self.usage.input.max(value),
            [Usage, Completion] => self.usage.output = self.usage.output.max(value),
            [Usage, Total] => self.total = self.total.max(value),
            [Usage, CachedInside] | [Usage, Details, CachedInside] => self.usage.cached = self.usage.cached.max(value),
            [Usage, CachedBeside] => {
                self.usage.cached = self.usage.cached.max(value);
                self.beside = self.beside.max(value);
            }
            _ => {}
        }
    }
}

fn step(key: &[u8]) -> Step {
    match key {
        b"error" => Step::Error,
        b"code" => Step::Code,
        b"status" => Step::Status,
        b"type" => Step::Type,
        b"choices" => Step::Choices,
        b"data" => Step::Data,
        b"output" => Step::Output,
        b"message" => Step::Message,
        b"delta" => Step::Delta,
        b"content" => Step::Content,
        b"text" | b"reasoning_content" | b"reasoning" | b"reasoning_details" | b"thinking" | b"refusal"
        | b"partial_json" | b"tool_calls" | b"function_call" | b"audio" | b"images" => Step::Words,
        b"finish_reason" | b"stop_reason" => Step::Finish,
        b"usage" => Step::Usage,
        b"prompt_tokens" | b"input_tokens" => Step::Input,
        b"completion_tokens" | b"output_tokens" => Step::Completion,
        b"total_tokens" => Step::Total,
        b"cached_tokens" | b"prompt_cache_hit_tokens" => Step::CachedInside,
        b"cache_read_input_tokens" => Step::CachedBeside,
        b"prompt_tokens_details" | b"input_tokens_details" => Step::Details,
        b"content_block" => Step::Block,
        b"response" => Step::Response,
        b"x_groq" => Step::Groq,
        _ => Step::Other,
    }
}

impl Sink for Reader {
    fn key(&mut self, depth: usize, key: Word) {
        self.set(depth, step(key.raw));
    }

    fn open(&mut self, depth: usize, kind: Kind, _: u64) {
        self.place(depth);
        if depth < 8 {
            let bit = 1_u8 << depth;
            self.arrays = if kind == Kind::Array { self.arrays | bit } else { self.arrays & !bit };
        }
    }

    fn close(&mut self, depth: usize, kind: Kind, filled: bool) {
        if filled {
            self.something(depth);
        }
        if kind == Kind::Array {
            self.list(depth, filled);
        }
    }

    fn scalar(&mut self, depth: usize, kind: Kind, word: Word) {
        self.place(depth);
        match kind {
            Kind::Text => {
                if !word.raw.is_empty() {
                    self.something(depth);
                }
                self.text(depth, word.raw);
            }
            Kind::Number => self.number(depth, number(word.raw)),
            Kind::True => self.something(depth),
            _ => {}
        }
    }
}
