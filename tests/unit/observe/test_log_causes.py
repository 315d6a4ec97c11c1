"""One warning for one cause, and every checkpoint in the log."""

from __future__ import annotations

import logging
from typing import Any

from checkpointd.observe.log_causes import HOUR, OneWarningACause


class Log:
    """A filter under a clock, and what passes it: level, path and count."""

    def __init__(self) -> None:
        self.now = 0.0
        self._filter = OneWarningACause(lambda: self.now)

    def note(self, event: str = "inconclusive", **facts: Any) -> tuple[str, int] | None:
        """Log a warning; return its level and count, None if it was left out."""
        message = {"event": event, "watch": "w", **facts}
        record = logging.LogRecord("l", logging.WARNING, "f", 1, message, (), None)  # type: ignore[arg-type]
        passed = self._filter.filter(record)
        return (record.levelname, message.get("repeated", 0)) if passed else None


def test_five_hundred_checkpoints_of_one_cause_are_one_warning_an_hour() -> None:
    """Each has its line, found by its path; a person is called once, and then with a count."""
    log = Log()
    facts = {"reason": "load.unknown_object"}
    assert log.note(path="/w/0", **facts) == ("WARNING", 0)
    for number in range(1, 500):
        assert log.note(path=f"/w/{number}", message=f"step {number}", **facts) == ("INFO", 0)
    log.now = HOUR
    assert log.note(path="/w/500", **facts) == ("WARNING", 499)
    assert log.note(path="/w/501", **facts) == ("INFO", 0)


def test_another_cause_is_another_warning() -> None:
    """Another reason, watch, event or series."""
    log = Log()
    assert log.note(path="/w/1", reason="finite.nan") == ("WARNING", 0)
    assert log.note(path="/w/1", reason="finite.inf") == ("WARNING", 0)
    assert log.note("pruning on hold", reason="clock", series="a") == ("WARNING", 0)
    assert log.note("pruning on hold", reason="clock", series="b") == ("WARNING", 0)


def test_what_names_no_checkpoint_is_left_out_when_it_repeats() -> None:
    """A ledger that cannot be written is tried again every five seconds."""
    log = Log()
    error = "The ledger cannot be written: disk full ({} bytes free)"
    assert log.note("ledger cannot be written", error=error.format(1)) == ("WARNING", 0)
    assert log.note("ledger cannot be written", error=error.format(2)) is None
    log.now = HOUR
    assert log.note("ledger cannot be written", error=error.format(3)) == ("WARNING", 1)


def test_the_causes_that_are_remembered_are_bounded() -> None:
    """A message that is never the same fills no memory."""
    log = Log()
    for number in range(3000):
        log.note("x" * number)
    assert len(log._filter._warned) <= 1000
