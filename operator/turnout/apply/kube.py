"""The API server as coroutines over plain JSON. The only module that talks to it, but for kopf's watches.

Writes are server-side apply with one field manager, so that fields of other managers stay theirs. The kubernetes
package brings login, TLS and connections; its typed models are not used: they drop what they do not know.
"""

import asyncio
import contextlib
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException

from turnout.errors import ClusterError, ConflictError, DeniedError, NotFoundError
from turnout.infra.kinds import BY_NAME, EVENT, Kind
from turnout.infra.labels import MANAGED_BY, MANAGER, RESERVED, Json

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
CHUNK = 500
"""Objects per page of a LIST. Source: kubectl's default."""
TIMEOUT_S = 30
THREADS, STATUS_THREADS, PROGRAM_THREADS = 12, 4, 8
"""Requests at one time; the package blocks, so each needs a thread. Statuses have their own: a thousand must not stand
in line before the end of a revoked key. So have programs' Secrets and workloads, whose admission may be slow."""
PROGRAMS = re.compile(r"/(secrets|deployments|statefulsets|daemonsets)/([^/]+)$")
LONGEST_MESSAGE = 1_000
_ERRORS: dict[int, type[ClusterError]] = {
    401: DeniedError,
    403: DeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: DeniedError,
    422: DeniedError,
}
NOT_THE_SCHEMA = "failed to create typed patch object"
"""How a 500 begins that stands for a field which the definition does not know. Seen of kube-apiserver 1.34."""


@dataclass(frozen=True)
class Listing:
    """All objects of a kind at one moment, which resource_version names."""

    items: list[Json]
    resource_version: int


class Witness(Protocol):
    """Who is told of writes, so that it need not wait for their events, nor take them for somebody else's."""

    def begins(self, kind: Kind, namespace: str, name: str) -> None:
        """A write of this object begins."""

    def ends(self, kind: Kind, namespace: str, name: str, after: Json | None) -> None:
        """It is over; after: the object as it left it, None if it failed."""

    def drop(self, kind: Kind, obj: Mapping[str, Any]) -> None:
        """An object was deleted."""


class Unseen:
    """A witness for those who need none."""

    def begins(self, kind: Kind, namespace: str, name: str) -> None:
        """Nothing."""

    def ends(self, kind: Kind, namespace: str, name: str, after: Json | None) -> None:
        """Nothing."""

    def drop(self, kind: Kind, obj: Mapping[str, Any]) -> None:
        """Nothing."""


