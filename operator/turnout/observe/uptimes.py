"""How long routers say that they run → which of them began anew before their pod says so. No I/O, no clock."""

from collections.abc import Iterable, Set

from prometheus_client.samples import Sample

UPTIME = "envoy_server_uptime"
"""Seconds since the process began, by its own clock; renewed every 5 (Envoy's default), and 0 until then."""
ROUNDING_S = 2.0


class Uptimes:
    """Remembers what each said last.

    A pod's life is counted by the kubelet, which tells of a restart a second or two later. What the new process says in
    that time would be taken for the old one's, and once more when the new life is known.
    """

    def __init__(self) -> None:
        self._said: dict[str, tuple[float, float]] = {}

    def began_anew(self, life: str, samples: Iterable[Sample], now: float) -> bool:
        """Whether another process answers than before under the same life. now: seconds of a steady clock."""
        uptime = next((sample.value for sample in samples if sample.name == UPTIME), None)
        if uptime is None:
            return False
        before, at = self._said.get(life, (0.0, now))
        if uptime < before and uptime <= now - at + ROUNDING_S:  # else its clock went back
            return True
        self._said[life] = uptime, now
        return False

    def keep(self, lives: Set[str]) -> None:
        """Forget routers that are gone."""
        self._said = {life: said for life, said in self._said.items() if life in lives}
