"""What a router counts by token, over many rotations: bounded, and known of which token."""

from datetime import UTC, datetime

import httpx

from harness.manifests import group, key
from harness.providers import Trio
from harness.router import Router, Serve, eventually
from turnout.api import ScopedKey
from turnout.apply.keyring import mint
from turnout.decide.issued import Issued, Token
from turnout.decide.rotation import begin
from turnout.observe.scrape import METRICS, samples
from turnout.observe.uses import REMEMBERED, UseBook

ROTATIONS = 30
KEY = ScopedKey.parse(key("app"))


def test_rotations_add_no_lines_and_every_request_is_known_of_its_token(serve: Serve, trio: Trio) -> None:
    """Thirty rotations of one key, whose first token drains all the while: the router's statistics are as long as after
    the third, and what is seen of each token is exactly what came with it.
    """
    manifests = [group("assistant", *trio.models), key("app"), *trio.secrets]
    router, book = serve(*manifests), UseBook()
    http = router.http(None)
    issued, lines, sent, seen = Issued(), [], {}, {}
    look(router, book)
    for number in range(ROTATIONS):
        now = datetime.now(UTC)
        issued = begin(KEY, issued, mint(None, now=now), emergency=False, now=now)
        router.publish(*manifests, issued={"app": issued})
        for token in issued.tokens:
            sent[token.id] = sent.get(token.id, 0) + use(http, token, times=number % 3 + 1)
        seen |= look(router, book)
        issued = issued.with_tokens(t for t in issued.tokens if t in (issued.tokens[0], issued.tokens[-1]))
        router.publish(*manifests, issued={"app": issued})
        lines.append(len(router.status.get("/stats/prometheus").text.splitlines()))
    assert seen == sent
    assert lines[2:] == [lines[2]] * (ROTATIONS - 2)


def use(http: httpx.Client, token: Token, *, times: int) -> int:
    """Requests with a token; how many."""
    headers = {"authorization": f"Bearer {token.token.get_secret_value()}"}
    eventually(lambda: http.get("/v1/auth/verify", headers=headers).status_code == 200)
    for _ in range(times):
        assert http.get("/v1/models", headers=headers).status_code == 200
    return times


def look(router: Router, book: UseBook) -> dict[str, int]:
    """How many requests were seen so far, by token."""
    now = datetime.now(UTC)
    book.add("router", samples(router.status.get(METRICS).text), now)
    uses = book.uses(["router"], now)
    return {token: uses.requests_since(token, now - REMEMBERED) for token in uses.last}
