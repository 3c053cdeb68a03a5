"""Limits of a key: requests and tokens a minute, taken before the call, shared by a router's workers."""

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from harness.asking import ask, code_of, post
from harness.manifests import group, key
from harness.providers import Trio
from harness.router import Router, Serve

KEYS = {
    "rpm-sdk": {"requestsPerMinute": 2},
    "rpm-burst": {"requestsPerMinute": 10},
    "rpm-shown": {"requestsPerMinute": 60},
    "rpm-fallback": {"requestsPerMinute": 3},
    "rpm-free": {"requestsPerMinute": 100},
    "rpm-refused": {"requestsPerMinute": 3},
    "tpm-sdk": {"tokensPerMinute": 600},
    "tpm-burst": {"tokensPerMinute": 1000},
    "tpm-prompt": {"tokensPerMinute": 3000},
    "tpm-shown": {"tokensPerMinute": 10000},
    "tpm-embeddings": {"tokensPerMinute": 1000},
    "tpm-small": {"tokensPerMinute": 100},
    "both": {"requestsPerMinute": 100, "tokensPerMinute": 100000},
    "swapped": {"requestsPerMinute": 5},
}
ONE = {"requestsPerMinute": 1}
TWICE = {"requestsPerMinute": 10}
MANY = [f"many-{n}" for n in range(40)]
SPEC = {"circuit": {"failures": 1000}}


@pytest.fixture(scope="module")
def router(serve: Serve, trio: Trio) -> Router:
    """A key for each test, on two workers."""
    keys = [key(name, limits=limits) for name, limits in {**KEYS, **dict.fromkeys(MANY, ONE)}.items()]
    return serve(group("assistant", *trio.models[:2], **SPEC), key("app"), *keys, *trio.secrets, workers=2)


def statuses(router: Router, name: str, count: int, **fields: object) -> Counter[int]:
    """So many calls at once, each on a connection of its own, and so on either worker."""

    def call(_: int) -> int:
        with router.http(name) as http:
            return post(http, **fields).status_code

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(call, range(count)))


def test_requests_above_the_limit_raise_rate_limit_error(router: Router, trio: Trio) -> None:
    """The SDK sees 429 rate_limit_exceeded with a Retry-After; no provider hears of it."""
    client = router.sdk("rpm-sdk")
    ask(client)
    ask(client)
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client)
    assert raised.value.code == "rate_limit_exceeded"
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60
    code_of(raised.value.response)
    assert len(trio.one.seen) == 2


def test_the_limit_is_one_for_all_workers(router: Router, trio: Trio) -> None:
    """Thirty at once over two workers, and exactly ten pass."""
    assert statuses(router, "rpm-burst", 30) == {200: 10, 429: 20}
    assert len(trio.one.seen) == 10


def test_each_of_many_keys_has_a_budget_of_its_own(router: Router) -> None:
    """None is forgotten for another's sake: Envoy remembers 20 by default."""
    for expected in (200, 429):
        assert {post(router.http(name)).status_code for name in MANY} == {expected}


def test_a_fallback_costs_no_second_request(router: Router, trio: Trio) -> None:
    """The limit counts what the client asked, not what the router tried."""
    trio.one.mode("503")
    client = router.sdk("rpm-fallback")
    assert [ask(client).attempts for _ in range(3)] == [2, 2, 2]
    assert post(router.http("rpm-fallback")).status_code == 429


def test_what_is_refused_for_other_reasons_costs_nothing(router: Router) -> None:
    """A mistake of the client's is told before any limit is touched."""
    http = router.http("rpm-refused")
    for _ in range(5):
        assert post(http, "nobody").status_code == 404
        assert http.get("/v1/models").status_code == 200
    assert [post(http).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_tokens_are_reserved_before_the_call(router: Router, trio: Trio) -> None:
    """max_tokens counts as if all of them came, though the answer has few."""
    client = router.sdk("tpm-sdk")
    ask(client, max_tokens=250)
    ask(client, max_completion_tokens=250)
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client, max_tokens=250)
    assert raised.value.code == "rate_limit_exceeded"
    assert len(trio.one.seen) == 2


def test_concurrent_requests_cannot_pass_the_token_limit_together(router: Router) -> None:
    """Twenty at once, 160 tokens and a short prompt each: five fit into 1,000."""
    assert statuses(router, "tpm-burst", 20, max_tokens=160) == {200: 5, 429: 15}


def test_the_prompt_is_counted_too(router: Router) -> None:
    """Eight thousand bytes are about two thousand tokens: one such request fits into 3,000, two do not."""
    http = router.http("tpm-prompt")
    assert [post(http, pad="x" * 8000, max_tokens=10).status_code for _ in range(2)] == [200, 429]


