"""Fake providers for tests of the router: the product's own, with a thread of their own and a credential each."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from pydantic import SecretStr

from harness.background import Background
from harness.manifests import Manifest, model, secret
from turnout.local.fakeprovider import FakeProvider, Fault, Options, parse
from turnout.local.fakeprovider.control import Raw, Seen


class Provider:
    """A fake provider that is as quick as it can be, asks for its credential, and does what `mode` says."""

    def __init__(self, background: Background, name: str, *, tls: ssl.SSLContext | None = None, **options: Any) -> None:
        self.name, self.credential = name, f"credential-of-{name}"
        self._background = background
        defaults = {"latency": 0.0, "chunk_delay": 0.0, "api_key": SecretStr(self.credential), "tls": tls}
        self.fake = FakeProvider(Options(name, **{**defaults, **options}))
        background.run(self.fake.start())

    @property
    def url(self) -> str:
        """Its base URL."""
        return self.fake.url

    @property
    def seen(self) -> list[Seen]:
        """The requests that it was sent, oldest first."""
        return list(self.fake.control.seen)

    @property
    def manifest(self) -> Manifest:
        """It as a model of a chain; its credential is in `secret`."""
        return model(self.name, self.url, secret=self.name)

    @property
    def secret(self) -> Manifest:
        """The Secret with its credential."""
        return secret(self.name, api_key=self.credential)

    def mode(self, mode: str, *, times: int | None = None) -> None:
        """Behave so from now on, or for so many requests; the words are those of `turnout fake-provider`."""
        self.fake.control.set(parse(mode), times=times)

    def raw(
        self, body: bytes | dict[str, Any], *, status: int = 200, kind: str = "application/json", then: str = "end"
    ) -> None:
        """Answer with these bytes from now on."""
        self.mode("raw")
        self.fake.control.raw = Raw(status, kind, body, then)

    def reset(self) -> None:
        """Answer rightly, and forget what was seen."""
        self.fake.control.set(Fault())
        self.fake.control.seen.clear()

    def kill(self) -> None:
        """Stop listening and cut what is under way; `revive` brings it back on the same port."""
        self._background.run(self.fake.stop())

    def revive(self) -> None:
        """Listen again."""
        self.fake = _again(self.fake)
        self._background.run(self.fake.start())


class Trio(NamedTuple):
    """Three fake providers, each serving the model of its name."""

    one: Provider
    two: Provider
    three: Provider

    @property
    def models(self) -> list[Manifest]:
        """They as a chain."""
        return [p.manifest for p in self]

    @property
    def secrets(self) -> list[Manifest]:
        """Their credentials."""
        return [p.secret for p in self]


def _again(fake: FakeProvider) -> FakeProvider:
    """The same provider on the port that it had, with its memory."""
    options = fake.options
    fresh = FakeProvider(Options(**{**vars(options), "port": fake.port}))
    fresh.control = fake.control
    return fresh


def refusing_address() -> tuple[socket.socket, int]:
    """A port that refuses connections as long as the socket lives: bound, and never listened on."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    return held, held.getsockname()[1]


@contextmanager
def deaf_address() -> Iterator[int]:
    """A port that takes no connection and refuses none: its queue is full, and the kernel drops what comes."""
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        yield deaf.getsockname()[1]
