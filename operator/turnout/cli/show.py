"""How `turnout run` shows itself: plain log lines, or a live view on a terminal."""

import asyncio
import logging
import shlex
import sys

import click

from turnout.local.session import Session

TIME = "%H:%M:%S"


def hints(session: Session) -> str:
    """What to type to try it out; it works as it stands, in the folder that the command was run in."""
    key = next((key.name for key in session.router.keys), None)
    group = next((group.name for group in session.router.groups), None)
    if key is None or group is None:
        return "Nobody can call it yet: add a ScopedKey, which gets its token in .turnout/keys/NAME.env\n"
    env = shlex.quote(str(session.home.path / "keys" / f"{key}.env"))
    return f"""
Try it in another terminal, in this folder:

  set -a; . {env}; set +a
  curl -i $OPENAI_BASE_URL/chat/completions -H "Authorization: Bearer $OPENAI_API_KEY" \\
    -H 'Content-Type: application/json' -d '{{"model": "{group}", "messages": [{{"role": "user", "content": "hello"}}]}}'
"""


class Plain:
    """Lines on stderr; `ready URL` on stdout."""

    def __init__(self) -> None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", TIME))
        _log_to(handler)

    def ready(self, session: Session) -> None:
        """Say so."""
        click.echo(f"ready {session.url}")
        sys.stdout.flush()

    async def run(self, session: Session) -> None:
        """Nothing to do: whatever happens is logged."""
        await asyncio.Event().wait()


def _log_to(handler: logging.Handler) -> None:
    logger = logging.getLogger("turnout")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
