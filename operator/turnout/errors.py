"""Every exception that Turnout raises on purpose, as one tree, each with the place that catches it.

    TurnoutError
    └── UsageError        the user's input or machine; the command line prints it as one line, exit code 2

Mistakes in manifests are no exceptions: they are verdicts (decide.verdict) that end as conditions or as lines of
`turnout check`.
"""


class TurnoutError(Exception):
    """Anything Turnout raises on purpose. The message is one line, for a person, without secrets."""


class UsageError(TurnoutError):
    """The command cannot be done as asked: a port in use, a missing variable. cli.main prints it, exit code 2."""