class Kube:
    """A connection to one API server, with the rights of whoever runs this.

    Every method raises ClusterError or one of its children if the API server does not do it.
    """

    def __init__(
        self, configuration: Configuration, witness: Witness | None = None, wrote: Callable[[], None] = lambda: None
    ) -> None:
        """witness: told of writes; wrote: called for every request that may change something."""
        self._witness = witness or Unseen()
        self._wrote = wrote
        self._api = ApiClient(configuration)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="kube")
        self._status_threads = ThreadPoolExecutor(STATUS_THREADS, thread_name_prefix="kube-status")
        self._program_threads = ThreadPoolExecutor(PROGRAM_THREADS, thread_name_prefix="kube-program")

    def close(self) -> None:
        """Wait for no request any more."""
        for threads in (self._threads, self._status_threads, self._program_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    async def list_all(self, kind: Kind, namespace: str = "") -> Listing:
        """All objects that we look at, of one namespace or of all, page by page."""
        query = {"limit": str(CHUNK)}
        if kind.ours:
            query["labelSelector"] = f"{MANAGED_BY}={MANAGER}"
        if kind.fields:
            query["fieldSelector"] = kind.fields
        items: list[Json] = []
        while True:
            page = await self._json("GET", kind.path(namespace), query)
            items += page["items"] or []
            more = page["metadata"].get("continue")
            if not more:
                return Listing(items, int(page["metadata"]["resourceVersion"]))
            query["continue"] = more

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """One object, or None."""
        try:
            return await self._json("GET", kind.path(namespace, name), {})
        except NotFoundError:
            return None

    async def apply(self, obj: Mapping[str, Any], *, subresource: str = "") -> Json:
        """Server-side apply: our fields become these, whoever had them; the object as it then is."""
        query = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"}
        return await self._patch(obj, query, json.dumps(obj), APPLY, subresource)

    async def annotate(self, kind: Kind, namespace: str, name: str, annotations: Mapping[str, str]) -> Json:
        """Set annotations and nothing else."""
        body = {"metadata": {"annotations": annotations}}
        obj = {"kind": kind.name, "metadata": {"namespace": namespace, "name": name}}
        return await self._patch(obj, {"fieldManager": MANAGER}, body, MERGE)

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any], *, manager: str = MANAGER
    ) -> None:
        """Change an object of the user's, such as a workload, of which no witness needs to know."""
        await self._json("PATCH", kind.path(namespace, name), {"fieldManager": manager}, patch, MERGE)

    async def set_managed_fields(self, obj: Mapping[str, Any], managed_fields: list[Json]) -> Json:
        """Rewrite who owns which field. Raises ConflictError if the object has changed since."""
        version = obj["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version, "managedFields": managed_fields}}
        return await self._patch(obj, {"fieldManager": MANAGER}, body, MERGE)

    async def create_event(self, event: Mapping[str, Any]) -> None:
        """Make an Event. Raises ConflictError if there is one of its name."""
        path = EVENT.path(event["metadata"]["namespace"])
        await self._json("POST", path, {"fieldManager": MANAGER}, event, "application/json")

    async def delete(self, obj: Mapping[str, Any]) -> None:
        """Delete this very object: one that was made anew under its name stays. Gone already is as good."""
        kind, meta = BY_NAME[obj["kind"]], obj["metadata"]
        body = {"preconditions": {"uid": meta["uid"]}, "propagationPolicy": "Background"}
        with contextlib.suppress(NotFoundError, ConflictError):
            await self._json("DELETE", kind.path(meta["namespace"], meta["name"]), {}, body, "application/json")
        self._witness.drop(kind, obj)

    async def _patch(
        self, obj: Mapping[str, Any], query: Mapping[str, str], body: Any, content_type: str, subresource: str = ""
    ) -> Json:
        where = (BY_NAME[obj["kind"]], obj["metadata"]["namespace"], obj["metadata"]["name"])
        after = None
        self._witness.begins(*where)
        try:
            after = await self._json("PATCH", where[0].path(*where[1:], subresource), query, body, content_type)
        finally:
            self._witness.ends(*where, after)
        return after

    async def log(self, namespace: str, pod: str, container: str, *, lines: int) -> str:
        """The last lines that a container wrote. They may hold secrets."""
        path = BY_NAME["Pod"].path(namespace, pod, "log")
        query = {"container": container, "tailLines": str(lines)}
        return (await self._request("GET", path, query)).decode(errors="replace")

    async def _json(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None, content_type: str = ""
    ) -> Json:
        answer = await self._request(method, path, query, body, content_type)
        loaded: Json = json.loads(answer)
        return loaded

    async def _request(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None, content_type: str = ""
    ) -> bytes:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool(path), self._blocking, method, path, query, body, content_type)

    def _pool(self, path: str) -> ThreadPoolExecutor:
        if path.endswith("/status"):
            return self._status_threads
        named = PROGRAMS.search(path)
        return self._program_threads if named and named[2] not in RESERVED else self._threads

    def _blocking(self, method: str, path: str, query: Mapping[str, str], body: Any, content_type: str) -> bytes:
        configuration = self._api.configuration
        headers = {"Accept": "application/json", **({"Content-Type": content_type} if content_type else {})}
        self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = f"{configuration.host}{path}?{urllib.parse.urlencode(query)}"
        if method != "GET":
            self._wrote()
        try:
            answer = self._api.call_api(method, url, headers, body, _request_timeout=TIMEOUT_S)
            data: bytes = answer.read()  # type: ignore[no-untyped-call]
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise ClusterError(f"{method} {path}: {type(error).__name__}") from None
        if not 200 <= answer.status <= 299:
            message = _message(data)
            error_type = DeniedError if message.startswith(NOT_THE_SCHEMA) else _ERRORS.get(answer.status, ClusterError)
            raise error_type(f"{method} {path}: {answer.status} {message}")
        return data


def connect_user(context: str | None) -> tuple[Kube, str]:
    """The API server of kubectl's configuration, with the user's own rights, and the namespace that it works in.

    context: of that configuration; None: the current one. Raises ClusterError.
    """
    configuration = Configuration()
    try:
        config.load_kube_config(context=context, client_configuration=configuration)  # type: ignore[no-untyped-call]
        contexts, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise ClusterError(f"no cluster to talk to: {error}") from None
    chosen = next((c for c in contexts if c["name"] == context), current)
    configuration.retries = 1
    return Kube(configuration), str(chosen["context"].get("namespace", "default"))


def connect(witness: Witness, wrote: Callable[[], None]) -> Kube:
    """The API server of the cluster that this pod runs in, or of kubectl's configuration. Raises ClusterError."""
    configuration = Configuration()
    try:
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise ClusterError(f"no cluster to talk to: {error}") from None
    configuration.retries = 1
    configuration.connection_pool_maxsize = THREADS + STATUS_THREADS + PROGRAM_THREADS
    return Kube(configuration, witness, wrote)


def _message(answer: bytes) -> str:
    """What the API server says, and never what it was sent."""
    try:
        message = json.loads(answer)["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return " ".join(str(message).split())[:LONGEST_MESSAGE]
