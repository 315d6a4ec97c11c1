"""Logs one warning per cause: repetitions within an hour are counted instead.

A warning calls a person, who needs it once. A line that names a checkpoint is written all the same,
as information, so that everything about a checkpoint is found by its path; any other is left out.
The next warning of the same cause, an hour later at the earliest, has the count of those in
between as `repeated`.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0
_MOST = 1000
_VARIES = re.compile(r"/\S*|\d+")
_CAUSES = ("error", "warning", "message", "problems", "why")


class OneWarningACause(logging.Filter):
    """Lowers or leaves out the warnings and errors that repeat one of the last hour.

    Args:
        clock: seconds, by a clock that only runs on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._warned: dict[tuple[str, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written; its level may be another one afterwards."""
        if record.levelno < logging.WARNING:
            return True
        facts = record.msg if isinstance(record.msg, dict) else None
        cause = _cause_of(record.name, facts or {"event": record.msg})
        now = self._clock()
        at, repeated = self._warned.pop(cause, (-HOUR, 0))
        if now - at < HOUR:
            self._warned[cause] = (at, repeated + 1)
            if facts is None or not facts.get("path"):
                return False
            record.levelno, record.levelname = logging.INFO, "INFO"
            facts["level"] = "info"
            return True
        if len(self._warned) >= _MOST:
            del self._warned[next(iter(self._warned))]
        self._warned[cause] = (now, 0)
        if repeated and facts is not None:
            facts["repeated"] = repeated
        return True


def _cause_of(logger: str, facts: dict[str, Any]) -> tuple[str, ...]:
    """What makes two warnings one: the same event and reason, whatever the paths and numbers."""
    reason = facts.get("reason") or next((facts[key] for key in _CAUSES if facts.get(key)), "")
    series = "" if facts.get("path") else str(facts.get("series", ""))
    words = (logger, str(facts.get("event", "")), str(facts.get("watch", "")), series)
    return (*words, _VARIES.sub("#", str(reason)))
