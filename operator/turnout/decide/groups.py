"""A ModelGroup → its group in the IR, or what keeps it from being compiled. Pure."""

from datetime import timedelta
from decimal import Decimal

from turnout.api import Model, ModelGroup, ModelGroupSpec
from turnout.decide.ir import PICODOLLARS_PER_TOKEN, Capacity, Circuit, Group, Lane, Member, Price
from turnout.decide.resolve import Secrets, resolve_lane
from turnout.decide.verdict import Finding


def compile_group(group: ModelGroup, secrets: Secrets) -> Group | Finding:
    """The group, or the first thing that is wrong with it."""
    spec = group.spec
    members = []
    for position, model in enumerate(spec.models):
        lane = resolve_lane(model, secrets, path=f"spec.models[{position}]")
        if isinstance(lane, Finding):
            return lane
        members.append(_member(spec, model, lane))
    return Group(
        name=group.metadata.name,
        members=tuple(members),
        attempts_per_model=spec.attempts_per_model,
        delivery=spec.delivery,
        first_token_ms=milliseconds(spec.timeouts.first_token),
        idle_ms=milliseconds(spec.timeouts.idle),
        request_ms=milliseconds(spec.timeouts.request),
        total_ms=milliseconds(spec.timeouts.overall),
    )


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds of a duration."""
    return duration // timedelta(milliseconds=1)


def _member(spec: ModelGroupSpec, model: Model, lane: Lane) -> Member:
    circuit = spec.circuit_of(model)
    return Member(
        name=model.name,
        lane=lane,
        fallback=model.fallback,
        circuit=Circuit(
            failures=circuit.failures,
            recovery_ms=milliseconds(circuit.recovery),
            half_open_requests=circuit.half_open_requests,
            ramp_ms=milliseconds(spec.ramp),
        ),
        price=_price(model),
        capacity=_capacity(model),
        warm_ms=milliseconds(spec.warm.every),
        window=model.context_window or 0,
        features=None if model.features is None else tuple(sorted(model.features)),
    )


def _capacity(model: Model) -> Capacity:
    capacity = model.capacity
    if capacity is None:
        return Capacity()
    return Capacity(
        requests_per_minute=capacity.requests_per_minute or 0, concurrent_requests=capacity.concurrent_requests or 0
    )


def _price(model: Model) -> Price:
    """A model without a price costs 0; cached input without a price of its own costs what input costs."""
    price = model.price
    if price is None:
        return Price()
    cached = price.input if price.cached_input is None else price.cached_input
    return Price(input=_pico(price.input), cached_input=_pico(cached), output=_pico(price.output))


def _pico(usd_per_million_tokens: Decimal) -> int:
    return int((usd_per_million_tokens * PICODOLLARS_PER_TOKEN).to_integral_value())
