"""The operator in its pod: what it owns, what it leaves alone, and that routers do not need it."""

import asyncio
import time
from collections.abc import Callable

import httpx
import openai

from harness.cluster import Cluster, Object, find_condition
from harness.world import ROUTER, Calls, World, ask, credential, key
from turnout.settings import Settings

SYSTEM = "turnout-system"
WRITER = f"system:serviceaccount:{SYSTEM}:"
KINDS = "deployment,service,poddisruptionbudget,networkpolicy,serviceaccount,configmap,secret"


def stop_operator(cluster: Cluster) -> None:
    """Kill it, and wait until it is gone."""
    cluster.kubectl("scale", "deployment", "turnout-operator", "-n", SYSTEM, "--replicas=0")
    cluster.kubectl("delete", "pods", "--all", "-n", SYSTEM, "--grace-period=0", "--force")
    cluster.wait_for(lambda: not cluster.items("pods", SYSTEM), "no operator pod", 60)


def start_operator(cluster: Cluster) -> None:
    """Start it, and wait until it is ready."""
    cluster.kubectl("scale", "deployment", "turnout-operator", "-n", SYSTEM, "--replicas=1")
    cluster.kubectl("rollout", "status", "deployment/turnout-operator", "-n", SYSTEM, "--timeout=90s")


def reachable(here: World) -> bool:
    """Whether anything answers at the Service's address."""
    try:
        here.http("GET", here.url())
    except httpx.TransportError:
        return False
    return True


def test_routers_need_no_operator(here: World) -> None:
    """With the operator killed traffic goes on, also through a router pod that was started meanwhile."""
    cluster = here.cluster
    stop_operator(cluster)
    try:
        old = {p["metadata"]["name"] for p in here.routers()}
        cluster.kubectl("delete", "pod", "-n", here.namespace, *old, "--wait=false")

        def started_meanwhile() -> list[Object]:
            return [p for p in here.routers() if p["metadata"]["name"] not in old]

        new = cluster.wait_for(started_meanwhile, "a router that starts without an operator", 60)
        calls = Calls()
        here.run(lambda client: ask(client, calls, stream=False), url=f"http://{new[0]['status']['podIP']}:8080/v1")
        cluster.wait_for(lambda: reachable(here), "an answer at the Service's address", 90)
        here.run(lambda client: ask(client, calls, stream=True))
        assert calls.errors == []
        assert calls.whole == 2
        cluster.wait_for(lambda: len(started_meanwhile()) == len(old), "all routers back", 60)
    finally:
        start_operator(cluster)
    here.cluster.wait_for(here.ready, "Ready again")


def test_a_restarted_operator_writes_nothing_on_an_unchanged_cluster(here: World) -> None:
    """Killed and started again while nothing happens, it sends not one write; counted in the API server's audit log."""
    cluster = here.cluster

    def quiet() -> bool:
        before = len(cluster.writes(WRITER))
        time.sleep(8)
        return len(cluster.writes(WRITER)) == before

    time.sleep(Settings().figures_s + 2 * Settings().scrape_s)  # then it has told what it counted, and who went
    cluster.wait_for(quiet, "the operator has nothing more to say about what tests did before", 120)
    stop_operator(cluster)
    before = len(cluster.writes(WRITER))
    start_operator(cluster)
    time.sleep(12)  # longer than its first LIST, its debouncing and two looks at the routers
    written = [f"{e['verb']} {e['requestURI']}" for e in cluster.writes(WRITER)[before:]]
    assert written == []
    assert before > 0  # the log does see its writes


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


def test_replicas_belong_to_whoever_scales(here: World) -> None:
    """A person's number of routers outlives every change of the group."""
    here.cluster.kubectl("scale", "deployment", ROUTER, "-n", here.namespace, "--replicas=3")
    here.cluster.wait_for(lambda: len(here.routers()) == 3, "three routers", 60)
    here.cluster.apply(here.group(("second", "third")), namespace=here.namespace)
    here.cluster.wait_for(here.ready, "the change programmed on all three", 60)
    deployment = here.cluster.get("deployment", ROUTER, here.namespace)
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 3
    assert set(here.versions()) == {here.status()["status"]["version"]}
    here.cluster.kubectl("scale", "deployment", ROUTER, "-n", here.namespace, "--replicas=2")
    here.cluster.wait_for(lambda: len(here.routers()) == 2, "two routers", 60)


def test_a_deleted_key_is_refused_by_every_router_within_two_seconds(here: World) -> None:
    """Each router says 401 soon after a ScopedKey is gone, and its Secret goes too. Of three the quickest counts: the
    machine may have been busy with something else.
    """
    addresses = [p["status"]["podIP"] for p in here.routers()]
    assert len(addresses) == 2
    names = [f"short-lived-{number}" for number in range(3)]
    here.cluster.apply(*(key(name) for name in names), namespace=here.namespace)

    def told(token: str) -> set[int]:
        headers = {"authorization": f"Bearer {token}"}
        urls = [f"http://{address}:8080/v1/auth/verify" for address in addresses]
        return {here.http("GET", url, headers=headers).status_code for url in urls}

    took = []
    for name in names:
        token = here.cluster.wait_for(lambda name=name: here.secret(name).get("OPENAI_API_KEY"), "the key's Secret")
        assert told(token) == {200}
        here.cluster.kubectl("delete", "scopedkey", name, "-n", here.namespace)
        started = time.monotonic()
        here.cluster.wait_for(lambda token=token: told(token) == {401}, "refused by all", 30, every_s=0.02)
        took.append(time.monotonic() - started)
        here.cluster.wait_for(lambda name=name: not here.secret(name), "the Secret gone")
    print(f"refused by both routers {', '.join(f'{s:.2f}' for s in took)} s after kubectl delete returned")
    assert min(took) < 2


def test_a_changed_provider_credential_is_used_within_seconds(here: World) -> None:
    """After the Secret that a model refers to has changed, the provider sees the new credential, not the old one."""
    calls = Calls()
    here.run(lambda client: ask(client, calls, stream=False))
    assert here.credential_of("primary") == "Bearer sk-primary-1"
    here.cluster.apply(credential("primary", "sk-primary-2"), namespace=here.namespace)
    started = time.monotonic()

    def used() -> bool:
        here.run(lambda client: ask(client, calls, stream=False))
        return here.credential_of("primary") == "Bearer sk-primary-2"

    here.cluster.wait_for(used, "the new credential used", 30)
    print(f"new credential used {time.monotonic() - started:.2f} s after kubectl apply returned")
    assert calls.errors == []


def test_a_missing_secret_is_named_by_a_condition(here: World) -> None:
    """The group says which Secret it misses, and is well again once the Secret is there."""
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


def test_a_configuration_that_envoy_refuses_is_told_in_its_words(here: World) -> None:
    """Programmed turns False with Envoy's own message; the routers go on with what they had."""
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


def test_router_pods_may_do_nothing_that_they_need_not(here: World) -> None:
    """Non-root, read-only, no capability, no token, resources and probes set; the admin interface is not reachable."""
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
    here.cluster.kubectl("label", "namespace", here.namespace, "pod-security.kubernetes.io/enforce-")
