"""Whether an object has to be applied, and how replicas are given up."""

import copy
from typing import Any

import pytest

from turnout.infra.labels import APPLIED
from turnout.infra.objects import initial, router_objects
from turnout.infra.options import RouterOptions
from turnout.infra.ownership import differs, released_replicas, stamped

DEPLOYMENT = router_objects("ai", RouterOptions(), bootstrap=b"b", wasm=b"w", own_namespace="turnout-system")[-1]


def live_deployment() -> dict[str, Any]:
    """The Deployment as an API server shows it: with defaults, a status and somebody's sidecar."""
    live = copy.deepcopy(initial(stamped(DEPLOYMENT), 2))
    live["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 1}
    live["spec"] |= {"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10}
    pod = live["spec"]["template"]["spec"]
    pod |= {"dnsPolicy": "ClusterFirst", "serviceAccount": "turnout-router"}
    pod["containers"][0] |= {"terminationMessagePath": "/dev/termination-log"}
    pod["containers"].insert(0, {"name": "sidecar", "image": "x"})
    live["status"] = {"readyReplicas": 2}
    return live


def test_what_the_server_and_others_add_is_no_difference() -> None:
    """Defaults, a status, other people's containers and another number of replicas need no write."""
    live = live_deployment()
    live["spec"]["replicas"] = 7
    assert not differs(stamped(DEPLOYMENT), live)


def test_an_absent_object_differs() -> None:
    """What is not there is applied."""
    assert differs(stamped(DEPLOYMENT), None)


CHANGES: dict[str, tuple[list[Any], Any]] = {
    "an argument": (["spec", "template", "spec", "containers", 1, "args", 0], "-x"),
    "another image": (["spec", "template", "spec", "containers", 1, "image"], "nginx"),
    "a selector's label": (["spec", "selector", "matchLabels"], {}),
    "a dropped label": (["metadata", "labels"], {"app.kubernetes.io/name": "turnout-router"}),
    "a token mounted": (["spec", "template", "spec", "automountServiceAccountToken"], None),
    "what an older operator applied": (["metadata", "annotations", APPLIED], "0"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_ours_is_seen(change: str) -> None:
    """Whatever somebody did to a field of ours is put right."""
    path, value = CHANGES[change]
    live = live_deployment()
    target: Any = live
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    assert differs(stamped(DEPLOYMENT), live)


def test_an_added_rule_of_a_network_policy_is_seen() -> None:
    """Lists without keys are compared as a whole, or a hole in the policy would stay."""
    objects = router_objects("ai", RouterOptions(), bootstrap=b"b", wasm=b"w", own_namespace="s")
    policy = next(o for o in objects if o["kind"] == "NetworkPolicy")
    live = copy.deepcopy(stamped(policy))
    assert not differs(stamped(policy), live)
    live["spec"]["ingress"].append({})
    assert differs(stamped(policy), live)


def test_a_field_that_is_no_longer_wanted_differs() -> None:
    """Less than before is also another object: the hash of what was applied tells."""
    less = copy.deepcopy(DEPLOYMENT)
    del less["spec"]["template"]["spec"]["enableServiceLinks"]
    assert differs(stamped(less), live_deployment())


def test_replicas_are_given_up_once() -> None:
    """spec.replicas leaves our entry and no other; afterwards there is nothing to give up."""
    ours = {"manager": "turnout", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:selector": {}}}}
    other = {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    freed = released_replicas({"metadata": {"managedFields": [ours, other]}})
    assert freed == [{**ours, "fieldsV1": {"f:spec": {"f:selector": {}}}}, other]
    assert "f:replicas" in ours["fieldsV1"]["f:spec"]  # type: ignore[index]  # the live object is left as it was
    assert released_replicas({"metadata": {"managedFields": freed}}) is None
