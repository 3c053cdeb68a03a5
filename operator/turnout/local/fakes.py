"""`turnout run --fake-providers`: a fake provider at every http://127.0.0.1:PORT that the manifests name.

So that failover can be seen without an account anywhere. They ask for the very credentials that the manifests hold.
"""

import asyncio

from turnout.decide.ir import Lane, Router
from turnout.errors import UsageError
from turnout.local.fakeprovider import FakeProvider, Fault, Kind, Options

HOSTS = frozenset({"127.0.0.1", "localhost"})
ANY_PATH = "/{any:.*}"
"""One port may stand for several base paths."""
DOWN = Fault(Kind.DROP)


class Fakes:
    """The fake providers of one router, by port."""

    def __init__(self) -> None:
        self._providers: dict[int, FakeProvider] = {}

    async def adjust(self, router: Router) -> None:
        """Start those that are missing, tell the others of changed models and credentials; none is stopped.

        Raises UsageError if a port is taken.
        """
        lanes: dict[int, list[Lane]] = {}
        for lane in router.lanes:
            if lane.endpoint.host in HOSTS and not lane.endpoint.tls:
                lanes.setdefault(lane.endpoint.port, []).append(lane)
        for port, there in lanes.items():
            models = tuple(sorted({lane.upstream_name for lane in there}))
            credentials = {lane.credential.get_secret_value() if lane.credential else None for lane in there}
            options = Options(
                name=f"the provider on port {port}", port=port, models=models,
                base_path=ANY_PATH if any(lane.prefix for lane in there) else "",
                api_key=there[0].credential if len(credentials) == 1 else None,
            )  # fmt: skip
            if port in self._providers:
                self._providers[port].options = options
            else:
                await self._start(options)

    async def _start(self, options: Options) -> None:
        provider = FakeProvider(options)
        try:
            await provider.start()
        except OSError as error:
            models = ", ".join(options.models)
            raise UsageError(f"no fake provider for {models} on 127.0.0.1:{options.port}: {error.strerror}") from error
        self._providers[options.port] = provider

    def toggle(self, lane: Lane) -> bool | None:
        """Take the provider of a lane down, or bring it back: True if it is up now; None if it is not one of these."""
        provider = self._of(lane)
        if provider is None:
            return None
        down = provider.control.fault.kind is not Kind.OK
        provider.control.set(Fault() if down else DOWN)
        return down

    def up(self, lane: Lane) -> bool | None:
        """Whether the provider of a lane answers; None if it is not one of these."""
        provider = self._of(lane)
        return None if provider is None else provider.control.fault.kind is Kind.OK

    def control_url(self, lane: Lane) -> str | None:
        """The control path of the provider of a lane; None if it is not one of these."""
        provider = self._of(lane)
        return None if provider is None else f"http://127.0.0.1:{provider.port}/ctl"

    async def stop(self) -> None:
        """Stop all of them."""
        await asyncio.gather(*(provider.stop() for provider in self._providers.values()))

    def _of(self, lane: Lane) -> FakeProvider | None:
        fake = lane.endpoint.host in HOSTS and not lane.endpoint.tls
        return self._providers.get(lane.endpoint.port) if fake else None
