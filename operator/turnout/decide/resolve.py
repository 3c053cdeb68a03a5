"""A model of a group → its lane, with address, credential and certificates looked up. Pure.

Mistakes come back as a Finding in place of the lane; nothing here raises.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import SecretStr

from turnout.api import Model
from turnout.api.common import SecretKeyRef
from turnout.decide.ir import Endpoint, Lane, digest, slug
from turnout.decide.verdict import Finding, Reason

Secrets = Mapping[str, Mapping[str, bytes]]

LONGEST_CREDENTIAL = 8192
"""Bytes of a credential. Our limit: Envoy's default for all headers of a request is 60 KiB."""

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----")


def resolve_lane(model: Model, secrets: Secrets, *, path: str) -> Lane | Finding:
    """The lane of a model, or what is wrong with it. path is the model's place in the spec, for the message."""
    endpoint = model.endpoint
    where = f"{path}.endpoint"
    credential = ca_pem = None
    if endpoint.api_key_secret_ref:
        found = _credential(endpoint.api_key_secret_ref, secrets, path=f"{where}.apiKeySecretRef")
        if isinstance(found, Finding):
            return found
        credential = SecretStr(found)
    if endpoint.ca_secret_ref:
        found = _certificates(endpoint.ca_secret_ref, secrets, path=f"{where}.caSecretRef")
        if isinstance(found, Finding):
            return found
        ca_pem = found
    url = urlsplit(endpoint.base_url)
    tls = url.scheme == "https"
    address = Endpoint(
        tls=tls,
        host=(url.hostname or "").lower(),
        port=url.port or (443 if tls else 80),
        ca_pem=ca_pem if tls else None,
    )
    upstream_name = model.upstream_name or model.name
    return Lane(
        id=lane_id(model, upstream_name),
        endpoint=address,
        prefix=url.path.rstrip("/"),
        upstream_name=upstream_name,
        credential=credential,
    )


def lane_id(model: Model, upstream_name: str) -> str:
    """The identity of a circuit: endpoint, model and credential, by reference: a new value keeps the circuit."""
    ref, ca = model.endpoint.api_key_secret_ref, model.endpoint.ca_secret_ref
    parts = [model.endpoint.base_url.rstrip("/"), upstream_name]
    parts += [f"{r.name}/{r.key}" if r else "" for r in (ref, ca)]
    return f"{slug(upstream_name)}-{digest(chr(0).join(parts))}"


def _value(ref: SecretKeyRef, secrets: Secrets, *, path: str) -> bytes | Finding:
    secret = secrets.get(ref.name)
    if secret is None:
        return Finding(
            Reason.SECRET_NOT_FOUND,
            path,
            f"Secret '{ref.name}' does not exist in this namespace; create it with key '{ref.key}'.",
        )
    value = secret.get(ref.key)
    if value is None:
        return Finding(Reason.SECRET_KEY_NOT_FOUND, path, f"Secret '{ref.name}' has no key '{ref.key}'; add it.")
    return value


def _credential(ref: SecretKeyRef, secrets: Secrets, *, path: str) -> str | Finding:
    value = _value(ref, secrets, path=path)
    if isinstance(value, Finding):
        return value
    text = value.strip()
    if text and len(text) <= LONGEST_CREDENTIAL and all(0x21 <= c <= 0x7E for c in text):
        return text.decode("ascii")
    return Finding(
        Reason.SECRET_VALUE_INVALID,
        path,
        f"Key '{ref.key}' of Secret '{ref.name}' is no API key: it must be 1 to {LONGEST_CREDENTIAL} visible ASCII"
        " characters without spaces.",
    )


def _certificates(ref: SecretKeyRef, secrets: Secrets, *, path: str) -> str | Finding:
    value = _value(ref, secrets, path=path)
    if isinstance(value, Finding):
        return value
    blocks = _PEM.findall(value.decode("ascii", errors="replace"))
    if blocks and all(_is_der(block) for block in blocks):
        return "".join(
            f"-----BEGIN CERTIFICATE-----\n{chr(10).join(block.split())}\n-----END CERTIFICATE-----\n"
            for block in blocks
        )
    return Finding(
        Reason.SECRET_VALUE_INVALID,
        path,
        f"Key '{ref.key}' of Secret '{ref.name}' holds no certificate in PEM; put the CA there.",
    )


def _is_der(block: str) -> bool:
    """True if the text is base64 of an ASN.1 sequence, which every X.509 certificate is (RFC 5280, 4.1)."""
    try:
        return base64.b64decode("".join(block.split()), validate=True)[:1] == b"\x30"
    except binascii.Error:
        return False
