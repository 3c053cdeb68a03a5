"""The Wasm filter that this package carries."""

from importlib import resources

from turnout.errors import UsageError


def filter_module() -> bytes:
    """Its bytes. Raises UsageError if it has not been built."""
    try:
        return (resources.files("turnout") / "filter" / "turnout.wasm").read_bytes()
    except FileNotFoundError as error:
        raise UsageError("the filter is missing from this installation; in a clone, `make filter` builds it") from error
