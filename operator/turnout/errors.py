"""Every exception that Turnout raises on purpose, as one tree, each with the place that catches it.

    TurnoutError
    ├── UsageError          the user's input or machine; the command line prints it as one line, exit code 2
    ├── ClusterError        the API server did not do it; watch.worker tries the namespace again, with back-off
    │   ├── ConflictError       409: somebody else was faster
    │   ├── DeniedError         401, 403, 413, 422, unknown fields: it will not do it until something is changed
    │   └── NotFoundError       404: the object is gone
    ├── BrokenStateError    a Secret of ours cannot be read; watch.worker leaves the namespace as it is
    └── ScrapeError         a router did not answer; the caller goes on without it
        └── NonsenseError       it answered with what cannot be read

Mistakes in manifests are no exceptions: they are verdicts (decide.verdict) that end as conditions or as lines of
`turnout check`.
"""


class TurnoutError(Exception):
    """Anything Turnout raises on purpose. The message is one line, for a person, without secrets."""


class UsageError(TurnoutError):
    """The command cannot be done as asked: a port in use, a missing variable. cli.main prints it, exit code 2."""


class ClusterError(TurnoutError):
    """The API server did not do what was asked, or could not be reached."""


class ConflictError(ClusterError):
    """The object is not what it was taken for: another version, or another one of the same name."""


class DeniedError(ClusterError):
    """The API server refuses: no right to it, or the object is not valid, or too large."""


class NotFoundError(ClusterError):
    """The object does not exist (any more)."""


class BrokenStateError(TurnoutError):
    """Turnout's own Secret holds what Turnout did not write. Issuing new tokens instead would cut everybody off."""


class ScrapeError(TurnoutError):
    """A router's status listener did not answer, or with something else."""


class NonsenseError(ScrapeError):
    """A router answered with something that cannot be read."""
