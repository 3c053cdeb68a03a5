"""Golden cases: the switch that rewrites them."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --update: write what comes out in place of comparing it. Read the diff before you commit it."""
    parser.addoption("--update", action="store_true", help="rewrite the golden files")
