"""The limiters' numbers stand in three places: here, in the filter, and in what the rate limit service reads."""

import re
from pathlib import Path

import yaml

from harness.envoy import FILTER
from turnout.xds.limits import DOMAIN, MINUTE

CONFIG = Path(__file__).parents[3] / "manifests" / "rate-limit-service" / "config.yaml"


def test_the_rate_limit_service_counts_the_same_hits() -> None:
    """For each limit the minute that the routers' own buckets have, told apart by namespace, limit and key."""
    config = yaml.safe_load(CONFIG.read_text())
    [namespace] = config["descriptors"]
    found = {}
    for limit in namespace["descriptors"]:
        [each] = limit["descriptors"]
        assert (namespace["key"], limit["key"], each["key"]) == ("namespace", "limit", "key")
        assert each["rate_limit"]["unit"] == "minute"
        found[limit["value"]] = each["rate_limit"]["requests_per_unit"]
    assert (config["domain"], found) == (DOMAIN, MINUTE)


def test_the_filter_counts_the_same_hits() -> None:
    """limits.rs tells the limiters apart by these."""
    text = (FILTER.parent / "src" / "limits.rs").read_text()
    found = re.findall(r"const (RPM|TPM): Limiter = Limiter \{ whole: ([0-9_]+), ", text)
    assert {name.lower(): int(value) for name, value in found} == MINUTE
