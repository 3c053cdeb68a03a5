"""What the drills write: a document with tables, and a picture."""

import argparse
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pygal
from pygal.style import Style

ROOT = Path(__file__).parents[2]

STYLE = Style(
    background="white",
    plot_background="white",
    opacity=".9",
    opacity_hover="1",
    font_family="sans-serif",
    label_font_size=13,
    major_label_font_size=13,
    legend_font_size=13,
    title_font_size=16,
    colors=("#1f6fb2", "#d1603d", "#3f8f5b", "#8660a8"),
)


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name and its points."""

    name: str
    points: Sequence[tuple[float, float]]


def arguments(text: str | None, seconds: float, given: Sequence[str] | None) -> argparse.Namespace:
    """The options that all drills have; seconds: how long a whole run is under load."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=seconds, help=f"length of the run; {seconds:.0f} is the whole")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder that is written to")
    return parser.parse_args(given)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; numbers stand to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def conditions(command: str, scale: float = 1.0) -> str:
    """Where and when it was measured; scale: seconds of the run for one of the document."""
    short = "" if scale == 1 else f" A trial: one second stands for {1 / scale:.1f}."
    machine = f"{os.cpu_count()} cores ({platform.machine()}) for all processes, load average {os.getloadavg()[0]:.1f}"
    return f"`{command}` measures and writes this page. Last on {datetime.now(UTC):%d %B %Y}; {machine}.{short}"


def chart(title: str, *left: Line, right: Sequence[Line] = (), across: str, most: float | None = None) -> bytes:
    """Lines over time as SVG; those on the right have a scale of their own. most: the left scale's end."""
    drawn = pygal.XY(
        width=900, height=420, show_dots=False, style=STYLE, title=title, x_title=across, legend_at_bottom=True,
        js=(), stroke_style={"width": 2},
        range=None if most is None else (0, most), include_x_axis=True, value_formatter=_figure,
    )  # fmt: skip
    drawn.uuid = "drill"  # a random one would make each run's picture another, whatever it shows
    for line in left:
        drawn.add(line.name, list(line.points))
    for line in right:
        drawn.add(line.name, list(line.points), secondary=True)
    picture: bytes = drawn.render()
    return picture


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write them, and print the documents."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        print(content if isinstance(content, str) else f"{folder / name}")
