"""ScopedKey: what one program may call, and the tokens issued for it. Pure."""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from turnout.api.common import Conditions, Flag, Generation, ObjectName, Resource, SecretName
from turnout.api.quantities import Amount, Measure, Time, Whole, Within, cel_seconds
from turnout.api.schema import ATOMIC, Part, Rule, StatusPart, Text, Unique

RESERVED_PREFIX = "turnout-"
"""Secrets of these names hold routers' configuration and issued tokens; a key must never share one."""
GroupName = Annotated[
    str,
    Text(
        pattern=r"^(\*|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*)$",
        words='must be the name of a ModelGroup in this namespace, or "*" for all of them',
        max_length=63,
    ),
]
_OVERLAP_MIN = "(has(self.min) ? self.min : '10m')"
_OVERLAP_MAX = "(has(self.max) ? self.max : '24h')"
PositiveLimit = Annotated[int, Whole(1, 1_000_000_000)]
Count = Annotated[int, Whole(0, 2**53)]
MOST_MODELS = 50
"""Entries of a period in status: what a person can read. A guess."""


class Scope(StrEnum):
    """What a key may do."""

    CHAT_CREATE = "chat:create"
    EMBEDDINGS_CREATE = "embeddings:create"
    MODELS_LIST = "models:list"
    ALL = "*"


class KeyPhase(StrEnum):
    """Where a key is in its life."""

    PENDING = "Pending"
    ACTIVE = "Active"
    ROTATING = "Rotating"
    EXPIRED = "Expired"
    REVOKED = "Revoked"


class TokenState(StrEnum):
    """Where one issued token is in its life."""

    PENDING = "Pending"
    ACTIVE = "Active"
    DRAINING = "Draining"
    REVOKED = "Revoked"


class OnStillUsed(StrEnum):
    """What becomes of an old token that is still used at the end of its overlap."""

    WAIT = "Wait"
    REVOKE = "Revoke"


class ConsumerKind(StrEnum):
    """Workloads that can be restarted for a new token."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"


class Limits(Part):
    """How much one key may use."""

    requests_per_minute: PositiveLimit | None = None
    """Requests per minute, 1 to 1000000000, over all routers of the namespace; as many may come at once. Without a rate
    limit service each router allows its even part, so set it to the number of routers at least. Default: no limit."""
    tokens_per_minute: PositiveLimit | None = None
    """Tokens per minute, prompt and answer together, 1 to 1000000000, over all routers of the namespace. Reserved
    before the call: the prompt's estimate plus max_tokens. Without a rate limit service each router allows its even
    part, and refuses a request that is larger than that. Default: no limit."""
    usd_per_month: Annotated[Decimal, Amount("0.000001", "1000000000", 6)] | None = None
    """US dollars per calendar month (UTC), such as "500", over all routers. From 80 % on condition BudgetWarning holds;
    at 100 % routers answer 429 insufficient_quota until the month ends or this is raised. Counted every 5 seconds, so
    what is asked for within about 6 seconds, and what is under way, goes beyond it. Default: no limit."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="set requestsPerMinute, tokensPerMinute or usdPerMonth, or leave limits out",
            cel="has(self.requestsPerMinute) || has(self.tokensPerMinute) || has(self.usdPerMonth)",
            holds=lambda limits: bool(limits.requests_per_minute or limits.tokens_per_minute or limits.usd_per_month),
        ),
    )


class Overlap(Part):
    """How long the old token lives after the new one is in use."""

    min: Annotated[timedelta, Within("0s", "30d")] = timedelta(minutes=10)
    """At least this long, and until no request with it was seen for as long, 0s to 30d."""
    max: Annotated[timedelta, Within("1m", "90d")] = timedelta(hours=24)
    """At most this long if it is not used, 1m to 90d: then also if routers could not be watched all the time."""
    on_still_used: OnStillUsed = OnStillUsed.WAIT
    """What to do if it is still used after max. Wait: it lives on, and condition OldTokenStillUsed says so. Revoke: it
    is revoked all the same."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="overlap.min must not be longer than overlap.max; left out, they are 10m and 24h",
            cel=f"{cel_seconds(_OVERLAP_MIN)} <= {cel_seconds(_OVERLAP_MAX)}",
            holds=lambda overlap: overlap.min <= overlap.max,
        ),
    )


class Consumer(Part):
    """A workload that uses the key's Secret."""

    kind: ConsumerKind
    """Deployment, StatefulSet or DaemonSet."""
    name: ObjectName
    """Its name, in the namespace of this key."""


