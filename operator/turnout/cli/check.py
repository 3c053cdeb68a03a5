"""`turnout check DIR`: the mistakes in a directory of manifests, one line each."""

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import click

from turnout.errors import UsageError
from turnout.local.checks import all_mistakes, notes
from turnout.local.directory import Directory
from turnout.local.manifests import Manifests


@click.command("check")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--secrets-elsewhere", is_flag=True, help="Secrets that no file holds are taken to be in the cluster.")
def command(*, folder: Path, secrets_elsewhere: bool) -> None:
    """Find the mistakes in the manifests of DIR, as the API server and the operator would.

    Prints a line for each, FILE:LINE: FIELD: REASON, and ends with exit code 1 if there is one. References are checked
    too: Secrets and their keys, the model groups of a key, the model of a rollout.
    """
    found = load(folder)
    mistakes = all_mistakes(found, now=datetime.now(UTC), secrets_elsewhere=secrets_elsewhere)
    for note in notes(found):
        click.echo(f"note: {note}", err=True)
    for mistake in mistakes:
        click.echo(str(mistake))
    if mistakes:
        raise SystemExit(1)
    if not found.manifests:
        raise UsageError(f"{folder} holds no ModelGroup, ScopedKey, CanaryRollout or Secret")
    counts = Counter(m.kind for m in found.manifests)
    click.echo("ok: " + ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in sorted(counts.items())))


def load(folder: Path) -> Manifests:
    """The manifests of a directory. Raises UsageError if there are none."""
    directory = Directory(folder, os.environ)
    if not directory.files():
        below = next((p for suffix in ("yaml", "yml", "json") for p in folder.glob(f"*/*.{suffix}")), None)
        hint = f"; did you mean {below.parent}?" if below else ""
        raise UsageError(f"{folder} holds no .yaml, .yml or .json file{hint}")
    return directory.load()
