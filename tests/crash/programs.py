"""Deployments without their controller: a program that holds the token which its pods last read from the Secret."""

import asyncio
import base64

from crash.admin import Admin, Object

LOOKED_S, ROLLED_S = 0.05, 0.15
"""From the change of the template until the controller has seen it, and from then until the new pod is ready."""


class Program:
    """One Deployment with one pod.

    Attributes:
        token: what its pod was started with.
        stubborn: whether a new pod works with no other token than this.
    """

    def __init__(self, admin: Admin, name: str, secret: str) -> None:
        self.name, self.token, self.stubborn = name, "", False
        self._admin, self._secret = admin, secret
        self._rolling: asyncio.Task[None] | None = None

    async def create(self) -> None:
        """Make it, with a pod that has the token."""
        await self._admin.create(f"deployments/{self.name}", _deployment(self.name))
        self.token = await self.secret()
        await self._say(updated=1)

    def changed(self) -> None:
        """Its template has changed."""
        if self._rolling is not None:
            self._rolling.cancel()
        self._rolling = asyncio.create_task(self._roll())

    async def secret(self) -> str:
        """The token that a pod would get now."""
        found = await self._admin.get(f"secrets/{self._secret}")
        return base64.b64decode(found["data"]["OPENAI_API_KEY"]).decode()

    async def _roll(self) -> None:
        await asyncio.sleep(LOOKED_S)
        await self._say(updated=0)
        await asyncio.sleep(ROLLED_S)
        token = await self.secret()
        if self.stubborn and token != self.token:
            await self._say(updated=0, late=True)
            return
        self.token = token
        await self._say(updated=1)

    async def _say(self, *, updated: int, late: bool = False) -> None:
        live = await self._admin.get(f"deployments/{self.name}")
        reason = "ProgressDeadlineExceeded" if late else "NewReplicaSetAvailable"
        progressing = {"type": "Progressing", "status": "False" if late else "True", "reason": reason}
        status: Object = {
            "observedGeneration": live["metadata"]["generation"],
            "replicas": 1,
            "updatedReplicas": updated,
            "readyReplicas": 1,
            "availableReplicas": 1,
            "conditions": [{**progressing, "message": "by a test"}],
        }
        await self._admin.patch(f"deployments/{self.name}/status", {"status": status})


def _deployment(name: str) -> Object:
    labels = {"program": name}
    pod = {"containers": [{"name": "program", "image": "program"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
