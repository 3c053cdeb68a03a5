"""`turnout run`: what keys use is in their status, outlives a restart, and ends at their budget."""

from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest
import yaml

from harness.router import eventually

BUDGET = """\
apiVersion: turnout.dev/v1alpha1
kind: ScopedKey
metadata: {name: app}
spec: {scopes: ["*"], modelGroups: ["*"], limits: {usdPerMonth: "%s"}}
"""


def status(laptop) -> dict[str, Any]:
    """The key's status."""
    text = (laptop.home / "status" / "scopedkeys" / "app.yaml").read_text()
    return dict(yaml.safe_load(text)["status"])


def reasons(laptop) -> set[tuple[str, str]]:
    """Of its conditions."""
    return {(condition["type"], condition["reason"]) for condition in status(laptop)["conditions"]}


def month(laptop) -> tuple[int, Decimal]:
    """Requests and US dollars."""
    used = status(laptop).get("usage", {}).get("month", {"requests": 0, "usd": 0})
    return used["requests"], Decimal(used["usd"])


def told_cost(laptop, count: int) -> Decimal:
    """So many requests; what their answers say that they cost."""
    costs = []
    for _ in range(count):
        with laptop.sdk() as sdk:
            raw = sdk.chat.completions.with_raw_response.create(
                model="assistant", messages=[{"role": "user", "content": "hello"}], max_tokens=3
            )
        costs.append(Decimal(raw.headers["x-token-cost"]))
    return sum(costs, Decimal())


def test_what_a_key_used_outlives_restarts(laptop) -> None:
    """It is what its answers said that they cost, over two runs; and by group and model."""
    laptop.start()
    cost = told_cost(laptop, 5)
    assert laptop.stop() == 0
    assert month(laptop) == (5, cost)
    laptop.start()
    cost += told_cost(laptop, 3)
    assert laptop.stop() == 0
    assert month(laptop) == (8, cost)
    used = status(laptop)["usage"]["today"]
    assert [(m["group"], m["model"], m["requests"]) for m in used["models"]] == [("assistant", "first", 8)]
    assert used["tokens"] > 0


def test_a_budget_ends_a_key_until_it_is_raised(laptop) -> None:
    """The SDK gets insufficient_quota and does not try again; models and rights are still told."""
    laptop.write("key.yaml", BUDGET % "0.0001")
    laptop.start()
    told_cost(laptop, 3)
    sent: list[httpx.Request] = []
    retrying = laptop.sdk(max_retries=2, http_client=httpx.Client(event_hooks={"request": [sent.append]}))

    def refused() -> openai.RateLimitError | None:
        try:
            retrying.chat.completions.create(model="assistant", messages=[{"role": "user", "content": "hello"}])
        except openai.RateLimitError as error:
            return error
        return None

    error = eventually(refused, within=30)
    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")
    asked = len(laptop.seen("first"))
    sent.clear()
    with pytest.raises(openai.RateLimitError):
        retrying.chat.completions.create(model="assistant", messages=[{"role": "user", "content": "hello"}])
    assert len(sent) == 1
    assert len(laptop.seen("first")) == asked
    assert [m.id for m in retrying.models.list()] == ["assistant", "first", "second"]
    eventually(lambda: {("BudgetWarning", "Spent"), ("Ready", "BudgetSpent")} <= reasons(laptop))
    laptop.said("applied in")  # that the budget is spent; the next one is another
    laptop.lines.clear()
    laptop.write("key.yaml", BUDGET % "100")
    laptop.said("applied in")
    told_cost(laptop, 1)
    laptop.stop()
    assert "BudgetWarning" not in {c["type"] for c in status(laptop)["conditions"]}
