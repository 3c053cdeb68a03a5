"""Fixtures for all tests. The Kubernetes ones cost nothing until a test asks for them."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["harness.fixtures"]

settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a slow machine is no failure
settings.load_profile("unhurried")
