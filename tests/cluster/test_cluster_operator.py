"""The operator in its pod: what it owns, what it leaves alone, and that routers do not need it."""

import asyncio
import time
from collections.abc import Callable

import openai

from harness.cluster import Cluster, find_condition
from harness.world import ROUTER, Calls, World, ask, credential

SYSTEM = "turnout-system"
WRITER = f"system:serviceaccount:{SYSTEM}:"
KINDS = "deployment,service,poddisruptionbudget,networkpolicy,serviceaccount,configmap,secret"


def scale_operator(cluster: Cluster, replicas: int) -> None:
    """Stop or start the operator, and wait until that is done."""
    cluster.kubectl("scale", "deployment", "--all", "-n", SYSTEM, f"--replicas={replicas}")
    if replicas:
        cluster.kubectl("rollout", "status", "deployment", "-n", SYSTEM, "--timeout=60s")
    else:
        cluster.wait_for(lambda: not cluster.items("pods", SYSTEM), "no operator pod", 60)


def test_routers_need_no_operator_and_a_restarted_one_writes_nothing(world: Callable[..., World]) -> None:
    """With the operator gone traffic goes on, also through a router pod started meanwhile; back, it writes nothing."""
    here = world("alone")
    cluster = here.cluster
    scale_operator(cluster, 0)
    try:
        old = {p["metadata"]["name"] for p in here.routers()}
        cluster.kubectl("delete", "pod", "-n", here.namespace, *old, "--grace-period=20", "--wait=false")
        new = cluster.wait_for(
            lambda: [p for p in here.routers() if p["metadata"]["name"] not in old], "a router without an operator", 60
        )
        calls = Calls()
        here.run(lambda client: ask(client, calls, stream=False), url=f"http://{new[0]['status']['podIP']}:8080/v1")
        assert calls.errors == []
        assert calls.whole == 1
        cluster.wait_for(lambda: len(here.routers()) == len(old), "all routers back", 60)
        before = len(cluster.writes(WRITER))
    finally:
        scale_operator(cluster, 1)
    time.sleep(8)  # longer than its first LIST, its debouncing and one look at the routers
    since = cluster.writes(WRITER)[before:]
    written = [f"{e['verb']} {e['requestURI']}" for e in since]
    assert written == []


def test_the_last_group_takes_the_router_with_it(world: Callable[..., World]) -> None:
    """What belongs to the router goes with the last group; what a person made stays."""
    here = world("prune")
    here.cluster.kubectl("create", "configmap", "of-a-person", "-n", here.namespace)
    here.cluster.kubectl("delete", "modelgroup", "assistant", "-n", here.namespace)

    def left() -> set[str]:
        out = here.cluster.kubectl("get", KINDS, "-n", here.namespace, "-o", "name")
        return {line for line in out.split() if line.partition("/")[2].startswith(ROUTER)}

    here.cluster.wait_for(lambda: not left(), f"everything named {ROUTER} gone", 60)
    assert here.cluster.get("configmap", "of-a-person", here.namespace)
    assert here.cluster.get("secret", "primary", here.namespace)


def test_replicas_belong_to_whoever_scales(world: Callable[..., World]) -> None:
    """A person's number of routers outlives every change of the group."""
    here = world("scaled")
    here.cluster.kubectl("scale", "deployment", ROUTER, "-n", here.namespace, "--replicas=3")
    here.cluster.wait_for(lambda: len(here.routers()) == 3, "three routers", 60)
    here.cluster.apply(here.group(("second", "third")), namespace=here.namespace)
    here.cluster.wait_for(here.ready, "the change programmed on all three", 60)
    deployment = here.cluster.get("deployment", ROUTER, here.namespace)
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 3
    assert set(here.versions()) == {here.status()["status"]["version"]}


def test_a_deleted_key_is_refused_by_every_router_within_two_seconds(world: Callable[..., World]) -> None:
    """Each router says 401 soon after the ScopedKey is gone, and the Secret goes too."""
    here = world("revoked")
    addresses = [p["status"]["podIP"] for p in here.routers()]
    assert len(addresses) == 2

    def status(address: str) -> int:
        headers = {"authorization": f"Bearer {here.token}"}
        return here.http("GET", f"http://{address}:8080/v1/auth/verify", headers=headers).status_code

    assert {status(a) for a in addresses} == {200}
    here.cluster.kubectl("delete", "scopedkey", "app", "-n", here.namespace)
    started = time.monotonic()
    here.cluster.wait_for(lambda: {status(a) for a in addresses} == {401}, "refused by all", 30, every_s=0.02)
    took = time.monotonic() - started
    print(f"refused by both routers {took:.2f} s after kubectl delete returned")
    assert took < 2
    here.cluster.wait_for(lambda: not here.secret("app"), "the Secret gone")


def test_a_changed_provider_credential_is_used_within_seconds(world: Callable[..., World]) -> None:
    """After the Secret that a model refers to has changed, the provider sees the new credential, not the old one."""
    here = world("credential")
    calls = Calls()
    here.run(lambda client: ask(client, calls, stream=False))
    assert here.seen("primary")[-1]["headers"]["authorization"] == "Bearer sk-primary-1"
    here.cluster.apply(credential("primary", "sk-primary-2"), namespace=here.namespace)
    started = time.monotonic()

    def used() -> bool:
        here.run(lambda client: ask(client, calls, stream=False))
        return here.seen("primary")[-1]["headers"]["authorization"] == "Bearer sk-primary-2"

    here.cluster.wait_for(used, "the new credential used", 30)
    print(f"new credential used {time.monotonic() - started:.2f} s after kubectl apply returned")
    assert calls.errors == []


