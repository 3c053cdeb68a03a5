"""Fixtures for all tests. The Kubernetes ones cost nothing until a test asks for them."""

pytest_plugins = ["harness.fixtures"]
