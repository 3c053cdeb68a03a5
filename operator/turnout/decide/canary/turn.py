"""What a rollout's rules go by. Pure data."""

from dataclasses import dataclass
from datetime import datetime

from turnout.api import CanaryRollout
from turnout.api.canaryrollout_status import Action, GateVerdict
from turnout.decide.canary.gates import Judgement
from turnout.decide.canary.state import Hashes, State
from turnout.decide.canary.telling import words
from turnout.decide.verdict import Finding


@dataclass(frozen=True)
class Turn:
    """What a rule goes by: the rollout, what it and its group are now, what the evidence says, the time, what is wrong
    elsewhere, and whether the canary costs nothing.
    """

    rollout: CanaryRollout
    found: Hashes
    judged: tuple[Judgement, ...]
    now: datetime
    problem: Finding | None = None
    free: bool = False

    @property
    def breaches(self) -> str:
        """What is breached, in words; empty: nothing."""
        return " ".join(words(one) for one in self.judged if one.verdict is GateVerdict.BREACH)

    @property
    def last(self) -> int:
        """The last step."""
        return len(self.rollout.spec.steps)

    def weight(self, step: int) -> int:
        """Percent that a step asks for."""
        return self.rollout.spec.steps[step - 1].weight

    def comparing(self, step: int) -> int:
        """Where a step's models are measured: in the last, the baseline gets nothing, so it is the one before."""
        return step - 1 if step == self.last > 1 else step

    def left_out(self, state: State) -> bool:
        """Whether there is a step that promote left for the last, and to which it goes back without."""
        return 0 < state.left < self.last

    def decided(self, state: State, action: Action, reason: str, message: str, *, left: int = 0) -> State:
        """The state with a decision, and the numbers behind it. left: the step that was left by going back."""
        return state.decided(action, reason, message, self.now, self.judged, left=left)
