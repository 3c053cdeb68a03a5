"""The live view of `turnout run` on a terminal: groups, models, circuits, the last log lines, and keys to press."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from turnout.api.modelgroup_status import CircuitState
from turnout.cli.keyboard import Keyboard
from turnout.cli.rollout_view import rollout_table
from turnout.cli.show import TIME, hints, log_to
from turnout.decide.ir import Member
from turnout.local.figures import GroupRow, ModelRow
from turnout.local.session import Session

LINES = 8
"""Log lines that are shown."""
REFRESH_S = 0.5
POOR = 50
"""Percent of health below which it is red."""
COLOURS = {CircuitState.CLOSED: "green", CircuitState.OPEN: "red", CircuitState.HALF_OPEN: "yellow"}


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
        fakes = session.fakes
        position = 0 if key == "k" else int(key) - 1 if key.isdecimal() else -1
        members = fake_members(session)
        if fakes is not None and 0 <= position < len(members):
            member = members[position]
            up = fakes.toggle(member.lane)
            self._lines.append((_now(), Text(f"{member.name}: you {'brought it back' if up else 'took it down'}")))

    def _picture(self, session: Session) -> RenderableType:
        tables = [_table(row) for row in session.rows]
        tables += [rollout_table(rollout, state) for rollout, state in session.rollouts]
        log = [Text.assemble((time, "dim"), " ", line) for time, line in self._lines]
        mistakes = len(session.mistakes)
        if mistakes:
            log.append(Text(f"{mistakes} mistake{'s' * (mistakes > 1)} in {session.options.folder}", "red"))
        keys = _keys(session)
        if session.options.speed > 1:
            words = f"  a make-believe: time passes {session.options.speed:g} times as fast, requests are made up"
            keys.append(words, "yellow")
        return Group(keys, *tables, *log)  # keys first: what does not fit is cut off at the end


def fake_members(session: Session) -> list[Member]:
    """The models whose providers are fake, in the order in which they are shown: those that keys 1 to 9 belong to."""
    fakes = session.fakes
    if fakes is None:
        return []
    members = {member.lane.id: member for group in session.router.groups for member in group.members}
    return [member for member in members.values() if fakes.up(member.lane) is not None][:9]


def _keys(session: Session) -> Text:
    text = Text()
    for number, member in enumerate(fake_members(session), start=1):
        key = f"{number} or k" if number == 1 else str(number)
        verb = "take down" if session.fakes and session.fakes.up(member.lane) else "bring back"
        text.append(f"[{key}]", "bold").append(f" {verb} {member.name}  ")
    return text.append("[q]", "bold").append(" quit")


def _table(row: GroupRow) -> Table:
    fell_back = f", {row.fell_back} answered by a fallback" if row.fell_back else ""
    title = f"{row.name}: {row.requests} requests, {row.errors} errors{fell_back}"
    table = Table(title=title, title_justify="left", title_style="bold", expand=False)
    for name in ("model", "circuit"):
        table.add_column(name)
    for name in ("health", "attempts", "failed", "p50", "p95", "tokens", "USD"):
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
    health = "-" if model.health is None else Text(f"{model.health} %", "" if model.health >= POOR else "red")
    return [model.name, circuit, health, *counts, *times, str(model.tokens), f"{model.usd:.4f}"]


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
