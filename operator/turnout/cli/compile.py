"""`turnout compile DIR -o OUT`: everything that an Envoy needs to serve the manifests, as files."""

from datetime import UTC, datetime
from pathlib import Path

import click

from turnout.apply.keyring import Keyring
from turnout.cli.check import load
from turnout.cli.types import address
from turnout.decide.rotation import usable
from turnout.errors import UsageError
from turnout.local import files
from turnout.local.checks import reference_mistakes
from turnout.local.compiling import Result, compile_manifests
from turnout.local.directory import choose_namespace
from turnout.local.envoy import base_url, ca_bundle
from turnout.local.home import FOLDER, Home
from turnout.local.manifests import Manifest
from turnout.xds.bootstrap import Address, bootstrap
from turnout.xds.place import Place

LONGEST_SOCKET_PATH = 107
"""Bytes of a Unix socket's path. Source: unix(7)."""


@click.command("compile")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to fill.")
@click.option("--listen", type=address, default="127.0.0.1:4000", show_default=True, help="Where programs call it.")
@click.option("--status", type=address, default="127.0.0.1:9902", show_default=True, help="Probes and statistics.")
@click.option("-n", "--namespace", help="Which namespace to compile, if the manifests hold several.")
@click.option("--access-log", is_flag=True, help="Have Envoy print a line of JSON for each request.")
def command(
    *, folder: Path, output: Path, listen: Address, status: Address, namespace: str | None, access_log: bool
) -> None:
    """Write Envoy's files for the manifests in DIR, to look at or to run: `envoy -c OUTPUT/bootstrap.json`.

    Keys that `turnout run DIR` issued stay as they are; others are issued here. OUTPUT/keys has them. The files hold
    credentials, and only you can read them.
    """
    found = load(folder)
    chosen = choose_namespace(found, namespace, folder)
    mine = found.within(chosen, alone=len(found.namespaces) < 2)
    mistakes = [*found.unset, *found.mistakes, *reference_mistakes(mine, chosen, now=datetime.now(UTC))]
    for mistake in mistakes:
        click.echo(str(mistake))
    if mistakes:
        raise SystemExit(1)
    home = Home(output.resolve())
    admin = str(home.path / "admin.sock")
    if len(admin.encode()) > LONGEST_SOCKET_PATH:
        raise UsageError(f"{admin} is too long for a socket; choose an OUTPUT with a shorter path")
    try:
        Home(output).claim()
        place = Place(str(home.save_filter()), str(home.path / "xds"), ca_bundle())
        version = _write(mine, home, Home(folder / FOLDER), chosen, place, listen)
        config = bootstrap(place, listen=listen, status=status, admin_socket=admin, node_id="compiled", log=access_log)
        files.write(home.path / "bootstrap.json", config)
    except OSError as error:
        raise UsageError(f"{error.filename or output} cannot be written: {error.strerror}") from error
    click.echo(f"{output}: version {version[:12]}; run it with: envoy -c {output / 'bootstrap.json'}")


def _write(mine: list[Manifest], home: Home, running: Home, namespace: str, place: Place, listen: Address) -> str:
    """Write keys and xDS files; the version. running: the folder of `turnout run`, whose keys are the ones in use."""
    now = datetime.now(UTC)

    def compiled(issued: Keyring) -> Result:
        return compile_manifests(mine, namespace, issued=issued, metadata={}, previous=None, place=place, now=now)

    first = compiled({**home.issued(), **running.issued()})
    # No router can be asked whether it accepts new tokens: the one that these files are for will.
    result = compiled({name: usable(have, now=now) for name, have in first.issued.items()})
    home.save_issued(namespace, result.issued)
    files.swap(home.path / "xds", result.compiled.files.version, result.compiled.files.data)
    home.hand_out(namespace, result.compiled.decision.keys, base_url(listen))
    return result.compiled.files.version
