"""The API server's answers as exceptions, against a small HTTP server that answers what it is told."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes.client import Configuration

from turnout.apply.kube import Kube
from turnout.errors import ClusterError, ConflictError, DeniedError, NotFoundError
from turnout.infra.kinds import DEPLOYMENT, SCOPED_KEY, SECRET

META = {"namespace": "ai", "name": "s", "uid": "u"}
OBJECT: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": META}


class Server(ThreadingHTTPServer):
    """Answers each request with the next of `answers`, and keeps what it was asked. Those of paths with `slow` wait."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str, str | None, bytes]] = []
        self.slow = ""
        self.go = threading.Event()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_GET(self) -> None:
        """Any method is answered alike."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, self.headers.get("Content-Type"), body))
        if self.server.slow and self.server.slow in self.path:
            self.server.go.wait(20)
        status, answer = self.server.answers.pop(0)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a free port of this machine."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def kube(server: Server) -> Iterator[Kube]:
    """A connection to it."""
    made = Kube(Configuration(host=f"http://127.0.0.1:{server.server_port}"))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (409, ConflictError),
        (403, DeniedError),
        (422, DeniedError),
        (413, DeniedError),
        (404, NotFoundError),
        (500, ClusterError),
    ],
)
async def test_each_refusal_has_its_exception(server: Server, kube: Kube, status: int, error: type[Exception]) -> None:
    """With the server's message, and without what it was sent."""
    server.answers = [(status, {"message": "not  so"})]
    with pytest.raises(error, match=f"{status} not so$") as raised:
        await kube.apply({**OBJECT, "data": {"x": "c2VjcmV0"}})
    assert "c2VjcmV0" not in str(raised.value)


async def test_a_field_that_the_definitions_do_not_know_is_denied(server: Server, kube: Kube) -> None:
    """Though the API server calls it an error of its own (kube-apiserver 1.34)."""
    words = "failed to create typed patch object (ai/s; v1, Kind=Secret): .status.new: field not declared in schema"
    server.answers = [(500, {"message": words})]
    with pytest.raises(DeniedError, match="not declared in schema"):
        await kube.apply(OBJECT)


async def test_no_server_is_a_cluster_error() -> None:
    """And nothing else."""
    kube = Kube(Configuration(host="http://127.0.0.1:9"))
    with pytest.raises(ClusterError):
        await kube.get(SECRET, "ai", "s")


async def test_apply_is_server_side_with_our_manager(server: Server, kube: Kube) -> None:
    """Forced, strict about unknown fields, and with the content type that makes it an apply."""
    server.answers = [(200, OBJECT)]
    assert await kube.apply(OBJECT, subresource="status") == OBJECT
    method, path, content_type, body = server.asked[0]
    assert (method, content_type) == ("PATCH", "application/apply-patch+yaml")
    assert path == "/api/v1/namespaces/ai/secrets/s/status?fieldManager=turnout&force=true&fieldValidation=Strict"
    assert json.loads(body) == OBJECT


async def test_a_listing_follows_every_page(server: Server, kube: Kube) -> None:
    """All pages are one moment."""
    page = {"items": [{"metadata": {"name": "a"}}], "metadata": {"resourceVersion": "12", "continue": "more"}}
    last = {"items": None, "metadata": {"resourceVersion": "12"}}
    server.answers = [(200, page), (200, last)]
    listing = await kube.list_all(SCOPED_KEY)
    assert (len(listing.items), listing.resource_version) == (1, 12)
    assert server.asked[0][1] == "/apis/turnout.dev/v1alpha1/scopedkeys?limit=500"
    assert server.asked[1][1].endswith("&continue=more")


async def test_deleting_what_is_gone_is_fine(server: Server, kube: Kube) -> None:
    """Gone, or another object of that name: both are what was wanted."""
    server.answers = [(404, {}), (409, {})]
    await kube.delete(OBJECT)
    await kube.delete(OBJECT)
    assert json.loads(server.asked[0][3])["preconditions"] == {"uid": "u"}


@pytest.mark.parametrize("slow", ["/deployments/app", "/secrets/app", "/scopedkeys/app/status"])
async def test_what_is_slow_for_programs_holds_no_router_up(server: Server, kube: Kube, slow: str) -> None:
    """An admission webhook may take half a minute for each; the end of a revoked key does not stand in line."""
    server.slow, server.answers = slow, [(200, OBJECT)] * 100
    app = {**OBJECT, "metadata": {**META, "name": "app"}}
    status = {**app, "apiVersion": "turnout.dev/v1alpha1", "kind": "ScopedKey"}
    waiting = {
        "/deployments/app": lambda: kube.merge(DEPLOYMENT, "ai", "app", {}),
        "/secrets/app": lambda: kube.apply(app),
        "/scopedkeys/app/status": lambda: kube.apply(status, subresource="status"),
    }[slow]
    tasks = [asyncio.ensure_future(waiting()) for _ in range(30)]
    try:
        for name in ("turnout-router", "turnout-keyring"):
            await asyncio.wait_for(kube.apply({**app, "metadata": {**META, "name": name}}), 5)
        router = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**META, "name": "turnout-router"}}
        await asyncio.wait_for(kube.apply(router), 5)
    finally:
        server.go.set()
        await asyncio.gather(*tasks)
