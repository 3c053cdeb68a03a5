"""How `turnout run` shows itself: log lines, or a live view on a terminal. Both print `ready URL` on stdout."""

import asyncio
import logging
import shlex
import sys
from collections import deque
from collections.abc import Callable
from datetime import datetime

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from turnout.api.modelgroup import CircuitState
from turnout.cli.keyboard import Keyboard
from turnout.decide.ir import Member
from turnout.local.figures import GroupRow, ModelRow
from turnout.local.session import Session

TIME = "%H:%M:%S"
LINES = 8
"""Log lines that the live view shows."""
REFRESH_S = 0.5
COLOURS = {CircuitState.CLOSED: "green", CircuitState.OPEN: "red", CircuitState.HALF_OPEN: "yellow"}


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
    down = [session.fakes.control_url(member.lane) for g in session.router.groups for member in g.members[:1]]
    if down and down[0]:
        lines += ["", "Take the primary down, and bring it back:", ""]
        lines += [f"  curl '{down[0]}?mode=down'", f"  curl '{down[0]}?mode=ok'"]
    return "\n".join([*lines, ""])


class Plain:
    """Log lines on stderr."""

    def __init__(self) -> None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", TIME))
        log_to(handler)

    def ready(self, session: Session) -> None:
        """Say so, for people and for scripts that wait for it."""
        click.echo(f"ready {session.url}")
        if session.options.fake_providers:
            click.echo(f"\n{hints(session)}")
        sys.stdout.flush()

    async def run(self, session: Session) -> None:  # noqa: ARG002  (Display)
        """Nothing to do: what happens is logged."""
        await asyncio.Event().wait()


class LiveView:
    """A picture that is drawn anew twice a second, with keys to press."""

    def __init__(self) -> None:
        self._console = Console()
        self._lines: deque[tuple[str, Text]] = deque(maxlen=LINES)
        log_to(_Lines(self._lines.append))

    def ready(self, session: Session) -> None:
        """Say so, above the picture."""
        click.echo(f"ready {session.url}\n\n{hints(session)}")

    async def run(self, session: Session) -> None:
        """Draw until `q` is pressed."""
        with (
            Keyboard(lambda key: self._press(session, key)),
            Live(self._picture(session), console=self._console, auto_refresh=False) as live,
        ):
            while True:
                live.update(self._picture(session), refresh=True)
                await asyncio.sleep(REFRESH_S)

    def _press(self, session: Session, key: str) -> None:
        if key == "q":
            session.stop()
        position = 0 if key == "k" else int(key) - 1 if key.isdecimal() else -1
        members = fake_members(session)
        if 0 <= position < len(members):
            member = members[position]
            up = session.fakes.toggle(member.lane)
            self._lines.append((_now(), Text(f"{member.name}: you {'brought it back' if up else 'took it down'}")))

    def _picture(self, session: Session) -> RenderableType:
        tables = [_table(row) for row in session.rows]
        log = [Text.assemble((time, "dim"), " ", line) for time, line in self._lines]
        mistakes = len(session.mistakes)
        if mistakes:
            log.append(Text(f"{mistakes} mistake{'s' * (mistakes > 1)} in {session.options.folder}", "red"))
        return Group(*tables, *log, _keys(session))


def fake_members(session: Session) -> list[Member]:
    """The models whose providers are fake, in the order in which they are shown: those that keys 1 to 9 belong to."""
    members = [member for group in session.router.groups for member in group.members]
    return [member for member in members if session.fakes.up(member.lane) is not None][:9]


def _keys(session: Session) -> Text:
    text = Text()
    for number, member in enumerate(fake_members(session), start=1):
        key = f"{number} or k" if number == 1 else str(number)
        verb = "take down" if session.fakes.up(member.lane) else "bring back"
        text.append(f"[{key}]", "bold").append(f" {verb} {member.name}  ")
    return text.append("[q]", "bold").append(" quit")


def _table(row: GroupRow) -> Table:
    fell_back = f", {row.fell_back} answered by a fallback" if row.fell_back else ""
    title = f"{row.name}: {row.requests} requests, {row.errors} errors{fell_back}"
    table = Table(title=title, title_justify="left", title_style="bold", expand=False)
    for name in ("model", "circuit"):
        table.add_column(name)
    for name in ("attempts", "failed", "p50", "p95", "tokens", "USD"):
        table.add_column(name, justify="right")
    for model in row.models:
        table.add_row(*_cells(model))
    return table


def _cells(model: ModelRow) -> list[str | Text]:
    circuit = Text(model.circuit.value, COLOURS[model.circuit])
    if model.refusal is not None:
        circuit.append(f", refused: {model.refusal.status}", "red")
    counts: list[str | Text] = [str(model.attempts), Text(str(model.failed), "red" if model.failed else "")]
    times = [_seconds(model.p50_ms), _seconds(model.p95_ms)]
    return [model.name, circuit, *counts, *times, str(model.tokens), f"{model.usd:.4f}"]


def _seconds(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.2f} s"


def _now() -> str:
    return datetime.now().astimezone().strftime(TIME)


class _Lines(logging.Handler):
    """Log records as coloured lines for the picture."""

    def __init__(self, show: Callable[[tuple[str, Text]], None]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        self._show((_now(), Text(record.getMessage(), "red" if record.levelno >= logging.WARNING else "")))
