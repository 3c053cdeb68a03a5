"""How often rollouts go back, and how soon: the real decision code on simulated traffic. For docs/canary.md.

Each run is a day of the first of four steps, at 5 %, with bursts, a daily tide, slow times and outages that hit both
arms alike. Looks are ten seconds apart for five minutes, then each comes 4 % later after the start than the one before:
between two looks hardly any evidence comes that the next one does not see as well. What is special about the beginning
of a step is seen in its first ten minutes, looked at every five seconds. Run it with PYTHONPATH=tests; the argument is
the number of runs.
"""

import math
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import NormalDist, median
from typing import Any

from harness.arms import Model, Traffic, Weather, binomial
from harness.manifests import group, model, rollout
from turnout.api import CanaryRollout, ModelGroup
from turnout.api.canaryrollout_status import RolloutPhase
from turnout.decide.canary.gates import error_share
from turnout.decide.canary.rollout import advance
from turnout.decide.canary.state import Seen, State
from turnout.decide.evidence import Arm, ArmCounts, Look

START = datetime(2026, 11, 2, tzinfo=UTC)
DAY_S = 86_400.0
BEGINNING_S = 600.0
WEIGHT = 5
USUAL = {
    "errorRate": {"maxIncrease": "0.01"},
    "latency": {"maxMeanRatio": "1.2", "maxP95Ratio": "1.2"},
    "cost": {"maxRatio": "1.5"},
}
HALF = {**USUAL, "errorRate": {"maxIncrease": "0.005"}}
STRICT = {
    "errorRate": {"maxIncrease": "0"},
    "latency": {"maxMeanRatio": "1", "maxP95Ratio": "1"},
    "cost": {"maxRatio": "1"},
}
GATES: dict[str, dict[str, Any]] = {"usual": USUAL, "half": HALF, "strict": STRICT}
GOOD = Model()


@dataclass(frozen=True)
class Case:
    """What is simulated."""

    name: str
    rate: float
    canary: Model = GOOD
    gates: str = "usual"
    keys: int = 0
    """Keys that stick to an arm, each with requests of its own length; 0: each request is drawn."""
    baseline: Model = GOOD
    weight: int = WEIGHT
    beginning: bool = False
    """Only the first ten minutes."""


@dataclass(frozen=True)
class Result:
    """What became of one run: when it went back, None: it did not; how many requests were drawn for the canary. fixed:
    whether tests for a fixed sample, looked at as often, would have sent it back.
    """

    back_s: float | None
    requests: int
    gates: tuple[str, ...]
    fixed: bool


def looks(case: Case) -> Iterator[float]:
    """Seconds after the start."""
    at = 0.0
    while case.beginning and at < BEGINNING_S:
        yield (at := at + 5.0)
    if case.beginning:
        return
    while at < DAY_S:
        at = max(at + 10.0, at * 1.04 if at > 300 else 0.0)
        yield min(at, DAY_S)


def simulate(case: Case, seed: int) -> Result:
    """One day."""
    rng = Random(f"{case.name}/{case.rate}/{seed}")
    weather, life = Weather(rng), "router/0"
    spec = manifest(case)
    chain = ModelGroup.parse(group("assistant", *(model(name, f"http://{name}/v1") for name in ("old", "gpt"))))
    scale = unequal_keys(case.keys, rng) if case.keys else dict.fromkeys(Arm, 1.0)
    traffic = {Arm.CANARY: Traffic(case.canary), Arm.BASELINE: Traffic(case.baseline)}
    state, before, fixed = started(spec, chain), 0.0, False
    for at in looks(case):
        weather.pass_time(at - before)
        total = weather.requests(case.rate, at - before, at)
        canary = binomial(rng, total, case.weight / 100)
        for arm, count in ((Arm.CANARY, canary), (Arm.BASELINE, total - canary)):
            slow = math.exp(weather.slow) * scale[arm]
            traffic[arm].serve(count, rng, at, slow=slow, failing=weather.failing)
        now, before = START + timedelta(seconds=at), at
        totals = {arm: traffic[arm].counts for arm in Arm}
        said = {("assistant", state.tag, arm): totals[arm] for arm in Arm}
        look = Look(now, frozenset({life}), {life: said})
        state = advance(spec, state, Seen(chain, applied=state.weight, look=look), now=now)
        fixed = fixed or rejected(totals[Arm.CANARY], totals[Arm.BASELINE], GATES[case.gates])
        if state.phase is RolloutPhase.ROLLED_BACK:
            gates = tuple(g.gate.value for g in state.decisions[0].analysis if g.verdict == "Breach")
            return Result(at, totals[Arm.CANARY].drawn, gates, fixed)
    return Result(None, traffic[Arm.CANARY].counts.drawn, (), fixed)


def started(spec: CanaryRollout, chain: ModelGroup) -> State:
    """In its first step, looked at once."""
    state = State()
    for _ in range(4):
        look = Look(START, frozenset({"router/0"}), {"router/0": {}})
        state = advance(spec, state, Seen(chain, applied=state.weight, look=look), now=START)
    return state


def manifest(case: Case) -> CanaryRollout:
    """The rollout."""
    steps = [*({"weight": weight, "hold": "25h"} for weight in (case.weight, 60, 80)), {"weight": 100}]
    return CanaryRollout.parse(rollout("r", modelGroup="assistant", model="gpt", steps=steps, gates=GATES[case.gates]))


