"""A name server for tests, whose addresses change; and a way to make one process use it."""

import asyncio
import ipaddress
import os
import struct
from pathlib import Path

from harness.background import Background

ADDRESS_RECORD = 1
INTERNET = 1
NO_SUCH_NAME = 3


class NameServer(asyncio.DatagramProtocol):
    """Answers for the names in `addresses`, each with one or several; all others do not exist. `asked`: in order."""

    def __init__(self, background: Background, *, ttl: int) -> None:
        self.addresses: dict[str, str | list[str]] = {}
        self.asked: list[str] = []
        self._ttl = ttl
        listening = background.loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self._transport: asyncio.DatagramTransport = background.run(listening)[0]  # type: ignore[arg-type]
        self.port: int = self._transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One question, which repeats itself in its answer (RFC 1035, 4.1)."""
        end = data.index(0, 12) + 5
        name, kind = _name(data), struct.unpack("!H", data[end - 4 : end - 2])[0]
        self.asked.append(name)
        known = self.addresses.get(name)
        addresses = [known] if isinstance(known, str) else known or []
        records = [self._record(address) for address in addresses if kind == ADDRESS_RECORD]
        flags = 0x8180 if known else 0x8180 | NO_SUCH_NAME
        counts = struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
        self._transport.sendto(data[:2] + counts + data[12:end] + b"".join(records), addr)

    def _record(self, address: str) -> bytes:
        packed = ipaddress.ip_address(address).packed
        return b"\xc0\x0c" + struct.pack("!HHIH", ADDRESS_RECORD, INTERNET, self._ttl, len(packed)) + packed

    def close(self) -> None:
        """Stop listening."""
        self._transport.close()


def _name(data: bytes) -> str:
    labels, at = [], 12
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += length + 1
    return ".".join(labels).lower()


def resolving_by(server: NameServer, folder: Path) -> list[str]:
    """Words before a command that give it a mount namespace in which /etc/resolv.conf names this server."""
    conf = folder / "resolv.conf"
    conf.write_text(f"nameserver 127.0.0.1:{server.port}\noptions timeout:1 attempts:1\n")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *user, "sh", "-c", f'mount --bind {conf} /etc/resolv.conf && exec "$@"', "sh"]
