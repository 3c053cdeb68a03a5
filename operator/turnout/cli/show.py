"""How `turnout run` shows itself without a terminal, and what it says at its start in either case."""

import asyncio
import contextlib
import logging
import shlex
import sys

import click

from turnout.local.session import Session

TIME = "%H:%M:%S"


def log_to(handler: logging.Handler) -> None:
    """Send Turnout's log there, and nowhere else."""
    logger = logging.getLogger("turnout")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def hints(session: Session) -> str:
    """What to type to try it out; it works as it stands, in the folder that the command was started in."""
    key = next((key.name for key in session.router.keys), None)
    group = next((group.name for group in session.router.groups), None)
    if key is None or group is None:
        return "Nobody can call it yet: add a ScopedKey; its token is then in .turnout/keys/NAME.env"
    env = shlex.quote(str(session.home.path / "keys" / f"{key}.env"))
    messages = '[{"role": "user", "content": "hello"}]'
    lines = [
        "Try it from another terminal, in this folder:",
        "",
        f"  set -a; . {env}; set +a",
        '  curl -i "$OPENAI_BASE_URL/chat/completions" -H "Authorization: Bearer $OPENAI_API_KEY" \\',
        "    -H 'Content-Type: application/json' \\",
        f"""    -d '{{"model": "{group}", "messages": {messages}}}'""",
        f"""  {shlex.quote(sys.executable)} -c 'import openai; print(openai.OpenAI().chat.completions.create(""",
        f"""    model="{group}", messages={messages}).choices[0].message.content)'""",
    ]
    control = session.fakes.control_url(session.router.groups[0].members[0].lane) if session.fakes else None
    if control:
        lines += ["", "Take the primary down, and bring it back:", ""]
        lines += [f"  curl '{control}?mode=down'", f"  curl '{control}?mode=ok'"]
    return "\n".join([*lines, ""])


class Plain:
    """Log lines on stderr."""

    def __init__(self) -> None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", TIME))
        log_to(handler)

    def ready(self, session: Session) -> None:
        """Say so, for people and for scripts that wait for it."""
        more = f"\n\n{hints(session)}" if session.options.fake_providers else ""
        with contextlib.suppress(BrokenPipeError):  # whoever waited for the first line may be gone
            click.echo(f"ready {session.url}{more}")
            sys.stdout.flush()

    async def run(self, session: Session) -> None:  # noqa: ARG002  (Display)
        """Nothing to do: what happens is logged."""
        await asyncio.Event().wait()
