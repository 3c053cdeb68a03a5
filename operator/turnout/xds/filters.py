"""IR → the four HTTP filters that change while a router runs: keys, front, limits of requests and of tokens. Pure."""

from collections.abc import Callable

from turnout.decide.ir import Key, Router
from turnout.xds.envoy import HTTP, Json, extension, wasm_filter
from turnout.xds.place import Place
from turnout.xds.table import table

API_KEY_AUTH = f"{HTTP}.api_key_auth.v3.ApiKeyAuth"
LOCAL_RATE_LIMIT = f"{HTTP}.local_ratelimit.v3.LocalRateLimit"

UNLIMITED = 1_000_000_000
"""Hits a minute of the bucket of keys without a limit; the filter shows no x-ratelimit headers from it on."""


def filters(router: Router, place: Place) -> dict[str, Json]:
    """The filters by name, in the order of the chain."""
    return {
        "keys": _key_auth(router),
        "front": wasm_filter("front", table(router), place),
        "rpm": _limiter("rpm", router, lambda k: k.requests_per_minute, {}),
        "tpm": _limiter(
            "tpm", router, lambda k: k.tokens_per_minute, {"hits_addend": {"format": "%REQ(x-turnout-reserve)%"}}
        ),
    }


def _key_auth(router: Router) -> Json:
    """Token → x-turnout-client: NAME/TOKEN-ID; the token itself goes no further. Contains tokens: never log it."""
    return extension(
        "keys",
        API_KEY_AUTH,
        credentials=[{"key": k.token.get_secret_value(), "client": f"{k.name}/{k.token_id}"} for k in router.keys],
        key_sources=[{"header": "authorization"}],
        forwarding={"header": "x-turnout-client", "hide_credentials": True},
    )


def _limiter(name: str, router: Router, budget: Callable[[Key], int | None], hits: Json) -> Json:
    """A token bucket for each limited key, shared by the workers of a router. hits: what a request takes; default 1.

    Tokens are reserved before the call: charging them afterwards lets concurrent requests pass the limit.
    """
    always = {"default_value": {"numerator": 100}}
    key = {"request_headers": {"header_name": "x-turnout-key", "descriptor_key": "key"}}
    budgets = {k.name: b for k in router.keys if (b := budget(k)) is not None}
    return extension(
        name,
        LOCAL_RATE_LIMIT,
        stat_prefix=name,
        filter_enabled=always,
        filter_enforced=always,
        always_consume_default_token_bucket=False,
        token_bucket=_bucket(UNLIMITED),
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        enable_retry_after_header=True,
        rate_limits=[{"actions": [key], **hits}],
        descriptors=[
            {"entries": [{"key": "key", "value": n}], "token_bucket": _bucket(b)} for n, b in sorted(budgets.items())
        ],
    )


def _bucket(per_minute: int) -> Json:
    return {"max_tokens": per_minute, "tokens_per_fill": per_minute, "fill_interval": "60s"}
