"""Addresses, the certificate bundle, and what an Envoy's log says last."""

import socket
from pathlib import Path

import pytest

from turnout.errors import UsageError
from turnout.local.envoy import Envoy, base_url, ca_bundle, check_free, find
from turnout.xds.bootstrap import Address
from turnout.xds.place import POD


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4000/v1"),
        ("0.0.0.0", "http://127.0.0.1:4000/v1"),
        ("::1", "http://[::1]:4000/v1"),
        ("::", "http://[::1]:4000/v1"),
    ],
)
def test_programs_are_told_an_address_that_they_can_reach(host: str, url: str) -> None:
    """A listener on every address is reached by the loopback."""
    assert base_url(Address(host, 4000)) == url


def test_a_port_that_envoys_share_counts_as_in_use() -> None:
    """Envoy sets SO_REUSEPORT, so a second one would start without a word and take half of the requests."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UsageError, match="is in use; choose another with --listen"):
            check_free(Address("127.0.0.1", other.getsockname()[1]))


def test_an_address_that_is_not_ours_is_told() -> None:
    """One line that names it."""
    with pytest.raises(UsageError, match=r"cannot listen on 203\.0\.113\.1:4000"):
        check_free(Address("203.0.113.1", 4000))


def test_the_envoy_of_the_package_is_found() -> None:
    """The one that is pinned in pyproject.toml."""
    assert find().is_file()


def test_a_bundle_that_is_named_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE, as for any other program; else the system's."""
    own = tmp_path / "roots.pem"
    own.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert ca_bundle() == str(own)
    monkeypatch.delenv("SSL_CERT_FILE")
    assert Path(ca_bundle()).is_file()


def test_the_last_words_are_those_of_the_trouble(tmp_path: Path) -> None:
    """Of a log, the last line that is an error; of none, that there is none."""
    envoy = Envoy(Path("envoy"), tmp_path, POD, Address("127.0.0.1", 4000))
    assert envoy.last_words() == "it said nothing"
    envoy.log_file.write_text(
        "[2026-11-22][1][critical][main] [source/x.cc:1] no room\n[2026-11-22][1][info][main] bye\n"
    )
    assert envoy.last_words() == "no room"
