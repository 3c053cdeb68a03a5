"""The real Envoy and our filter, as tests find them."""

import sys
from pathlib import Path

ENVOY = Path(sys.prefix) / "bin" / "envoy"
FILTER = Path(__file__).parents[2] / "operator" / "turnout" / "filter" / "turnout.wasm"
