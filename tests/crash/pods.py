"""Router pods without a kubelet: a real Envoy on an address of its own, and a Pod object that says it is ready."""

import asyncio
import base64
import itertools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from crash.admin import Admin
from harness.envoy import FILTER
from harness.router import CA_BUNDLE, Router
from turnout.infra.labels import OURS, ROUTER, ROUTER_LABELS
from turnout.infra.pod import DRAIN_PORT, PORT, STATUS_PORT
from turnout.xds.bootstrap import Address, bootstrap
from turnout.xds.place import POD, Place

_NUMBERS = itertools.count()
REFRESH_S = 0.05
"""From the change of a pod's annotation to the new files: what the real kubelet takes, measured in tests/cluster."""


class RouterPod:
    """One pod of the router. `start` it when the Secret is there."""

    def __init__(self, admin: Admin, folder: Path, address: str) -> None:
        self.name = f"router-{next(_NUMBERS)}"
        self.url = f"http://{address}:{PORT}"
        self.serving = self._gone = False
        self._admin, self._address = admin, address
        self._folder = folder / self.name
        self._folder.mkdir()
        self._envoy = _at(self._folder, address)
        self._seen: Mapping[str, str] = {}
        self._busy = asyncio.Lock()

    @property
    def pid(self) -> int:
        """Envoy's process id."""
        assert self._envoy.process
        return self._envoy.process.pid

    async def start(self) -> None:
        """Start Envoy with what the Secret holds, say that the pod is ready, and let traffic come.

        Envoy takes its time, in which the Secret may change, and only pods that are known to be ready are poked. The
        kubelet looks at it again with every change of a container, as when it has started or has become ready.
        """
        await self._admin.create(f"pods/{self.name}", _pod(self.name))
        await self._write()
        await asyncio.to_thread(self._envoy.launch)
        await self._update()
        ready = {"type": "Ready", "status": "True"}
        status = {"phase": "Running", "podIP": self._address, "podIPs": [{"ip": self._address}], "conditions": [ready]}
        await self._admin.patch(f"pods/{self.name}/status", {"status": status})
        await self._update()
        self.serving = True

    async def refresh(self) -> None:
        """As the kubelet does when an annotation of the pod has changed."""
        await asyncio.sleep(REFRESH_S)
        if not self._gone:
            await self._write()

    async def stop(self) -> None:
        """End it, and the pod with it."""
        self.serving, self._gone = False, True
        await self._admin.delete(f"pods/{self.name}")
        await asyncio.to_thread(self._envoy.stop)
        shutil.rmtree(self._folder)

    async def _update(self) -> None:
        await self._write()
        await asyncio.to_thread(self._envoy.wait)

    async def _write(self) -> None:
        async with self._busy:
            data = (await self._admin.get(f"secrets/{ROUTER}"))["data"]
            if data != self._seen:
                files = {name: self._moved(base64.b64decode(value)) for name, value in data.items()}
                self._envoy.version = json.loads(files["rds.json"])["version_info"]
                self._envoy.write(files)
                self._seen = data

    def _moved(self, file: bytes) -> bytes:
        """With the paths of this machine."""
        for there, here in ((POD.wasm, str(FILTER)), (POD.xds_dir, f"{self._folder}/xds"), (POD.ca_bundle, CA_BUNDLE)):
            file = file.replace(there.encode(), here.encode())
        return file


def _at(folder: Path, address: str) -> Router:
    """Envoy with the ports of a pod on that address."""
    envoy = Router(folder, before=("setpriv", "--pdeathsig", "KILL"))
    place = Place(str(FILTER), str(folder / "xds"), CA_BUNDLE)
    listen, status, drain = (Address(address, port) for port in (PORT, STATUS_PORT, DRAIN_PORT))
    socket = str(folder / "admin.sock")
    config = bootstrap(place, listen=listen, status=status, drain=drain, admin_socket=socket, node_id=folder.name)
    (folder / "bootstrap.json").write_bytes(config)
    return envoy


def _pod(name: str) -> dict[str, object]:
    container = {"name": "router", "image": "envoy"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {**OURS, **ROUTER_LABELS}},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }
