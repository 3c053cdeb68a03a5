"""Turnout: failover, scoped keys and canary rollouts for programs that call large language models."""

__version__ = "0.1.0"
