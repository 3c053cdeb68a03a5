"""A ScopedKey's token → the Secrets that programs read, in its namespace and in others. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from turnout.api import API_VERSION
from turnout.decide.keys import KeyState
from turnout.infra.labels import COPY_OF, RESERVED, Json, is_ours, service_url
from turnout.infra.objects import secret

OWNER = "ScopedKey"
TOKEN = "OPENAI_API_KEY"
"""Field of a Secret, and of an environment: the token, as OpenAI's clients read it."""


def consumer_secrets(namespace: str, state: KeyState, uid: str) -> list[Json]:
    """All Secrets of a key, its own first, ready for envFrom; none while it has no token.

    Those in the key's namespace belong to the ScopedKey, so they go with it, even with the operator dead. Owners cannot
    be of another namespace, so copies elsewhere say whose they are, and the operator deletes them.
    """
    if state.token is None:
        return []
    token = state.token.token.get_secret_value().encode()
    data = {TOKEN: token, "OPENAI_BASE_URL": service_url(namespace).encode()}
    owner = {"apiVersion": API_VERSION, "kind": OWNER, "name": state.name, "uid": uid, "controller": True}
    found = []
    for where, name in ((namespace, state.secret_name), *state.copies):
        if where in (None, namespace):
            found.append(secret(namespace, name, data, ownerReferences=[owner]))
        else:
            found.append(secret(str(where), name, data, annotations={COPY_OF: f"{namespace}/{state.name}"}))
    return found


def copy_of(obj: Mapping[str, Any]) -> tuple[str, str] | None:
    """Namespace and name of the key whose copy a Secret is; None if it is none."""
    found = (obj["metadata"].get("annotations") or {}).get(COPY_OF)
    if not found or not is_ours(obj):
        return None
    namespace, _, name = found.partition("/")
    return namespace, name


def abandoned(secrets: Iterable[Json], *, wanted: frozenset[str], kept_keys: frozenset[str]) -> list[Json]:
    """Consumer Secrets of ours that no key names any more. kept_keys: keys with a problem; what they have stays."""
    return [
        obj
        for obj in secrets
        if is_ours(obj)
        and obj["metadata"]["name"] not in wanted | RESERVED
        and (owner := owner_of(obj)) is not None
        and owner not in kept_keys
    ]


def abandoned_copies(
    secrets: Iterable[Json], namespace: str, states: Iterable[KeyState], kept_keys: frozenset[str]
) -> list[Json]:
    """Copies of a namespace's keys, wherever they are, that no key names any more. kept_keys: as above."""
    wanted = {(where, name, state.name) for state in states for where, name in state.copies}
    return [
        obj
        for obj in secrets
        if (key := copy_of(obj)) is not None
        and key[0] == namespace
        and key[1] not in kept_keys
        and (obj["metadata"]["namespace"], obj["metadata"]["name"], key[1]) not in wanted
    ]


def owner_of(obj: Mapping[str, Any]) -> str | None:
    """Name of the ScopedKey of the same namespace that a Secret belongs to; None: to none."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((owner["name"] for owner in owners if owner["kind"] == OWNER), None)
