"""What commands on objects of a folder or of a cluster share: where they are, and which one is meant."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from turnout.errors import UsageError

Json = dict[str, Any]

FOLDER = click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
NAMESPACE = click.option(
    "-n", "--namespace", help="Default: in DIR the only one; in a cluster that of kubectl's context."
)
CONTEXT = click.option("--context", help="Of kubectl's configuration; default: the current one.")


def find(kind: str, name: str, objects: Sequence[Json]) -> Json:
    """The object of that name. Raises UsageError, which says what there is."""
    names = [obj["metadata"]["name"] for obj in objects]
    if name in names:
        return objects[names.index(name)]
    close = get_close_matches(name, names, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"there is {', '.join(sorted(names)) or 'none'}"
    raise UsageError(f"{kind} '{name}' does not exist; {hint}")
