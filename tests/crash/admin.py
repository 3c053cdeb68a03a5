"""The API server as the cluster's administrator: what stands in for people, kubelets and controllers uses it."""

from typing import Any

import httpx
import yaml

from harness.control_plane import API, ControlPlane

Object = dict[str, Any]
PREFIXES = {
    "deployments": "/apis/apps/v1",
    **dict.fromkeys(("scopedkeys", "canaryrollouts"), "/apis/turnout.dev/v1alpha1"),
}


class Admin:
    """Requests to one namespace. WHERE is PLURAL/NAME, or PLURAL/NAME/status. What the server refuses is raised."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        user = yaml.safe_load(plane.kubeconfig("admin").read_text())["users"][0]["user"]
        headers = {"authorization": f"Bearer {user['token']}"}
        self._http = httpx.AsyncClient(base_url=API, verify=False, headers=headers, timeout=20)
        self._namespace = namespace

    async def get(self, where: str) -> Object:
        """The object."""
        found: Object = (await self._http.get(self._path(where))).raise_for_status().json()
        return found

    async def find(self, where: str) -> Object | None:
        """The object, or None."""
        answer = await self._http.get(self._path(where))
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    async def named(self, plural: str, fields: str) -> list[Object]:
        """Objects by a field selector."""
        answer = await self._http.get(
            f"/api/v1/namespaces/{self._namespace}/{plural}", params={"fieldSelector": fields}
        )
        found: list[Object] = answer.raise_for_status().json()["items"]
        return found

    async def create(self, where: str, obj: Object) -> None:
        """Make it."""
        (await self._http.post(self._path(where.partition("/")[0]), json=obj)).raise_for_status()

    async def patch(self, where: str, patch: Object) -> None:
        """Merge."""
        headers = {"content-type": "application/merge-patch+json"}
        (await self._http.patch(self._path(where), json=patch, headers=headers)).raise_for_status()

    async def delete(self, where: str) -> None:
        """Delete at once."""
        (await self._http.delete(self._path(where), params={"gracePeriodSeconds": 0})).raise_for_status()

    async def close(self) -> None:
        """End its connections."""
        await self._http.aclose()

    def _path(self, where: str) -> str:
        return f"{PREFIXES.get(where.partition('/')[0], '/api/v1')}/namespaces/{self._namespace}/{where}"
