"""Looks at routers → the evidence of a period, each request counted once, and what is missing of it. Pure.

A period is a step, or a restart of one. Routers count for it what they draw in it, whenever that ends: under its tag,
from zero on in each life. So a ledger keeps what each life had counted when it was looked at last, and takes in what
came since. That is the same after any pause, be it of the network or of the operator. What was drawn in a period before
counts for nothing.

Three books are never mixed: evidence; what is known to be missing (of routers that are silent or gone); what made no
sense.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from turnout.decide.evidence import Arm, ArmCounts, Look

Arms = Mapping[Arm, ArmCounts]
NOTHING = ArmCounts()
LONGEST = 500
"""Characters of what is said of a broken measurement."""
NOBODY: Arms = {}


@dataclass(frozen=True)
class Missing:
    """What is known to be missing of a period's evidence.

    Attributes:
        silent: lives that did not answer the last look; it may still come.
        gone: lives that ended; what they counted after their last answer is lost.
    """

    silent: frozenset[str] = frozenset()
    gone: int = 0


@dataclass(frozen=True)
class Broken:
    """Answers that made no sense: how many, whether there was one at the last look, and the last one, for a person."""

    looks: int = 0
    now: bool = False
    words: str = ""


@dataclass(frozen=True)
class Ledger:
    """The evidence of a period.

    Attributes:
        period: counts up whenever evidence begins anew; no two periods of a run have the same.
        alone: the canary gets all first attempts, so it is compared with what the baseline did before.
        looked_at: when routers were looked at last in it; None: not yet.
        earlier: what the baseline did in the periods before, while it was the same.
        marks: by life, what it had counted for this period at its last answer; nothing of those known from before.
    """

    period: int = 0
    alone: bool = False
    looked_at: datetime | None = None
    canary: ArmCounts = NOTHING
    baseline: ArmCounts = NOTHING
    earlier: ArmCounts = NOTHING
    marks: Mapping[str, Arms] = field(default_factory=dict)
    missing: Missing = Missing()
    broken: Broken = Broken()

    @property
    def open(self) -> bool:
        """Whether there was a look in it."""
        return self.looked_at is not None

    @property
    def compared(self) -> ArmCounts:
        """What the canary is compared with."""
        return self.earlier if self.alone else self.baseline

    def next_period(self, *, alone: bool, same_models: bool = True) -> "Ledger":
        """Evidence begins anew. same_models: the baseline is what it was, so what it did still tells something."""
        # What is pending counts for no period.
        earlier = self.earlier if self.alone else self.earlier + replace(self.baseline, pending=0)
        marks = dict.fromkeys(self.marks, NOBODY)
        return Ledger(self.period + 1, alone=alone, earlier=earlier if same_models else NOTHING, marks=marks)

    def looked(self, look: Look, group: str, tag: str) -> "Ledger":
        """After a look at all routers. tag: that of the run and of this period."""
        book = replace(self, broken=replace(self.broken, now=False), looked_at=look.at)
        # One that answered an operator before this one is waited for until its pod is gone.
        waited = look.exist | (self.marks.keys() & look.unheard)
        for life in sorted(waited | look.said.keys()):
            if life in look.broken:
                book = _left_out(book, f"router {life}: {look.broken[life]}")
            said = None if life in look.broken else look.said.get(life)
            if said is None:
                book = replace(book, marks={life: NOBODY, **book.marks})
            else:
                book = _heard(book, life, {arm: said.get((group, tag, arm), NOTHING) for arm in Arm})
        gone = book.marks.keys() - waited - look.said.keys()
        for life in gone:
            ended = {arm: replace(book.marks[life].get(arm, NOTHING), pending=0) for arm in Arm}
            book = _heard(book, life, ended)
        silent = (waited - look.said.keys()) | look.broken.keys()
        return replace(
            book,
            marks={life: mark for life, mark in book.marks.items() if life not in gone},
            missing=Missing(silent, book.missing.gone + len(gone)),
        )


def _heard(book: Ledger, life: str, arms: Arms) -> Ledger:
    wrong = next((f"{arm}: {counts.nonsense}" for arm, counts in arms.items() if counts.nonsense), "")
    if wrong:
        return _left_out(book, f"router {life}, {wrong}")
    mark = book.marks.get(life, NOBODY)
    grown = {arm: counts.since(mark.get(arm, NOTHING)) for arm, counts in arms.items()}
    counted = {arm: counts for arm, counts in arms.items() if counts != NOTHING}
    return replace(
        book,
        canary=book.canary + grown[Arm.CANARY],
        baseline=book.baseline + grown[Arm.BASELINE],
        marks={**book.marks, life: counted},
    )


def _left_out(book: Ledger, words: str) -> Ledger:
    return replace(book, broken=Broken(book.broken.looks + 1, True, words[:LONGEST]))