def unequal_keys(keys: int, rng: Random) -> dict[Arm, float]:
    """How much longer the requests of each arm's keys take than the average: sizes by Zipf, lengths log-normal."""
    parts: dict[Arm, list[tuple[float, float]]] = {arm: [] for arm in Arm}
    for rank in range(1, keys + 1):
        arm = Arm.CANARY if rng.random() < WEIGHT / 100 else Arm.BASELINE
        parts[arm].append((1 / rank, math.exp(rng.gauss(0, 0.5))))
    return {arm: sum(s * f for s, f in p) / sum(s for s, _ in p) if p else 1.0 for arm, p in parts.items()}


Z = NormalDist().inv_cdf(1 - 0.05 / 4)


def rejected(canary: ArmCounts, baseline: ArmCounts, gates: dict[str, Any]) -> bool:
    """Whether a usual one-sided test for one look (errors, mean, cost) says so, at 5 % / 4 each, from 30 answers on."""
    if min(canary.ok, baseline.ok) < 30:
        return False
    e_c, e_b = error_share(canary), error_share(baseline)
    pooled = max((e_c.hits + e_b.hits) / (e_c.of + e_b.of), 1 / (e_c.of + e_b.of))
    error = math.sqrt(pooled * (1 - pooled) * (1 / e_c.of + 1 / e_b.of))
    if e_c.value - e_b.value - float(gates["errorRate"]["maxIncrease"]) > Z * error:
        return True
    ratio = float(gates["latency"]["maxMeanRatio"])
    (m_c, v_c), (m_b, v_b) = _moments(canary), _moments(baseline)
    if m_c - ratio * m_b > Z * math.sqrt(v_c + ratio**2 * v_b):
        return True
    ratio = float(gates["cost"]["maxRatio"])
    (m_c, v_c), (m_b, v_b) = _costs(canary), _costs(baseline)
    return m_c - ratio * m_b > Z * math.sqrt(v_c + ratio**2 * v_b)


def _moments(arm: ArmCounts) -> tuple[float, float]:
    n = arm.ok
    mean = arm.took.sum_ms / n
    return mean, (arm.took_squared / n - mean**2) / n


def _costs(arm: ArmCounts) -> tuple[float, float]:
    mean = arm.nano_usd / 1_000 / arm.tokens
    left = arm.micro_usd_squared - 2 * mean * arm.tokens_micro_usd + mean**2 * arm.tokens_squared
    return mean, left / arm.tokens**2


EQUAL = [Case("equal", rate, gates=gates) for gates in ("strict", "usual") for rate in (1, 10, 100)]
WORSE = [
    Case("errors 1 % → 2 %, half a point allowed", 10, GOOD.but(errors=0.02), "half"),
    Case("errors 1 % → 2 %, one point allowed", 10, GOOD.but(errors=0.02)),
    Case("errors 1 % → 5 %", 10, GOOD.but(errors=0.05)),
    Case("errors 1 % → 50 %", 10, GOOD.but(errors=0.5)),
    Case("p95 × 1.5", 10, GOOD.with_p95(1.5)),
    Case("mean × 1.3", 10, GOOD.but(slower=1.3)),
    Case("cost × 2", 10, GOOD.but(dearer=2.0)),
]
SLOW = GOOD.but(errors=0.001, answers_s=20)
FAIRLY = SLOW.but(errors=0.02)
BEGINNINGS = [
    Case("errors 0.1 % → 0.9 %, at once; answers after 20 s", 300, SLOW.but(errors=0.009), baseline=SLOW),
    Case("errors 2 % after 60 s → 2 % at once; answers after 20 s", 300, FAIRLY, baseline=FAIRLY.but(failures_s=60)),
    Case("errors 0.1 % → 50 %, at once; answers after 20 s", 10, SLOW.but(errors=0.5), baseline=SLOW),
]
BEGINNINGS = [replace(case, beginning=True, weight=weight) for case in BEGINNINGS for weight in (5, 50)]
KEYS = [Case("equal, 20 sticky keys of unlike requests", 10, keys=20)]


def one(job: tuple[Case, int]) -> Result:
    """A run, for a process of its own."""
    return simulate(*job)


def line(case: Case, results: list[Result]) -> str:
    """A row of the table."""
    back = [r for r in results if r.back_s is not None]
    fixed = sum(r.fixed for r in results) / len(results)
    name = case.name if case.weight == WEIGHT else f"{case.name}; weight {case.weight} %"
    cells = [name, case.gates, f"{case.rate:g}", f"{100 * len(back) / len(results):.1f} %", f"{100 * fixed:.1f} %"]
    cells += (
        [f"{median(r.requests for r in back):,.0f}", spelled(median(r.back_s or 0 for r in back))] if back else ["", ""]
    )
    gates = Counter(gate for r in back for gate in r.gates)
    return f"| {' | '.join(cells)} | {', '.join(f'{g} {n}' for g, n in gates.most_common())} |"


def spelled(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


def main(runs: int) -> None:
    """All cases."""
    print("| canary | gates | requests/s | went back | fixed-sample tests | median requests | median time | by |")
    print("|---|---|---|---|---|---|---|---|")
    with multiprocessing.Pool(2) as pool:
        for case in (*EQUAL, *WORSE, *BEGINNINGS, *KEYS):
            print(line(case, pool.map(one, [(case, seed) for seed in range(runs)], chunksize=10)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
