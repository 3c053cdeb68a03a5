"""Ports for programs that must be told theirs before they start."""

import contextlib
import random
import socket

DRAWN = range(10_000, 20_000)
"""Below those that `turnout run` draws for itself (turnout.local.envoy), and below those that the kernel gives away: so
nobody takes one of these between its draw and its use.
"""


def free_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 that nobody has, no two of them the same."""
    found: list[int] = []
    for port in random.sample(DRAWN, k=100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"no {count} free ports between {DRAWN.start} and {DRAWN.stop - 1}")
