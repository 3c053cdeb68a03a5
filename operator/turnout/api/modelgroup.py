"""ModelGroup: a prioritised chain of models behind one name. Pure."""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from turnout.api.common import Flag, ModelName, Resource, SecretKeyRef
from turnout.api.modelgroup_status import ModelGroupStatus
from turnout.api.quantities import Amount, Whole, Within, cel_seconds
from turnout.api.schema import Part, Rule, Text, Unique

_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST = r"([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:.]+\])"
_APPENDED = "leave {} out of baseURL: the router appends the path of the call"
BaseUrl = Annotated[
    str,
    Text(
        pattern=rf"^https?://{_HOST}(:{_PORT})?(/[A-Za-z0-9._~!$&()*+,;=:@%-]+)*/?$",
        words="must be an http or https URL without user, query or fragment, such as https://api.openai.com/v1",
        max_length=512,
        refused_endings={path: _APPENDED.format(path) for path in ("/chat/completions", "/embeddings", "/responses")},
    ),
]
UpstreamName = Annotated[
    str,
    Text(
        pattern=r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$",
        words="must be the provider's name of the model, without control characters and without a blank at either end",
        max_length=256,
    ),
]
Usd = Annotated[Decimal, Amount("0", "999999", 6)]
"""USD per million tokens. 6 digits after the point make whole picodollars per token."""
Deadline = Annotated[timedelta, Within("10ms", "1h")]


class Delivery(StrEnum):
    """When the first bytes of a stream may leave for the client."""

    LIVE = "Live"
    COMPLETE = "Complete"


class Feature(StrEnum):
    """What a request may need of a model, beyond text."""

    TOOLS = "tools"
    VISION = "vision"
    AUDIO = "audio"
    JSON_SCHEMA = "json_schema"


class Endpoint(Part):
    """Where a model is asked, and with which credential."""

    base_url: BaseUrl = Field(alias="baseURL")
    """OpenAI-compatible base URL, http or https, with its path, such as https://api.openai.com/v1.
    The router appends /chat/completions and so on."""
    api_key_secret_ref: SecretKeyRef | None = None
    """The provider's API key, sent as `Authorization: Bearer …`. Default: none is sent, as Ollama and vLLM allow."""
    ca_secret_ref: SecretKeyRef | None = None
    """PEM certificates of a private authority that the endpoint's certificate is checked against, in place of the
    system's roots. Only with https. Default: the system's roots."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            field=".caSecretRef",
            message="caSecretRef does nothing on http: use an https baseURL, or leave caSecretRef out",
            cel="!has(self.caSecretRef) || self.baseURL.startsWith('https://')",
            holds=lambda endpoint: endpoint.ca_secret_ref is None or endpoint.base_url.startswith("https://"),
        ),
    )


class Price(Part):
    """What tokens cost at this model, in USD per million tokens."""

    input: Usd
    """USD per million prompt tokens, a decimal in quotes with at most 6 digits after the point."""
    output: Usd
    """USD per million answer tokens, a decimal in quotes with at most 6 digits after the point."""
    cached_input: Usd | None = None
    """USD per million prompt tokens that the provider had cached. Default: the price of `input`."""

    @property
    def free(self) -> bool:
        """Whether nothing is paid."""
        return not (self.input or self.output)


class Capacity(Part):
    """How much each router may ask of a model; above it, requests spill to the next model of the chain. Groups that
    share endpoint, model and credential share the smallest capacity that one of them states.
    """

    requests_per_minute: Annotated[int, Whole(1, 10_000_000)] | None = None
    """Requests per minute at each router, 1 to 10000000. A 429 takes 2 percent off, which come back within a minute.
    Default: no limit."""
    concurrent_requests: Annotated[int, Whole(1, 1_000_000)] | None = None
    """Requests in flight at one time at each router, 1 to 1000000. Default: no limit."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="set requestsPerMinute or concurrentRequests, or leave capacity out",
            cel="has(self.requestsPerMinute) || has(self.concurrentRequests)",
            holds=lambda capacity: bool(capacity.requests_per_minute or capacity.concurrent_requests),
        ),
    )


class Circuit(Part):
    """When a failing model is left alone, and how it is tried again."""

    failures: Annotated[int, Whole(1, 1000)] = 5
    """Failures in a row that open the circuit, 1 to 1000."""
    recovery: Annotated[timedelta, Within("100ms", "1h")] = timedelta(seconds=30)
    """How long an open circuit stays open before the model is tried again, 100ms to 1h."""
    half_open_requests: Annotated[int, Whole(1, 1000)] = 3
    """At most so many requests at a time try the model again, until one of them has an outcome, 1 to 1000. A success
    closes the circuit."""


