"""A namespace as a user would set it up: three providers, a ModelGroup over them, a key; and calls by the openai SDK.

The providers are `turnout fake-provider` in pods. Calls are made by the SDK in this process, its sockets inside the
cluster's network, so that each answer and each error can be counted; its retries are off, since they would hide errors.
"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import openai

from harness.cluster import Cluster, Object, condition
from harness.images import CLIENT

MODELS = ("primary", "second", "third")
ROUTER = "turnout-router"
ROUTERS = f"app.kubernetes.io/name={ROUTER}"
PORT = 8080


@dataclass
class Calls:
    """What came of many calls. `errors` says for each failed one what the SDK raised and how far it had come."""

    answered: Counter[str] = field(default_factory=Counter)
    """Whole answers by the model that gave them."""
    errors: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    """Streams that raised after their first content."""
    nameless: int = 0
    """Answers that did not say who gave them."""

    @property
    def whole(self) -> int:
        """Number of whole answers."""
        return self.answered.total()

    def __str__(self) -> str:
        """One line for a test's output."""
        failed = f"{len(self.cut)} cut, {len(self.errors)} errors"
        return f"{self.whole} whole {dict(self.answered)}, {failed}, {self.nameless} without a name"


class World:
    """One namespace. `start` makes all of it and waits until the routers run it."""

    def __init__(self, cluster: Cluster, namespace: str, delivery: str = "Live") -> None:
        self.cluster, self.namespace, self.delivery = cluster, namespace, delivery
        self.token = ""

    def start(self, *, provider_flags: Sequence[str] = ()) -> None:
        """Providers, their credentials, group and key; until the group is Ready and the key's Secret is there."""
        providers = [doc for name in MODELS for doc in self.provider(name, *provider_flags)]
        self.cluster.make_namespace(self.namespace)
        self.cluster.apply(*providers, namespace=self.namespace)
        self.reset()
        ready = f"pods of {', '.join(MODELS)} ready"
        selector = "role=provider"
        self.cluster.wait_for(lambda: len(self.cluster.ready_pods(self.namespace, selector)) == len(MODELS), ready, 90)

    def reset(self) -> None:
        """Group, key and credentials as at first, whatever a test made of them; until the routers run that."""
        credentials = [credential(name, f"sk-{name}-1") for name in MODELS]
        self.cluster.apply(*credentials, self.group(), key("app"), namespace=self.namespace)
        self.cluster.wait_for(self.ready, "group Ready", 90)
        self.token = self.cluster.wait_for(lambda: self.secret("app").get("OPENAI_API_KEY"), "the key's Secret")

    # --- objects ---

    def group(self, models: Sequence[str] = MODELS, **spec: Any) -> Object:
        """The ModelGroup `assistant` over these providers."""
        chain = [
            {
                "name": name,
                "endpoint": {
                    "baseURL": f"http://{name}.{self.namespace}.svc/v1",
                    "apiKeySecretRef": {"name": name, "key": "api-key"},
                },
                "price": {"input": "1", "output": "2"},
            }
            for name in models
        ]
        body = {
            "models": chain,
            "delivery": self.delivery,
            "timeouts": {"firstToken": "5s", "idle": "5s", "request": "60s"},
            **spec,
        }
        return {
            "apiVersion": "turnout.dev/v1alpha1",
            "kind": "ModelGroup",
            "metadata": {"name": "assistant"},
            "spec": body,
        }

    def provider(self, name: str, *flags: str) -> list[Object]:
        """Pod and Service of one fake provider. A bare pod: once killed it stays dead."""
        args = ["-m", "turnout", "fake-provider", "--host", "0.0.0.0", "--port", str(PORT), "--name", name, *flags]
        container = {
            "name": "provider",
            "image": CLIENT,
            "args": args,
            "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        }
        labels = {"app": name, "role": "provider"}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 1},
        }
        ports = [{"port": 80, "targetPort": PORT}]
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": ports},
        }
        return [pod, service]

    # --- what is there ---

    def status(self) -> Object:
        """The group as it is now."""
        found = self.cluster.get("modelgroup", "assistant", self.namespace)
        assert found is not None
        return found

    def ready(self) -> bool:
        """Whether status says Ready for the generation that is there."""
        group = self.status()
        seen = group.get("status", {}).get("observedGeneration") == group["metadata"]["generation"]
        return seen and condition(group, "Ready") == "True"

    def secret(self, name: str) -> dict[str, str]:
        """A Secret's values as text; empty if there is none."""
        found = self.cluster.get("secret", name, self.namespace)
        return {k: base64.b64decode(v).decode() for k, v in ((found or {}).get("data") or {}).items()}

    def routers(self) -> list[Object]:
        """Ready router pods."""
        return self.cluster.ready_pods(self.namespace, ROUTERS)

    def url(self) -> str:
        """The router Service's address, for calls from this process (names resolve in pods only)."""
        service = self.cluster.get("service", ROUTER, self.namespace)
        assert service is not None
        return f"http://{service['spec']['clusterIP']}/v1"

    def http(self, method: str, url: str, **options: Any) -> httpx.Response:
        """One request inside the cluster's network."""
        return self.cluster.namespace.call(lambda: httpx.request(method, url, timeout=30, **options))

    def versions(self) -> list[str]:
        """The configuration version that each ready router says it runs; "" if it does not answer."""
        return [self._version(p["status"]["podIP"]) for p in self.routers()]

    def _version(self, address: str) -> str:
        answer = self.http("GET", f"http://{address}:9902/stats?filter=version_text&format=json").json()
        found = {s["value"] for s in answer["stats"] if "value" in s}
        return ",".join(sorted(map(str, found)))

    def seen(self, provider: str) -> list[Object]:
        """The requests that a provider saw."""
        pod = self.cluster.get("pod", provider, self.namespace)
        assert pod is not None
        seen: list[Object] = self.http("GET", f"http://{pod['status']['podIP']}:{PORT}/ctl/seen").json()
        return seen

    def credential_of(self, provider: str) -> str:
        """The Authorization header of the last request that a provider saw."""
        headers = {name.lower(): value for name, value in self.seen(provider)[-1]["headers"].items()}
        return str(headers.get("authorization", ""))

    def kill(self, pod: str) -> None:
        """SIGKILL to the pod's process, at once and for good."""
        found = self.cluster.get("pod", pod, self.namespace)
        assert found is not None
        container = found["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        self.cluster.node.ctr("tasks", "kill", "--signal", "SIGKILL", container)

    # --- calls ---

    def run(
        self, make: Callable[[openai.AsyncOpenAI], Awaitable[Any]], url: str | None = None, token: str | None = None
    ) -> Any:
        """Run a coroutine with an SDK client inside the cluster's network; its result."""
        base = url or self.url()

        async def main() -> Any:
            limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
            async with httpx.AsyncClient(limits=limits, timeout=60) as http:
                client = openai.AsyncOpenAI(base_url=base, api_key=token or self.token, max_retries=0, http_client=http)
                return await make(client)

        return self.cluster.namespace.call(lambda: asyncio.run(main()))


def credential(name: str, value: str) -> Object:
    """The Secret with which the router speaks to one provider."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"api-key": value}}


def key(name: str, **spec: Any) -> Object:
    """A ScopedKey for the group `assistant`."""
    body = {"scopes": ["chat:create", "models:list"], "modelGroups": ["assistant"], **spec}
    return {"apiVersion": "turnout.dev/v1alpha1", "kind": "ScopedKey", "metadata": {"name": name}, "spec": body}


async def ask(client: openai.AsyncOpenAI, calls: Calls, *, stream: bool, model: str = "assistant") -> None:
    """One chat call, counted in `calls`. A stream is whole only if it named a reason for its end."""
    messages: Any = [{"role": "user", "content": "Say hello."}]
    content = False
    try:
        if not stream:
            answer = await client.chat.completions.with_raw_response.create(model=model, messages=messages)
            whole, who = bool(answer.parse().choices[0].message.content), answer.headers.get("x-turnout-model")
        else:
            raw = await client.chat.completions.with_raw_response.create(model=model, messages=messages, stream=True)
            who, whole = raw.headers.get("x-turnout-model"), False
            async for chunk in raw.parse():
                content = content or any(c.delta.content for c in chunk.choices)
                whole = whole or any(c.finish_reason for c in chunk.choices)
    except (openai.OpenAIError, httpx.HTTPError, json.JSONDecodeError) as error:
        (calls.cut if content else calls.errors).append(f"{type(error).__name__}: {str(error)[:300]}")
        return
    if not whole:
        calls.errors.append("ended without a reason and without an error")
    calls.answered[who or ""] += whole
    calls.nameless += not who
