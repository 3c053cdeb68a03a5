"""A namespace as its users have it, with an operator's rights, and the kubeconfig with which that comes in."""

import json
from collections.abc import Iterable
from pathlib import Path

from harness.cluster import ApiServer
from harness.manifests import Manifest, key
from harness.namespaced import install_namespaced

KEY = "app"
SECRET, COPY = "app", "app-copy"
CONSUMERS = ("one", "two")
OVERLAP = {"min": "1s", "max": "1m"}


def install(api: ApiServer, space: str, folder: Path, documents: Iterable[Manifest], *, server: str) -> None:
    """Make the namespace with manifests/namespaced and these documents; folder/kubeconfig is the operator's.

    server: the API server's URL as the operator is to see it.
    """
    api.make_namespace(space)
    api.kubectl("create", "serviceaccount", "default", "-n", space)
    token = install_namespaced(api, space, folder)
    api.apply(*({**d, "metadata": {"name": d["metadata"]["name"]}} for d in documents), namespace=space)
    user = {"name": "u", "user": {"token": token}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    clusters = [{"name": "c", "cluster": {"server": server}}]
    config = {"apiVersion": "v1", "kind": "Config", "clusters": clusters, "users": [user], "contexts": [context]}
    (folder / "kubeconfig").write_text(json.dumps({**config, "current-context": "c"}))
    (folder / "kubeconfig").chmod(0o600)


def scoped_key(trigger: str = "first") -> Manifest:
    """The key."""
    consumers = [{"kind": "Deployment", "name": name} for name in CONSUMERS]
    rules = {"trigger": trigger, "overlap": OVERLAP, "consumers": consumers, "rolloutTimeout": "2m"}
    return key(KEY, rotation=rules, copies=[{"name": COPY}])