def test_a_request_larger_than_the_whole_budget_is_refused(router: Router) -> None:
    """It could never pass: it is told so, is not to be asked again, and takes nothing."""
    http = router.http("tpm-small")
    refused = post(http, max_tokens=5000)
    assert code_of(refused) == "rate_limit_exceeded"
    assert "Limit 100, Requested 50" in refused.json()["error"]["message"]
    assert refused.headers["x-should-retry"] == "false"
    assert post(http, max_tokens=10).status_code == 200


@pytest.mark.parametrize("most", ["1e9", "5.0e3", "1000000001", "4294967297", "1000000000000000000000000"])
def test_no_spelling_of_max_tokens_reserves_less_than_it_says(router: Router, trio: Trio, most: str) -> None:
    """An exponent or an overflow must not slip a large request through a small budget."""
    sent = f'{{"model":"assistant","messages":[],"max_tokens":{most}}}'
    http = router.http("tpm-small")
    assert http.post("/v1/chat/completions", content=sent).status_code in (400, 429)
    assert trio.one.seen == []


def test_a_key_without_limits_cannot_use_up_what_others_have(router: Router) -> None:
    """However much it says that it may use, neither it nor any other key without a limit is ever refused."""
    for _ in range(4):
        assert post(router.http(), max_tokens=900_000_000).status_code == 200
    assert post(router.http("rpm-free"), max_tokens=900_000_000).status_code == 200


def test_embeddings_reserve_no_answer(router: Router) -> None:
    """They have a prompt and nothing else: ten fit where a chat call with its default of 500 would take half."""
    http = router.http("tpm-embeddings")
    for _ in range(10):
        assert http.post("/v1/embeddings", json={"model": "assistant", "input": "x"}).status_code == 200


RESET = re.compile(r"^(\d+h)?(\d+m)?(\d+(\.\d+)?s)?(\d+ms)?$")


def test_answers_carry_openais_headers_for_requests(router: Router) -> None:
    """x-ratelimit-limit/remaining/reset-requests, counting down; nothing about tokens, which have no limit here."""
    http = router.http("rpm-shown")
    first, second = post(http), post(http)
    assert first.headers["x-ratelimit-limit-requests"] == "60"
    assert first.headers["x-ratelimit-remaining-requests"] == "59"
    assert second.headers["x-ratelimit-remaining-requests"] in ("58", "59")
    assert RESET.match(first.headers["x-ratelimit-reset-requests"])
    assert not [n for n in first.headers if n.startswith("x-ratelimit") and n.endswith("tokens")]
    assert "x-ratelimit-limit" not in first.headers


def test_answers_carry_openais_headers_for_tokens(router: Router) -> None:
    """The same for tokens."""
    answer = post(router.http("tpm-shown"), max_tokens=1000)
    assert answer.headers["x-ratelimit-limit-tokens"] == "10000"
    assert 8900 <= int(answer.headers["x-ratelimit-remaining-tokens"]) <= 8990
    assert RESET.match(answer.headers["x-ratelimit-reset-tokens"])
    assert not [n for n in answer.headers if n.startswith("x-ratelimit") and n.endswith("requests")]


def test_both_limits_are_told_apart(router: Router) -> None:
    """A key with both has both, each under its own name; on streams too."""
    for stream in (False, True):
        headers = post(router.http("both"), max_tokens=10, stream=stream).headers
        assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-limit-tokens"]) == ("100", "100000")
        assert int(headers["x-ratelimit-remaining-requests"]) < 100
        assert 99000 < int(headers["x-ratelimit-remaining-tokens"]) <= 100000  # 1,667 come back each second


def test_a_key_without_limits_has_no_such_headers(router: Router) -> None:
    """Nothing is told where nothing is limited."""
    headers = post(router.http()).headers
    assert not [n for n in headers if "ratelimit" in n]


def test_a_refusal_carries_the_headers_too(router: Router) -> None:
    """A client that is told to wait is told of which limit."""
    http = router.http("rpm-sdk")
    answers = [post(http) for _ in range(3)]
    assert answers[-1].status_code == 429
    assert answers[-1].headers["x-ratelimit-limit-requests"] == "2"
    assert answers[-1].headers["x-ratelimit-remaining-requests"] == "0"


def test_no_change_of_keys_gives_a_key_its_budget_anew(router: Router, trio: Trio) -> None:
    """Others come, go, and get other limits; its own is raised: what it has used of its minute stays used."""
    assert statuses(router, "swapped", 5) == {200: 5}
    others = {name: limits for name, limits in KEYS.items() if name != "rpm-shown"}
    for changes in ({"added": {"requestsPerMinute": 7}}, {"rpm-free": {"requestsPerMinute": 200}}, {"swapped": TWICE}):
        keys = [key(name, limits=limits) for name, limits in {**others, **changes}.items()]
        router.publish(group("assistant", *trio.models, **SPEC), key("app"), *keys, *trio.secrets)
        time.sleep(0.1)
        assert post(router.http("swapped")).status_code == 429
