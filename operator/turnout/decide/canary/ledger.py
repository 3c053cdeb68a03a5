"""Looks at routers → the evidence of a step, each request counted once, and what is missing of it. Pure.

A router's counters begin at zero with its life and only grow. So a ledger keeps what each life had counted when it was
looked at last, and takes in what came since. That is the same after any pause, be it of the network or of the operator.

Evidence of a period, which is a step or a restart of one, begins with the first look after every router runs its
weight: what came before is of the change, and counts for nothing. Three books are never mixed: evidence; what is known
to be missing (routers that are silent or gone, requests of which nobody knows the period); what made no sense.
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
class Mark:
    """What one router had counted when it was looked at last, and in which period that was."""

    period: int
    arms: Arms = field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """What is known to be missing of a period's evidence.

    Attributes:
        silent: lives that did not answer the last look; it may still come.
        gone: lives that ended; what they counted after their last answer is lost.
        unplaced: requests counted while a router was silent over the beginning of the period.
    """

    silent: frozenset[str] = frozenset()
    gone: int = 0
    unplaced: int = 0


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
        period: counts up whenever evidence begins anew.
        open: whether there was a look in it.
        alone: the canary gets all first attempts, so it is compared with what the baseline did before.
        earlier: what the baseline did in the periods before, while it was the same.
        marks: by life.
    """

    period: int = 0
    open: bool = False
    alone: bool = False
    looked_at: datetime | None = None
    canary: ArmCounts = NOTHING
    baseline: ArmCounts = NOTHING
    earlier: ArmCounts = NOTHING
    marks: Mapping[str, Mark] = field(default_factory=dict)
    missing: Missing = Missing()
    broken: Broken = Broken()

    @property
    def compared(self) -> ArmCounts:
        """What the canary is compared with."""
        return self.earlier if self.alone else self.baseline

    def next_period(self, *, alone: bool, same_models: bool = True) -> "Ledger":
        """Evidence begins anew. same_models: the baseline is what it was, so what it did still tells something."""
        earlier = self.earlier if self.alone else self.earlier + self.baseline
        earlier = earlier if same_models else NOTHING
        return Ledger(self.period + 1, alone=alone, earlier=earlier, marks=self.marks, looked_at=self.looked_at)

    def looked(self, look: Look, group: str, run: str) -> "Ledger":
        """After a look at all routers."""
        book = replace(self, broken=replace(self.broken, now=False), looked_at=look.at)
        # One that answered an operator before this one is waited for until its pod is gone.
        waited = look.exist | (self.marks.keys() & look.unheard)
        for life in sorted(waited | look.said.keys()):
            if life in look.broken:
                book = _left_out(book, f"router {life}: {look.broken[life]}")
            said = None if life in look.broken else look.said.get(life)
            if said is None:
                book = _silent(book, life)
            else:
                book = _heard(book, life, {arm: said.get((group, run, arm), NOTHING) for arm in Arm})
        gone = book.marks.keys() - waited - look.said.keys()
        silent = (waited - look.said.keys()) | look.broken.keys()
        return replace(
            book,
            open=True,
            marks={life: mark for life, mark in book.marks.items() if life not in gone},
            missing=replace(book.missing, silent=silent, gone=book.missing.gone + len(gone)),
        )


def _heard(book: Ledger, life: str, arms: Arms) -> Ledger:
    wrong = next((f"{arm}: {counts.nonsense}" for arm, counts in arms.items() if counts.nonsense), "")
    if wrong:
        return _left_out(book, f"router {life}, {wrong}")
    mark = book.marks.get(life, _fresh(book))
    grown = {arm: counts.since(mark.arms.get(arm, NOTHING)) for arm, counts in arms.items()}
    counted = {arm: counts for arm, counts in arms.items() if counts != NOTHING}
    after = replace(book, marks={**book.marks, life: Mark(book.period, counted)})
    if mark.period == book.period:
        canary, baseline = book.canary + grown[Arm.CANARY], book.baseline + grown[Arm.BASELINE]
        return replace(after, canary=canary, baseline=baseline)
    if not book.open:  # the first look of a period
        return after
    unplaced = book.missing.unplaced + sum(counts.drawn for counts in grown.values())
    return replace(after, missing=replace(book.missing, unplaced=unplaced))


def _silent(book: Ledger, life: str) -> Ledger:
    return replace(book, marks={life: _fresh(book), **book.marks})


def _fresh(book: Ledger) -> Mark:
    """Of a router that was not there at the last look: it began in this period, if that look was in it."""
    return Mark(book.period if book.open else book.period - 1)


def _left_out(book: Ledger, words: str) -> Ledger:
    return replace(book, broken=Broken(book.broken.looks + 1, True, words[:LONGEST]))
