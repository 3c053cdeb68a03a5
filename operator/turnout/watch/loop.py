"""The operator: kopf's watches, the lister, and for each namespace a worker, a reporter and a watcher of routers."""

import asyncio
import logging
import signal

import kopf

from turnout.apply.kube import connect
from turnout.errors import UsageError
from turnout.infra.kinds import POD
from turnout.infra.pods import live_pods
from turnout.module import filter_module
from turnout.observe import health, scrape
from turnout.observe.health import Health
from turnout.observe.metrics import Metrics
from turnout.observe.watcher import RouterWatcher
from turnout.settings import Settings
from turnout.watch import handlers
from turnout.watch.books import keep_all
from turnout.watch.context import Context, now
from turnout.watch.lister import Lister
from turnout.watch.store import Store
from turnout.watch.worker import Worker

log = logging.getLogger(__name__)

PATIENCE = 3
"""How many resyncs may pass without a finished run while work waits, before /healthz fails."""


class Workers:
    """A worker for each namespace that concerns us, from the moment when everything was listed once."""

    def __init__(self) -> None:
        self._context: Context | None = None
        self._workers: dict[str, Worker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def wake(self, namespace: str, urgent: bool) -> None:
        """Something changed in a namespace."""
        if self._context is None or not self._context.store.complete.is_set():
            return  # a half-filled store must not be published; open() wakes all of them
        worker = self._workers.get(namespace)
        if worker is None:
            worker = self._workers[namespace] = Worker(self._context, namespace)
            self._tasks[namespace] = asyncio.create_task(self._run(worker), name=namespace)
        worker.waker.wake(urgent=urgent)

    async def open(self, context: Context) -> None:
        """Wait for the first complete listing, then start."""
        await context.store.complete.wait()
        self._context = context
        for namespace in context.store.namespaces():
            self.wake(namespace, urgent=True)

    async def close(self) -> None:
        """Stop everywhere; what is half done is done by the next operator. Not so what keys have used: routers that end
        before it begins cannot tell it again.
        """
        await keep_all({namespace: worker.books for namespace, worker in self._workers.items()})
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, worker: Worker) -> None:
        assert self._context is not None  # noqa: S101  set before the first worker is made
        context = self._context
        watcher = RouterWatcher(
            context.http,
            lambda: live_pods(context.store.objects(worker.namespace, POD).values(), now=now()),
            worker.observe,
            context.settings.scrape_s,
            worker.books.ledger,
            lambda: worker.known,
        )
        beside = [asyncio.create_task(work) for work in (worker.reporter.run(), watcher.run())]
        try:
            await watcher.look()  # what was counted meanwhile is known before anything is published
            await worker.run()
        finally:
            for task in beside:
                task.cancel()
            if self._workers.get(worker.namespace) is worker:
                del self._workers[worker.namespace], self._tasks[worker.namespace]
                context.metrics.forget(worker.namespace)


async def run(settings: Settings) -> None:
    """Run until a signal ends it. Raises UsageError or ClusterError if it cannot start."""
    metrics = Metrics()
    workers = Workers()
    store = Store(workers.wake)
    kube = connect(store, metrics.writes.inc)
    http = scrape.client()
    state = Health(PATIENCE * settings.resync_s, asyncio.get_running_loop().time)
    context = Context(kube, store, settings, http, metrics, state, filter_module())
    lister = Lister(kube, store, state, namespace=settings.namespace, resync_s=settings.resync_s)
    try:
        server = await health.serve(settings.port, state, metrics)
    except OSError as error:
        raise UsageError(f"cannot listen on port {settings.port}: {error.strerror}") from error
    try:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(work) for work in (lister.run(), workers.open(context))]
            await _watch(store, lister, settings.namespace)
            for task in beside:
                task.cancel()
    finally:
        await workers.close()
        await server.cleanup()
        await http.aclose()
        kube.close()


async def _watch(store: Store, lister: Lister, namespace: str) -> None:
    """Watch until a signal comes.

    kopf starts after the first complete listing: a kind that the API server does not serve when it starts, because its
    definition is still being installed, it would never look at again.
    """
    stop, listed = asyncio.Event(), store.complete
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)  # until kopf takes over
    waits = [asyncio.create_task(event.wait()) for event in (stop, listed)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if not stop.is_set():
        await kopf.operator(
            registry=handlers.registry(store, lister.want),
            settings=handlers.kopf_settings(),
            standalone=True,
            clusterwide=not namespace,
            namespaces=[namespace] if namespace else [],
        )