class Rotation(Part):
    """When a new token replaces the old one, and how."""

    every: Annotated[timedelta, Within("10m", "3650d")] | None = None
    """A new token this often, 10m to 3650d, such as 30d. Keys that are overdue together begin some a minute, not all at
    once. Default: never by time."""
    trigger: Annotated[str, Field(strict=True, max_length=253)] | None = None
    """Any change of this text rotates now, for example a date. At most 253 characters. Default: none."""
    emergency: Flag = False
    """true: a rotation by trigger revokes the old token at once, before programs have the new one, and consumers are
    restarted all at one time. For a token that has leaked."""
    overlap: Overlap = Overlap()
    """How long the old token lives after the new one is in use."""
    consumers: Annotated[tuple[Consumer, ...], Field(max_length=32), Unique(("kind", "name"))] = ()
    """Workloads that are restarted one by one, and waited for, to take the new token. At most 32. Default: none."""
    rollout_timeout: Annotated[timedelta, Within("10s", "24h")] = timedelta(minutes=10)
    """How long one workload may take to restart, 10s to 24h; then the rotation goes back to the old token, unless that
    is dead by an emergency or the end of its lifetime."""


class Copy(Part):
    """A further Secret with the same content."""

    name: SecretName
    """Its name."""
    namespace: ObjectName | None = None
    """Its namespace. Another one than the key's must allow it, because whoever may label it decides what is written
    there: kubectl label namespace TARGET KEYS-NAMESPACE.keys.turnout.dev/copies=allowed. Default: that of the key."""


class ScopedKeySpec(Part):
    """What the holder of the key may do."""

    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=8), Unique()]
    """What may be called: chat:create (chat, completions, responses), embeddings:create, models:list; "*" is all."""
    model_groups: Annotated[tuple[GroupName, ...], Field(min_length=1, max_length=64), Unique()]
    """ModelGroups of this namespace that may be used, 1 to 64 names, or "*" for all of them."""
    limits: Limits | None = None
    """How much may be used. Default: no limits."""
    expires_at: Time | None = None
    """When the key stops working, such as 2027-02-20T00:00:00Z; routers hold to it by themselves. Not together with
    lifetime. Default: never."""
    lifetime: Annotated[timedelta, Within("1m", "3650d")] | None = None
    """How long each issued token works, counted from its issue, 1m to 3650d, such as 90d. A new one replaces it when
    two thirds of that are over. Not together with expiresAt. Default: for ever."""
    secret_name: SecretName | None = None
    """The Secret that the operator makes, with OPENAI_API_KEY and OPENAI_BASE_URL. Default: the key's name."""
    copies: Annotated[tuple[Copy, ...], Field(max_length=16, json_schema_extra=ATOMIC)] = ()
    """Further Secrets with the same content, in this namespace or in others that allow it. They change together: if one
    cannot be written, all keep the old token. At most 16. Default: none."""
    rotation: Rotation | None = None
    """When a new token replaces the old one, and how. Default: only when two thirds of its lifetime are over, if it has
    one."""
    revoked: Flag = False
    """true: every token of this key is refused by every router at once."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="set expiresAt or lifetime, not both",
            cel="!(has(self.expiresAt) && has(self.lifetime))",
            holds=lambda spec: spec.expires_at is None or spec.lifetime is None,
        ),
        Rule(
            field=".rotation",
            message="set rotation.every or rotation.trigger, or leave rotation out: without them nothing rotates",
            cel="!has(self.rotation) || has(self.rotation.every) || has(self.rotation.trigger) || has(self.lifetime)",
            holds=lambda spec: (
                not spec.rotation or bool(spec.rotation.every or spec.rotation.trigger is not None or spec.lifetime)
            ),
        ),
        Rule(
            field=".rotation.every",
            message="rotation.every must be shorter than lifetime, or tokens die before they are replaced",
            cel="!has(self.lifetime) || !has(self.rotation) || !has(self.rotation.every) || "
            f"{cel_seconds('self.rotation.every')} < {cel_seconds('self.lifetime')}",
            holds=lambda spec: (
                not (spec.lifetime and spec.rotation and spec.rotation.every) or spec.rotation.every < spec.lifetime
            ),
        ),
    )


class TokenStatus(StatusPart):
    """One issued token; never the token itself."""

    id: Annotated[str, Field(strict=True, max_length=64)]
    """The token's public identifier, as in metrics and logs."""
    state: TokenState
    """Pending: issued, not yet on every router. Active: in use. Draining: replaced, still valid. Revoked: refused."""
    issued_at: Time
    """When it was issued."""
    last_used_at: Time | None = None
    """When it was last used, to about a minute. Absent: never, or not observed."""


