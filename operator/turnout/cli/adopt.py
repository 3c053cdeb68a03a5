"""`turnout adopt`: print the edit of a ModelGroup that makes a rollout's canary its primary. Nothing is changed."""

import asyncio
from pathlib import Path

import click
import yaml

from turnout.cli.objects import CONTEXT, FOLDER, NAMESPACE, Json, find
from turnout.decide.canary.adoption import adopted
from turnout.errors import UsageError


@click.command("adopt")
@click.argument("name", metavar="ROLLOUT")
@FOLDER
@NAMESPACE
@CONTEXT
def command(*, name: str, folder: Path | None, namespace: str | None, context: str | None) -> None:
    r"""Print the patch of the ModelGroup that names the canary of ROLLOUT first, which makes its promotion permanent.

    Of the manifests in DIR, or without DIR of those in a cluster. Write it into your manifests, or apply it:

    \b
      kubectl patch modelgroup GROUP --type merge --patch "$(turnout adopt ROLLOUT)"
    """
    rollouts, groups = _folder(folder, namespace) if folder else asyncio.run(_cluster(namespace, context))
    rollout = find("CanaryRollout", name, rollouts)
    group = find("ModelGroup", rollout["spec"]["modelGroup"], groups)
    models, canary = group["spec"]["models"], rollout["spec"]["model"]
    if models[0]["name"] == canary:
        click.echo(f"'{canary}' is the primary of ModelGroup '{group['metadata']['name']}' already", err=True)
        return
    try:
        patch = {"spec": {"models": adopted(models, canary)}}
    except KeyError:
        raise UsageError(f"ModelGroup '{group['metadata']['name']}' has no model '{canary}'") from None
    phase = (rollout.get("status") or {}).get("phase") or "not under way"
    if phase != "Promoted":
        click.echo(f"careful: CanaryRollout '{name}' is {phase}, not Promoted", err=True)
    click.echo(yaml.safe_dump(patch, sort_keys=False, allow_unicode=True, width=120), nl=False)


def _folder(folder: Path, namespace: str | None) -> tuple[list[Json], list[Json]]:
    from turnout.local.served import Served

    served = Served(folder, namespace)
    return served.objects("CanaryRollout"), served.objects("ModelGroup")


async def _cluster(namespace: str | None, context: str | None) -> tuple[list[Json], list[Json]]:
    from turnout.apply.kube import connect_user  # late: it takes 0.3 s to import
    from turnout.infra.kinds import CANARY_ROLLOUT, MODEL_GROUP

    kube, current = connect_user(context)
    found = [await kube.list_all(kind, namespace or current) for kind in (CANARY_ROLLOUT, MODEL_GROUP)]
    return found[0].items, found[1].items
