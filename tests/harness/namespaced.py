"""manifests/namespaced, as a user installs it in a namespace of theirs."""

import os
from pathlib import Path

from harness.cluster import ApiServer

BASE = Path(__file__).parents[2] / "manifests" / "namespaced"
OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {namespace}
resources: ["{base}"]
"""


def install_namespaced(api: ApiServer, namespace: str, folder: Path) -> str:
    """Install it; a token of its operator, for eight hours. folder: for the overlay."""
    overlay = OVERLAY.format(namespace=namespace, base=os.path.relpath(BASE, folder))
    (folder / "kustomization.yaml").write_text(overlay)
    api.kubectl("apply", "-k", str(folder))
    return api.kubectl("create", "token", "turnout-operator", "-n", namespace, "--duration=8h")
