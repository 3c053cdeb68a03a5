"""The test cluster itself: what the other tests of this folder lean on."""

import httpx

from harness.cluster import Cluster
from harness.images import CLIENT

SERVER = "import http.server as h; h.ThreadingHTTPServer(('', 8080), h.SimpleHTTPRequestHandler).serve_forever()"


def test_a_pod_is_reached_by_its_service_name_from_another_pod(cluster: Cluster) -> None:
    """Scheduling, networking, service addresses and DNS work, for non-root pods with read-only file systems."""
    namespace = cluster.make_namespace("harness")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server", "labels": {"app": "server"}},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "server",
                    "image": CLIENT,
                    "args": ["-c", SERVER],
                    "securityContext": {
                        "readOnlyRootFilesystem": True,
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    cluster.apply(pod, service, namespace=namespace)
    cluster.wait_for(lambda: cluster.ready_pods(namespace, "app=server"), "server pod ready")

    script = (
        "import httpx; print(httpx.HTTPTransport(retries=5) and httpx.get('http://server.harness.svc/').status_code)"
    )
    out = cluster.kubectl(
        "run", "client", "-n", namespace, f"--image={CLIENT}", "--restart=Never", "-i", "--rm", "-q", "--", "-c", script
    )
    assert out.split()[0] == "200"

    address = cluster.get("service", "server", namespace)["spec"]["clusterIP"]
    assert cluster.namespace.call(httpx.get, f"http://{address}/").status_code == 200