class Model(Part):
    """One entry of the chain: a model at a provider."""

    name: ModelName
    """What clients and metrics call the model: letters, digits and . _ : @ / -, at most 128. Unique in the chain."""
    upstream_name: UpstreamName | None = None
    """What the provider calls the model, at most 256 characters. Default: `name`."""
    endpoint: Endpoint
    """Where the model is asked, and with which credential."""
    price: Price | None = None
    """What tokens cost, in USD per million. Default: unknown; answers then carry no x-token-cost."""
    capacity: Capacity | None = None
    """Above this, at each router, requests spill to the next model of the chain. Default: no limit."""
    context_window: Annotated[int, Whole(1, 100_000_000)] | None = None
    """Tokens that prompt and answer may have together, 1 to 100000000. A request that may need more passes the model
    by: max_tokens, and a bound of its prompt's tokens, 2 to 3 times those of prose and code. Default: not looked at."""
    features: Annotated[tuple[Feature, ...], Field(max_length=4), Unique()] | None = None
    """What the model can do: tools, vision, audio, json_schema. A request that needs another of these passes the model
    by. [] is none of them. Default: all."""
    fallback: Flag = True
    """false: never used as a fallback, only as a canary. The first model, the primary, cannot be false."""
    circuit: Circuit | None = None
    """When this model is left alone. What is left out here is as in the group's circuit. Default: all of it."""


class Timeouts(Part):
    """How long one attempt may take before the next model is tried, and how long all of them together. Connecting (TCP
    and TLS) may take 3s more for each attempt, within `total`.
    """

    first_token: Deadline = timedelta(seconds=10)
    """Streams: time to the first content, 10ms to 1h. Passing it is a failure of the model."""
    idle: Deadline = timedelta(seconds=30)
    """Streams: longest gap between two chunks, 10ms to 1h."""
    request: Deadline = timedelta(seconds=300)
    """Answers that do not stream: one whole attempt, 10ms to 1h."""
    total: Deadline | None = None
    """All attempts together, until a whole answer or a stream's first content, 10ms to 1h. A client lowers it for one
    request with the header x-turnout-timeout-ms. Default: 10m, or firstToken or request if one of them is longer."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            field=".total",
            message="total must not be shorter than firstToken or request: it is for all attempts together",
            cel="!has(self.total)"
            " || (!has(self.firstToken) || duration(self.firstToken) <= duration(self.total))"
            " && (!has(self.request) || duration(self.request) <= duration(self.total))",
            holds=lambda times: (
                times.total is None
                or all(getattr(times, n) <= times.total for n in times.model_fields_set & {"first_token", "request"})
            ),
        ),
    )

    @property
    def overall(self) -> timedelta:
        """The deadline over all attempts; by default the openai SDK's own, unless one attempt may take longer."""
        return self.total or max(timedelta(minutes=10), self.first_token, self.request)


class Warm(Part):
    """Keeping idle models awake, so that a fallback meets an open connection, a valid credential and a known model."""

    every: Annotated[timedelta, Within("0s", "1d")]
    """Each router asks a model that has had no requests for this long for one token, 10s to 1d, such as 5m; 0s is off.
    Groups that share endpoint, model and credential share the shortest."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            field=".every",
            message="must be 0s (off) or at least 10s: each time costs a request at every idle model",
            cel=f"self.every.matches('^[0dhms]+$') || {cel_seconds('self.every')} >= 10",
            holds=lambda warm: not warm.every or warm.every >= timedelta(seconds=10),
        ),
    )


class ModelGroupSpec(Part):
    """A chain of models and how it fails over."""

    models: Annotated[tuple[Model, ...], Field(min_length=1, max_length=16), Unique(("name",))]
    """The chain, 1 to 16 models with unique names. The first is the primary; the others are tried in this order."""
    attempts_per_model: Annotated[int, Whole(1, 3)] = 1
    """Attempts at one model before the next is tried, 1 to 3. 1 leaves a failing model at once, but for one quick
    retry of what is surely passing."""
    delivery: Delivery = Delivery.LIVE
    """Live: a stream flows as it comes. Complete: a stream is held until it is whole, so even a cut in the middle is
    retried at another model."""
    timeouts: Timeouts = Timeouts()
    """How long one attempt may take, and all of them together."""
    circuit: Circuit = Circuit()
    """When a failing model is left alone, and how it is tried again."""
    ramp: Annotated[timedelta, Within("0s", "1h")] = timedelta(seconds=60)
    """A recovered model takes its traffic back over this long, 0s to 1h; 0s is at once."""
    warm: Warm = Warm(every=timedelta(0))
    """Keeping idle models awake. It costs requests at the providers, so it is off until asked for."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            field=".models",
            message="the first model is the primary: take `fallback: false` off it, or put another model first",
            cel="!has(self.models[0].fallback) || self.models[0].fallback",
            holds=lambda spec: spec.models[0].fallback,
        ),
    )

    def circuit_of(self, model: Model) -> Circuit:
        """The circuit of one model of this group: its own fields where it has them, the group's for the rest."""
        own = model.circuit
        return self.circuit if own is None else self.circuit.model_copy(update=own.model_dump(exclude_unset=True))


class ModelGroup(Resource):
    """A prioritised chain of models behind one name. Clients send the group's name as `model`; the router asks
    the first model, and the next one when it fails.
    """

    api_version: Literal["turnout.dev/v1alpha1"]
    kind: Literal["ModelGroup"]
    spec: ModelGroupSpec
    """The chain of models and how it fails over."""
    status: ModelGroupStatus | None = None
    """What became of it. Written by the operator."""
