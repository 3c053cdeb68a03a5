"""Certificates for tests, made by openssl as they are needed: authorities, and servers of given names."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.packages import require_debian_packages

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, in files."""

    certificate: Path
    key: Path

    @property
    def pem(self) -> str:
        """The certificate as text."""
        return self.certificate.read_text()

    def server(self) -> ssl.SSLContext:
        """A context for a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def authority(folder: Path, name: str) -> Pair:
    """A certificate authority of its own. Raises HarnessError if there is no openssl, and none can be installed."""
    return _make(folder, name, ["-x509", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE"])


def issued(by: Pair, name: str, *names: str) -> Pair:
    """A server's certificate for these names, as openssl writes them: DNS:localhost, IP:127.0.0.1."""
    signing = ["-CA", str(by.certificate), "-CAkey", str(by.key), "-addext", "basicConstraints=critical,CA:FALSE"]
    alternatives = ["-addext", f"subjectAltName={','.join(names)}"]
    return _make(by.certificate.parent, name, ["-x509", "-subj", f"/CN={name}", *signing, *alternatives])


def _make(folder: Path, name: str, options: list[str]) -> Pair:
    if not shutil.which("openssl"):
        require_debian_packages(node=False)
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    files = ["-out", str(pair.certificate), "-keyout", str(pair.key)]
    subprocess.run(["openssl", "req", *KEY, "-days", "2", *files, *options], check=True, capture_output=True)
    return pair
