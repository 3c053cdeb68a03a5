"""What keys use, counted over two routers and over a killed operator; and how far a budget is overshot."""

import time
from decimal import Decimal
from typing import Any

import openai

from harness.cluster import condition, find_condition
from harness.world import World, key

SYSTEM = "turnout-system"
BUDGET = Decimal("0.003")


def usage(here: World, name: str) -> dict[str, Any]:
    """What a key used this month, as its status says."""
    found = here.cluster.get("scopedkey", name, here.namespace) or {}
    return dict(found.get("status", {}).get("usage", {}).get("month", {"requests": 0, "usd": "0"}))


def spend(here: World, token: str, at_most: int) -> tuple[int, Decimal, float]:
    """Ask until the key is refused by both routers: answers, what they cost, seconds from budget to the last answer."""
    addresses = [f"http://{p['status']['podIP']}:8080/v1" for p in here.routers()]
    answers, cost, spent_at, last = 0, Decimal(0), 0.0, 0.0
    refused: set[str] = set()

    async def one(client: openai.AsyncOpenAI) -> Decimal | None:
        try:
            raw = await client.chat.completions.with_raw_response.create(
                model="assistant", messages=[{"role": "user", "content": "Say hello."}]
            )
        except openai.RateLimitError as error:
            if error.code != "insufficient_quota":
                raise
            return None
        return Decimal(raw.headers["x-token-cost"])

    while answers < at_most and len(refused) < len(addresses):
        for address in addresses:
            told = here.run(one, url=address, token=token)
            if told is None:
                refused.add(address)
                continue
            answers, cost, last = answers + 1, cost + told, time.monotonic()
            if cost >= BUDGET and not spent_at:
                spent_at = last
    return answers, cost, last - spent_at


def test_a_budget_holds_over_routers_and_a_killed_operator_counts_nothing_twice(here: World) -> None:
    """What status says in the end is what the answers said that they cost."""
    here.cluster.apply(key("spender", limits={"usdPerMonth": str(BUDGET)}), namespace=here.namespace)
    token = here.cluster.wait_for(lambda: here.secret("spender").get("OPENAI_API_KEY"), "the key's Secret")
    answers, cost, late = spend(here, token, 2000)
    print(f"a budget of {BUDGET} USD over two routers: {cost} USD in {answers} answers, the last {late:.1f} s too late")
    assert cost >= BUDGET
    assert late < 20  # routers are looked at each 5 s; as late as figures are written, it would be 30
    here.cluster.kubectl("delete", "pods", "--all", "-n", SYSTEM, "--grace-period=0", "--force")
    here.cluster.kubectl("rollout", "status", "deployment/turnout-operator", "-n", SYSTEM, "--timeout=90s")
    for _ in range(20):  # over its first run and its first look
        assert spend(here, token, 10)[0] == 0, "a new operator lets nobody in again"
        time.sleep(0.2)

    def counted() -> bool:
        found = usage(here, "spender")
        return (found["requests"], Decimal(found["usd"])) == (answers, cost)

    here.cluster.wait_for(counted, f"{answers} requests and {cost} USD in status", 60)
    spent = here.cluster.get("scopedkey", "spender", here.namespace) or {}
    assert (find_condition(spent, "BudgetWarning") or {})["reason"] == "Spent"
    assert condition(spent, "Ready") == "False"
    assert spend(here, token, 10)[0] == 0, "still refused by every router"
    time.sleep(12)  # two looks
    assert counted()
