"""kopf → the store. Handlers only record; nothing in them can fail, wait or write (kopf never repeats them)."""

from collections.abc import Callable
from typing import Any

import kopf

from turnout.apply.kube import CHUNK
from turnout.infra.kinds import WATCHED, Kind
from turnout.infra.labels import MANAGED_BY, MANAGER
from turnout.watch.store import Store

Handler = Callable[..., Any]


def registry(store: Store, want_listing: Callable[[], None]) -> kopf.OperatorRegistry:
    """Handlers for every kind that is watched. want_listing: called when a watch has started over."""
    found = kopf.OperatorRegistry()
    kopf.on.login(registry=found)(login)
    for kind in WATCHED:
        version = kind.api_version.rpartition("/")[2]
        kopf.on.event(kind.group, version, kind.plural, id=kind.plural, registry=found)(
            recorder(kind, store, want_listing)
        )
    return found


def recorder(kind: Kind, store: Store, want_listing: Callable[[], None]) -> Handler:
    """The handler of one kind."""

    async def record(*, event: kopf.RawEvent, **_: Any) -> None:
        """Record one event. DELETED may never arrive; None comes for each object when a watch starts."""
        (store.drop if event["type"] == "DELETED" else store.put)(kind, event["object"])
        if event["type"] is None:
            want_listing()

    return record


def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """The pod's ServiceAccount, or kubectl's configuration."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def kopf_settings() -> kopf.OperatorSettings:
    """Kopf as a source of events and nothing else: no events posted, no peering, no scanning, nothing written."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.chunk_size = CHUNK
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    for kind in WATCHED:
        where = (kind.group, kind.api_version.rpartition("/")[2], kind.plural)
        if kind.ours:
            settings.watching.label_selectors[where] = f"{MANAGED_BY}={MANAGER}"
        if kind.fields:
            settings.watching.field_selectors[where] = kind.fields
    return settings
