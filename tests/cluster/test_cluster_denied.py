"""What a cluster refuses the operator: it says so, and no dead key lives on for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.cluster import Cluster, Object, find_condition
from harness.world import ROUTER, World, key

NAMESPACE = "denied"


def policy() -> Object:
    """Nobody makes a NetworkPolicy in the namespace, be it the operator."""
    rule = {
        "apiGroups": ["networking.k8s.io"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["networkpolicies"],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "no-network-policies"},
        "spec": {
            "matchConstraints": {"namespaceSelector": selector, "resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "our security team makes those"}],
        },
    }


@contextmanager
def forbidden(cluster: Cluster) -> Iterator[None]:
    """While the policy is in force."""
    spec = {"policyName": "no-network-policies", "validationActions": ["Deny"]}
    kind = "ValidatingAdmissionPolicyBinding"
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "here"},
        "spec": spec,
    }
    cluster.apply(policy(), binding)
    try:
        yield
    finally:
        cluster.kubectl("delete", kind, "here")
        cluster.kubectl("delete", "ValidatingAdmissionPolicy", "no-network-policies")


@contextmanager
def unwritable_keyring(cluster: Cluster) -> Iterator[None]:
    """Nobody can make an immutable Secret mutable: in the end it is deleted, and keys are issued anew."""
    where = ("secret", "turnout-keyring", "-n", NAMESPACE)
    cluster.kubectl("patch", *where, "--type=merge", "-p", '{"immutable": true}')
    try:
        yield
    finally:
        cluster.kubectl("delete", *where)


def test_what_is_refused_keeps_no_dead_key_alive(world: Callable[..., World]) -> None:
    """With a NetworkPolicy that it may not make, and with a keyring that it cannot write: routers learn of keys that
    are gone long before their kubelets would tell them by themselves, and who needs a Secret gets it.
    """
    here = world(NAMESPACE)
    cluster = here.cluster

    def refused(token: str) -> bool:
        urls = [f"http://{p['status']['podIP']}:8080/v1/auth/verify" for p in here.routers()]
        headers = {"authorization": f"Bearer {token}"}
        return [here.http("GET", url, headers=headers).status_code for url in urls] == [401, 401]

    def tokens() -> list[str]:
        found = here.secret("leak").get("OPENAI_API_KEY")
        return [found] if found else []

    def says(words: str) -> bool:
        found = find_condition(here.status(), "Programmed")
        return bool(found) and words in str(found["message"])

    with forbidden(cluster):

        def gone() -> bool:
            cluster.kubectl("delete", "networkpolicy", ROUTER, "-n", NAMESPACE, "--ignore-not-found")
            return says("our security team makes those")

        cluster.wait_for(gone, "the refusal told", 30)
        cluster.apply(key("late"), namespace=NAMESPACE)
        late = cluster.wait_for(lambda: here.secret("late").get("OPENAI_API_KEY"), "a Secret for the late key", 20)
        assert not refused(late)
        cluster.kubectl("delete", "scopedkey", "late", "-n", NAMESPACE)
        cluster.wait_for(lambda: refused(late), "a deleted key refused by both routers", 20)
    cluster.wait_for(here.ready, "all well again", 90)
    cluster.apply(key("leak"), namespace=NAMESPACE)
    leaked = cluster.wait_for(lambda: here.secret("leak").get("OPENAI_API_KEY"), "a Secret for one more key", 20)
    with unwritable_keyring(cluster):
        assert not refused(here.token)
        assert not refused(leaked)
        cluster.apply(key("app", revoked=True), namespace=NAMESPACE)
        cluster.wait_for(lambda: refused(here.token), "a revoked key refused by both routers", 20)
        cluster.apply(key("leak", rotation={"trigger": "it leaked", "emergency": True}), namespace=NAMESPACE)
        cluster.wait_for(lambda: refused(leaked), "a leaked token refused by both routers", 20)
    fresh = cluster.wait_for(lambda: set(tokens()) - {leaked}, "a token instead of the leaked one", 60)
    assert not refused(fresh.pop())
