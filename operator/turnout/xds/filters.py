"""IR → the two HTTP filters that change while a router runs: keys and front. Pure."""

from turnout.decide.ir import Router
from turnout.xds.envoy import HTTP, Json, extension, wasm_filter
from turnout.xds.place import Place
from turnout.xds.table import table

API_KEY_AUTH = f"{HTTP}.api_key_auth.v3.ApiKeyAuth"


def filters(router: Router, place: Place) -> dict[str, Json]:
    """The filters by name, in the order of the chain."""
    return {"keys": _key_auth(router), "front": wasm_filter("front", table(router), place)}


def _key_auth(router: Router) -> Json:
    """Token → x-turnout-client: NAME/TOKEN-ID; the token itself goes no further. Contains tokens: never log it."""
    return extension(
        "keys",
        API_KEY_AUTH,
        credentials=[{"key": k.token.get_secret_value(), "client": f"{k.name}/{k.token_id}"} for k in router.keys],
        key_sources=[{"header": "authorization"}],
        forwarding={"header": "x-turnout-client", "hide_credentials": True},
    )