class RevocationStatus(StatusPart):
    """A token that every router was seen to refuse."""

    token: Annotated[str, Field(strict=True, max_length=64)]
    """Its id."""
    asked_at: Time
    """When the operator learnt that it must die."""
    took_ms: Annotated[int, Whole(0, 2**53)]
    """Milliseconds from then until the last router answered 401 to it."""


class ModelUse(StatusPart):
    """What came of one model in one group."""

    group: Annotated[str, Field(strict=True, max_length=253)]
    """The ModelGroup."""
    model: Annotated[str, Field(strict=True, max_length=253)]
    """The model that answered."""
    requests: Count
    """Answered requests."""
    tokens: Count
    """Tokens, prompt and answer together."""
    usd: Measure
    """Cost in US dollars, at the prices of the group."""


class PeriodUse(StatusPart):
    """What a key used in a day or a month."""

    since: Time
    """When the period began: midnight in UTC."""
    requests: Count
    """Answered requests."""
    tokens: Count
    """Tokens, prompt and answer together, as providers reported them."""
    usd: Measure
    """Cost in US dollars, at the prices of the groups."""
    models: Annotated[tuple[ModelUse, ...], Field(max_length=MOST_MODELS), Unique(("group", "model"))] = ()
    """By group and model, the dearest first; at most 50 of them."""


class KeyUsage(StatusPart):
    """What the key used, over all routers."""

    today: PeriodUse
    """Since midnight, UTC."""
    month: PeriodUse
    """Since the first of the month, UTC."""


class ScopedKeyStatus(StatusPart):
    """What became of the key."""

    observed_generation: Generation | None = None
    """The metadata.generation that this status is about."""
    conditions: Conditions = ()
    """Accepted, ResolvedRefs, Programmed, Ready, and Rotating, RotationBlocked, RotationFailed, OldTokenStillUsed,
    BudgetWarning, LimitBelowRouters, Reconciling or Stalled while they hold."""
    phase: KeyPhase | None = None
    """Where the key is in its life."""
    secret_name: SecretName | None = None
    """The Secret that holds the token."""
    tokens: Annotated[tuple[TokenStatus, ...], Field(max_length=16), Unique(("id",))] = ()
    """Issued tokens that routers still know, newest first."""
    expires_at: Time | None = None
    """When the token in use stops working. Absent: never."""
    last_revocation: RevocationStatus | None = None
    """How long it took, the last time that a token had to die at once. Absent: never yet."""
    usage: KeyUsage | None = None
    """What it used, today and this month. Written every 30 seconds at most. Absent: nothing this month. Routers are
    asked every 5 seconds, so one that dies takes that much with it at most. One that ends while no operator runs takes
    what it counted since the operator ended; if that was killed, up to 35 seconds more."""


def _secret_of(key: "ScopedKey") -> str:
    return key.spec.secret_name or key.metadata.name


class ScopedKey(Resource):
    """An API key for one program: what it may call, how much, and until when. The operator makes a Secret from it,
    ready for envFrom.
    """

    api_version: Literal["turnout.dev/v1alpha1"]
    kind: Literal["ScopedKey"]
    spec: ScopedKeySpec
    """What the holder of the key may do."""
    status: ScopedKeyStatus | None = None
    """What became of it. Written by the operator."""

    rules: ClassVar[tuple[Rule, ...]] = (
        *Resource.rules,
        Rule(
            field=".spec.secretName",
            message=f"Secrets named {RESERVED_PREFIX}… belong to the operator: set secretName to another name",
            cel="!(has(self.spec.secretName) ? self.spec.secretName : self.metadata.name)"
            f".startsWith('{RESERVED_PREFIX}')",
            holds=lambda key: not _secret_of(key).startswith(RESERVED_PREFIX),
        ),
        Rule(
            field=".spec.copies",
            message=f"Secrets named {RESERVED_PREFIX}… belong to the operator: give the copy another name",
            cel=f"!has(self.spec.copies) || self.spec.copies.all(c, !c.name.startsWith('{RESERVED_PREFIX}'))",
            holds=lambda key: not any(c.name.startswith(RESERVED_PREFIX) for c in key.spec.copies),
        ),
        Rule(
            field=".spec.copies",
            message="a copy must be another Secret than the key's own secretName",
            cel="!has(self.spec.copies) || self.spec.copies.all(c, has(c.namespace) || c.name != "
            "(has(self.spec.secretName) ? self.spec.secretName : self.metadata.name))",
            holds=lambda key: not any(c.namespace is None and c.name == _secret_of(key) for c in key.spec.copies),
        ),
    )
