"""`turnout keys`: list, rotate and revoke, in a folder or in a cluster. What the user owns is changed, nothing else."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import yaml

from turnout.api.quantities import format_time, parse_time
from turnout.cli.objects import CONTEXT, FOLDER, NAMESPACE, find
from turnout.errors import UsageError

Field = tuple[str, ...]
Fields = Mapping[Field, str | bool]


@click.group("keys")
def command() -> None:
    """List, rotate and revoke ScopedKeys: those of the manifests in DIR, or without DIR those in a cluster.

    What is changed is what you wrote: a file in DIR, or the ScopedKey in the cluster, with kubectl's configuration and
    your rights. In a cluster that Git rules, commit it too: it says what.
    """


@dataclass(frozen=True)
class Place:
    """Where keys are: a namespace of a folder or of a cluster."""

    folder: Path | None
    namespace: str | None
    context: str | None

    def objects(self) -> list[dict[str, Any]]:
        """The ScopedKeys, by name."""
        if self.folder is not None:
            from turnout.local.keys import FolderKeys

            return FolderKeys(self.folder, self.namespace).objects()
        keys, _ = self._cluster()
        return asyncio.run(keys.objects())

    def change(self, name: str, fields: Fields) -> str:
        """Change a key; what to tell. Raises TurnoutError."""
        if self.folder is not None:
            from turnout.local.keys import FolderKeys

            return FolderKeys(self.folder, self.namespace).change(name, fields)
        keys, namespace = self._cluster()
        asyncio.run(keys.change(name, fields))
        return (
            f"changed ScopedKey {name} in namespace {namespace}. If Git rules it, commit this, or it is put back:\n"
            f"{_fragment(fields)}Watch it: kubectl -n {namespace} get scopedkey {name} -w"
        )

    def find(self, name: str) -> dict[str, Any]:
        """One of them. Raises UsageError."""
        return find("ScopedKey", name, self.objects())

    def _cluster(self) -> Any:
        from turnout.apply.kube import connect_user  # late: it takes 0.3 s to import
        from turnout.apply.user_keys import ClusterKeys

        kube, namespace = connect_user(self.context)
        namespace = self.namespace or namespace
        return ClusterKeys(kube, namespace), namespace


@command.command("list")
@FOLDER
@NAMESPACE
@CONTEXT
def list_keys(*, folder: Path | None, namespace: str | None, context: str | None) -> None:
    """Each key with its tokens, when it was last used, and what it cost this month."""
    objects = Place(folder, namespace, context).objects()
    rows = [_row(obj) for obj in objects]
    if not rows:
        click.echo("no ScopedKeys", err=True)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAME", "PHASE", "TOKENS", "LAST USED", "EXPIRES", "USD", "GROUPS"):
        table.add_column(column, justify="right" if column == "USD" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 250, highlight=False).print(table)


@command.command("rotate")
@click.argument("name")
@FOLDER
@click.option(
    "--emergency", is_flag=True, help="The old token has leaked: revoke it at once, before programs have the new."
)
@NAMESPACE
@CONTEXT
def rotate(*, name: str, folder: Path | None, emergency: bool, namespace: str | None, context: str | None) -> None:
    """Give the key NAME a new token now, by a new spec.rotation.trigger."""
    place = Place(folder, namespace, context)
    spec = place.find(name)["spec"]
    if spec.get("revoked"):
        raise UsageError(f"ScopedKey '{name}' is revoked; take revoked: true away first")
    if _is_past(spec.get("expiresAt")):
        raise UsageError(f"ScopedKey '{name}' expired at {spec['expiresAt']}; give it a later expiresAt first")
    fields: dict[Field, str | bool] = {("rotation", "trigger"): _moment(spec)}
    if emergency != bool((spec.get("rotation") or {}).get("emergency", False)):
        fields["rotation", "emergency"] = emergency
    click.echo(place.change(name, fields))


@command.command("revoke")
@click.argument("name")
@FOLDER
@NAMESPACE
@CONTEXT
def revoke(*, name: str, folder: Path | None, namespace: str | None, context: str | None) -> None:
    """Have every router refuse the key NAME from now on, by spec.revoked."""
    place = Place(folder, namespace, context)
    if place.find(name)["spec"].get("revoked"):
        click.echo(f"ScopedKey {name} is revoked already")
        return
    click.echo(place.change(name, {("revoked",): True}))


def _moment(spec: Mapping[str, Any]) -> str:
    """A trigger that differs from the one that is there."""
    now = datetime.now(UTC)
    trigger = format_time(now)
    return trigger if trigger != (spec.get("rotation") or {}).get("trigger") else now.isoformat()


def _is_past(time: Any) -> bool:
    """Whether that moment is over. What is no time is `turnout check`'s to tell."""
    try:
        return time is not None and parse_time(time) <= datetime.now(UTC)
    except ValueError:
        return False


def _fragment(fields: Fields) -> str:
    spec: dict[str, Any] = {}
    for path, value in fields.items():
        place = spec
        for word in path[:-1]:
            place = place.setdefault(word, {})
        place[path[-1]] = value
    return str(yaml.safe_dump({"spec": spec}, sort_keys=False))


def _row(obj: Mapping[str, Any]) -> list[str]:
    spec, status = obj["spec"], obj.get("status") or {}
    tokens = status.get("tokens") or []
    used = max((token["lastUsedAt"] for token in tokens if token.get("lastUsedAt")), default="-")
    return [
        obj["metadata"]["name"],
        status.get("phase", "-"),
        ", ".join(f"{token['id']} {token['state']}" for token in tokens) or "-",
        used,
        _expires(spec, status),
        ((status.get("usage") or {}).get("month") or {}).get("usd", "0" if status else "-"),
        ", ".join(spec.get("modelGroups") or []),
    ]


def _expires(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """When it dies. A lifetime is counted from a token's issue: before the first and after the last nobody can tell."""
    return str(status.get("expiresAt") or spec.get("expiresAt") or ("-" if spec.get("lifetime") else "never"))
