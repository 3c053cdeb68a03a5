"""A provider that is none: OpenAI's API with made-up answers and, on request, every way in which providers fail.

Behind `turnout fake-provider`, to try Turnout out and for its tests. answers and faults are pure; server is aiohttp.
"""

from turnout.local.fakeprovider.faults import Fault, Kind, parse
from turnout.local.fakeprovider.server import FakeProvider, Options

__all__ = ["FakeProvider", "Fault", "Kind", "Options", "parse"]
