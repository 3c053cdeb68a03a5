"""The providers of the table: one with every fault, each under a path of its own, and a good one that stands in."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from faults.catalogue import CASES, Case
from faults.shapes import HTML, SIGN_IN
from harness.background import Background
from harness.manifests import Manifest, group, key, model
from harness.providers import Provider, deaf_address, refusing_address
from harness.wire import Wire, whole

FALLBACK_SAYS = "Hello from fallback"

DEADLINE_MS = 800
"""Of every kind, for every gateway: long enough for a good answer on a loaded machine."""

FAILURES = 2
"""Failures in a row that open a circuit."""


class Stage:
    """Providers, and what they were asked. Every case has a model of its own at each, so that cases do not meet."""

    def __init__(self, background: Background, *, refusing: int, deaf: int) -> None:
        self.primary = Wire(background)
        self.fallback = Provider(background, "fallback")
        self._ports = {"refusing": refusing, "deaf": deaf, "http": self.fallback.fake.port}
        self.primary.scenes = {c.name: c.steps for c in CASES if c.fault.counted and c.steps is not None}
        self.primary.scenes["sign-in"] = whole(SIGN_IN, kind=HTML)

    def url(self, case: Case) -> str:
        """The primary's base URL."""
        own = case.fault.url
        return f"http://127.0.0.1:{self.primary.port}/{case.name}/v1" if own is None else own.format(**self._ports)

    def asked(self, case: Case) -> tuple[int | None, int]:
        """Attempts so far at the primary, if it can be seen, and at the fallback."""
        primary = self.primary.asked_in(case.name) if case.fault.counted else None
        return primary, sum(seen.model == spare_name(case) for seen in self.fallback.seen)

    def manifests(self) -> list[Manifest]:
        """A group for each case, with the same rules."""
        deadline = f"{DEADLINE_MS}ms"
        rules: dict[str, Any] = {
            "timeouts": {"firstToken": deadline, "idle": deadline, "request": deadline},
            "circuit": {"failures": FAILURES, "recovery": "10m"},
        }
        groups = [group(c.name, model(c.name, self.url(c)), self._spare(c), **rules) for c in CASES]
        return [*groups, key("app"), self.fallback.secret]

    def _spare(self, case: Case) -> Manifest:
        return {**self.fallback.manifest, "upstreamName": spare_name(case)}


def spare_name(case: Case) -> str:
    """The fallback's model of a case."""
    return f"spare-of-{case.name}"


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage that ends with its context."""
    background = Background()
    with ExitStack() as stack:
        stack.callback(background.close)
        held, refusing = refusing_address()
        stack.callback(held.close)
        made = Stage(background, refusing=refusing, deaf=stack.enter_context(deaf_address()))
        stack.callback(made.fallback.kill)
        stack.callback(made.primary.close)
        yield made
