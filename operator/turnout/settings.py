"""The environment → one frozen model of what the operator is told. Pure: the environment comes in as an argument."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from turnout.errors import UsageError
from turnout.infra.options import RouterOptions

PREFIX = "TURNOUT_"


def _host_and_port(value: Any) -> Any:
    found = (
        re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", value) if isinstance(value, str) else None
    )
    if found is None or not 0 < int(found[2]) < 65_536:
        raise ValueError("write HOST:PORT, such as ratelimit.turnout-system.svc:8081")
    return found[1].strip("[]"), int(found[2])


HostAndPort = Annotated[tuple[str, int], BeforeValidator(_host_and_port)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseModel):
    """What `turnout operator` is told. Each field is an environment variable: TURNOUT_ and the name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = ""
    """The only namespace to serve; empty: all of them. Another one needs other RBAC: manifests/namespaced."""
    own_namespace: str = "turnout-system"
    """Where the operator's own pod runs; routers let it read their status listener."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8081
    """TCP port of /healthz and /metrics."""
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    resync_s: Seconds = 300
    """Seconds between two full LISTs of everything; what a watch missed is noticed then."""
    quiet_s: Seconds = 0.2
    """Seconds without another event before a namespace is decided anew."""
    at_most_s: Seconds = 2
    """Seconds after which a namespace is decided anew even if events keep coming."""
    scrape_s: Seconds = 5
    """Seconds between two looks at the statistics of a router."""
    figures_s: Seconds = 30
    """Seconds between two writes of a status of which only figures changed."""
    rate_limit_service: HostAndPort | None = None
    """HOST:PORT of Envoy's rate limit service, gRPC without TLS; routers ask it for each request of a key with limits,
    so that limits hold exactly over all of them (docs/limits.md). Default: none; each router allows its even part."""
    router: RouterOptions = RouterOptions()
    """What router pods are like: TURNOUT_ROUTER_IMAGE and so on."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from the variables TURNOUT_…; an empty one counts as unset. Raises UsageError naming the variable."""
    values = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value
    }
    router = {name.removeprefix("router_"): values.pop(name) for name in list(values) if name.startswith("router_")}
    try:
        return Settings.model_validate({**values, "router": router})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        variable = PREFIX + "_".join(map(str, first["loc"])).upper()
        raise UsageError(f"{variable}: {first['msg']}") from None
