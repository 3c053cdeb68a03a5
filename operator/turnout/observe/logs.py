"""Log records → one line of JSON each, for the log collectors of clusters."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from turnout.infra.redaction import redacted


class JsonLines(logging.Formatter):
    """time, level, logger, message; the decision if it is about one, the traceback if there is one. What looks like a
    token is hidden.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(record.getMessage(), ()),
        }
        if decision := getattr(record, "decision", None):
            line["decision"] = decision
        if record.exc_info:
            line["traceback"] = redacted(self.formatException(record.exc_info), ())
        return json.dumps(line, ensure_ascii=False)


def configure(level: str) -> None:
    """Log to stderr from this level on; libraries from WARNING on, as kopf tells every event that it sees."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("turnout").setLevel(level)
