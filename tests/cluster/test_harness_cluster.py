"""The test cluster itself: what the other tests of this folder lean on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from harness.cluster import ApiServer, Cluster
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


def processes_with(text: str) -> list[str]:
    """Command lines of this machine that contain the text, zombies aside."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(cmdline.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in found if text in line]


def test_a_killed_run_leaves_no_process_and_the_next_one_removes_its_folder(api_server: ApiServer) -> None:
    """After `kill -9` of what started a cluster nothing of it runs, and its folder goes when one is made again."""
    command = [sys.executable, "-m", "harness", "--api-only", "shell", "true"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([*command[:-1], "sleep", "100"], env=env, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        folder = killed.stdout.readline().removeprefix("state: ").partition(";")[0]
        assert processes_with(folder)
        killed.send_signal(signal.SIGKILL)
    api_server.wait_for(lambda: not processes_with(folder), "no process of the killed run")
    assert Path(folder).is_dir()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    assert not Path(folder).exists()
    assert api_server.plane.folder.is_dir()  # a run that lives keeps its own
