"""A ScopedKey's token → the Secret that programs read. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr

from turnout.api import API_VERSION
from turnout.infra.labels import RESERVED, Json, is_ours, service_url
from turnout.infra.objects import secret

OWNER = "ScopedKey"


def consumer_secret(namespace: str, name: str, token: SecretStr, *, key: str, uid: str) -> Json:
    """The Secret, ready for envFrom. It belongs to the ScopedKey, so it goes with it, even with the operator dead."""
    owner = {"apiVersion": API_VERSION, "kind": OWNER, "name": key, "uid": uid, "controller": True}
    data = {"OPENAI_API_KEY": token.get_secret_value().encode(), "OPENAI_BASE_URL": service_url(namespace).encode()}
    return secret(namespace, name, data, ownerReferences=[owner])


def abandoned(secrets: Iterable[Json], *, wanted: frozenset[str], kept_keys: frozenset[str]) -> list[Json]:
    """Consumer Secrets of ours that no key names any more. kept_keys: keys with a problem; what they have stays."""
    return [
        obj
        for obj in secrets
        if is_ours(obj)
        and obj["metadata"]["name"] not in wanted | RESERVED
        and (owner := _owner(obj)) is not None
        and owner not in kept_keys
    ]


def _owner(obj: Mapping[str, Any]) -> str | None:
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((owner["name"] for owner in owners if owner["kind"] == OWNER), None)
