"""Types of command line options that several commands share: text → value, or a usage error that click prints."""

import ipaddress

import click

from turnout.api.quantities import parse_duration
from turnout.xds.bootstrap import Address


def duration(value: str) -> float:
    """A duration as manifests write it (`250ms`, `90s`, `1h30m`), in seconds."""
    try:
        return parse_duration(value).total_seconds()
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}") from error


def share(value: str) -> float:
    """A share from 0 to 1, written `0.05` or `5%`."""
    text = str(value)
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise click.BadParameter(f"{text!r} is no share: write 0.05 or 5%")
    return number


def address(value: str) -> Address:
    """HOST:PORT, :PORT or PORT; HOST is an IP address or localhost, as Envoy listens on nothing else."""
    host, _, port = value.rpartition(":")
    host = host.strip("[]").replace("localhost", "127.0.0.1") or "127.0.0.1"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        port = ""
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{value!r}: write HOST:PORT with an IP address, such as 127.0.0.1:4000")
    return Address(host, int(port))
