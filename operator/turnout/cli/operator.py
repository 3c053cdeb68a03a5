"""`turnout operator`: run in a cluster. Everything it is told comes from the environment (settings.py)."""

import asyncio
import os

import click

from turnout.settings import read_settings


@click.command("operator")
def command() -> None:
    """Keep the routers of a cluster as its ModelGroups, ScopedKeys and CanaryRollouts say.

    Runs in a pod with the rights of manifests/, or with kubectl's configuration. Settings are environment variables;
    the most used: TURNOUT_NAMESPACE (empty: all namespaces), TURNOUT_ROUTER_IMAGE, TURNOUT_ROUTER_REPLICAS,
    TURNOUT_ROUTER_ACCESS_LOG, TURNOUT_LOG_LEVEL.
    """
    from turnout.observe.logs import configure
    from turnout.watch.loop import run

    settings = read_settings(os.environ)
    configure(settings.log_level)
    asyncio.run(run(settings))