def test_a_missing_secret_is_named_by_a_condition(world: Callable[..., World]) -> None:
    """The group says which Secret it misses, and is well again once the Secret is there."""
    here = world("missing")
    group = here.group()
    group["spec"]["models"][1]["endpoint"]["apiKeySecretRef"]["name"] = "not-yet"
    here.cluster.apply(group, namespace=here.namespace)

    def complaint() -> str:
        found = find_condition(here.status(), "ResolvedRefs")
        return found["message"] if found and found["status"] == "False" else ""

    message = here.cluster.wait_for(complaint, "a condition about it")
    assert "not-yet" in message
    calls = Calls()
    here.run(lambda client: ask(client, calls, stream=False))
    assert calls.errors == []  # what ran before still runs
    here.cluster.apply(credential("not-yet", "sk-second-1"), namespace=here.namespace)
    here.cluster.wait_for(here.ready, "Ready again")


def test_a_configuration_that_envoy_refuses_is_told_in_its_words(world: Callable[..., World]) -> None:
    """Programmed turns False with Envoy's own message; the routers go on with what they had."""
    here = world("rejected")
    good = here.status()["status"]["version"]
    pem = "-----BEGIN CERTIFICATE-----\nMANhYmM=\n-----END CERTIFICATE-----\n"
    ca = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca"}, "stringData": {"ca.crt": pem}}
    group = here.group()
    group["spec"]["models"][0]["endpoint"]["baseURL"] = f"https://primary.{here.namespace}.svc/v1"
    group["spec"]["models"][0]["endpoint"]["caSecretRef"] = {"name": "ca", "key": "ca.crt"}
    here.cluster.apply(ca, group, namespace=here.namespace)

    def told() -> str:
        found = find_condition(here.status(), "Programmed")
        return found["message"] if found and (found["status"], found["reason"]) == ("False", "Rejected") else ""

    message = here.cluster.wait_for(told, "Programmed False, reason Rejected", 60)
    assert "certificate" in message.lower()
    assert "sk-primary" not in message
    assert good in ",".join(here.versions())
    calls = Calls()
    here.run(lambda client: ask(client, calls, stream=False))
    assert calls.errors == []
    here.cluster.apply(here.group(), namespace=here.namespace)
    here.cluster.wait_for(here.ready, "Ready again once it is taken back", 60)


def test_a_rolled_router_cuts_no_request_and_no_stream(world: Callable[..., World]) -> None:
    """While all routers are replaced, answers of several seconds come through whole, streaming or not."""
    here = world("rolled", provider_flags=["--latency", "1s", "--chunk-delay", "250ms"])
    whole, streams = Calls(), Calls()
    old = {p["metadata"]["name"] for p in here.routers()}

    def roll() -> None:
        here.cluster.kubectl("rollout", "restart", f"deployment/{ROUTER}", "-n", here.namespace)
        here.cluster.kubectl("rollout", "status", f"deployment/{ROUTER}", "-n", here.namespace, "--timeout=100s")

        def gone() -> bool:
            return not old & {p["metadata"]["name"] for p in here.cluster.items("pods", here.namespace)}

        here.cluster.wait_for(gone, "old routers gone", 60)

    async def load(client: openai.AsyncOpenAI) -> None:
        rolling = asyncio.create_task(asyncio.to_thread(roll))

        async def caller(stream: bool) -> None:
            while not rolling.done():
                await ask(client, streams if stream else whole, stream=stream)

        await asyncio.gather(*(caller(n % 2 == 0) for n in range(8)))
        await rolling

    here.run(load)
    print(f"rolled: not streaming: {whole}; streaming: {streams}")
    assert whole.errors + streams.errors + streams.cut == []
    assert streams.whole >= 4


def test_router_pods_may_do_nothing_that_they_need_not(world: Callable[..., World]) -> None:
    """Non-root, read-only, no capability, no token, resources and probes set; the admin interface is not reachable."""
    here = world("secure")
    for pod in here.routers():
        spec, container = pod["spec"], pod["spec"]["containers"][0]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("serviceaccount" in m["mountPath"] for m in container["volumeMounts"])
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert {"startupProbe", "readinessProbe", "livenessProbe", "lifecycle"} <= container.keys()
        status = f"http://{pod['status']['podIP']}:9902"
        assert here.http("GET", f"{status}/config_dump").status_code == 404
        assert here.http("POST", f"{status}/quitquitquit").status_code in (404, 405)
    for kind in ("poddisruptionbudget", "networkpolicy"):
        assert here.cluster.get(kind, ROUTER, here.namespace)
    # The namespace could be under the strictest of Kubernetes' own rules.
    here.cluster.kubectl("label", "namespace", here.namespace, "pod-security.kubernetes.io/enforce=restricted")
    old = {p["metadata"]["name"] for p in here.routers()}
    here.cluster.kubectl("rollout", "restart", f"deployment/{ROUTER}", "-n", here.namespace)
    here.cluster.wait_for(
        lambda: any(p["metadata"]["name"] not in old for p in here.routers()), "a router under `restricted`", 60
    )
