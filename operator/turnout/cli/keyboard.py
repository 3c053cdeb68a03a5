"""Single key presses from the terminal, without Enter. The terminal is put back as it was, whatever happens."""

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class Keyboard:
    """While entered, calls press(key) in the running loop for each key. Does nothing if stdin is no terminal."""

    def __init__(self, press: Callable[[str], None]) -> None:
        self._press = press
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)  # Ctrl-C stays a signal
            asyncio.get_running_loop().add_reader(sys.stdin, self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            asyncio.get_running_loop().remove_reader(sys.stdin)
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def _read(self) -> None:
        try:
            keys = os.read(sys.stdin.fileno(), 64)
        except OSError:
            keys = b""
        if not keys:  # the terminal was closed
            asyncio.get_running_loop().remove_reader(sys.stdin)
        for key in keys.decode(errors="ignore"):
            self._press(key)
