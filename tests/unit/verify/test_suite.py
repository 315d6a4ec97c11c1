"""The order of the suite: what blocks what, what an exception becomes, what is emitted."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from checkpointd.core.check_result import CheckResult, Outcome, failed, passed
from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.format_specs import Format
from checkpointd.core.request import End, Request
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.verify.suite import Context, Stop, printable, run


def context(**settings: Any) -> Context:
    """A context whose request names nothing."""
    return Context(
        Request(Checkpoint("m", Format.HDF5), Generation(()), VerifySettings(**settings))
    )


def fails(_: Context) -> CheckResult:
    """A check that fails."""
    return failed("integrity", "checksum_mismatch", "Broken.")


def raising(error: Exception) -> Any:
    """A check that raises."""

    def check(_: Context) -> CheckResult:
        raise error

    return check


def test_what_rests_on_a_failed_check_is_not_run_and_says_why() -> None:
    """A failed integrity keeps finite and load from running; its root is named."""
    emitted: list[CheckResult] = []
    run(
        context(),
        [
            ("structure", lambda _: passed("structure")),
            ("integrity", fails),
            ("finite", fails),
            ("load", fails),
            ("inference", fails),
        ],
        emitted.append,
    )
    assert [str(r.outcome) for r in emitted] == ["pass", "fail", "skip", "skip", "skip"]
    assert {r.message for r in emitted[2:]} == {"Not run, because integrity failed."}


def test_finite_blocks_nothing() -> None:
    """A model full of NaN is still loaded."""
    results = run(
        context(),
        [
            ("finite", lambda _: failed("finite", "nan", "NaN.")),
            ("drift", lambda _: passed("drift")),
        ],
        lambda _: None,
    )
    assert results["drift"].outcome is Outcome.PASS


def test_a_check_that_the_user_switched_off_blocks_nothing() -> None:
    """`skip` leaves a check out, and what rests on it runs all the same."""
    results = run(
        context(skip=("integrity",)),
        [("integrity", fails), ("finite", lambda _: passed("finite"))],
        lambda _: None,
    )
    assert [r.outcome for r in results.values()] == [Outcome.SKIP, Outcome.PASS]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EIO, "Input/output error", "/data/m.h5"), "load.unreadable"),
        (MemoryError(), "load.out_of_memory"),
        (ZeroDivisionError("division by zero"), "load.environment"),
    ],
)
def test_an_exception_is_an_error_and_never_the_checkpoints_fault(
    error: Exception, reason: str
) -> None:
    """Whatever a check raises becomes a reason of the closed list."""
    result = run(context(), [("load", raising(error))], lambda _: None)["load"]
    assert (result.outcome, result.reason) == (Outcome.ERROR, reason)
    assert result.message


def test_a_stop_ends_the_run_without_a_result() -> None:
    """What is no model gets no verdict."""
    emitted: list[CheckResult] = []
    with pytest.raises(Stop):
        run(context(), [("load", raising(Stop(End.UNKNOWN, "No model.")))], emitted.append)
    assert emitted == []


def test_text_from_a_file_is_printed_on_one_line_without_control_characters() -> None:
    """A name can hold anything: colours, new lines, bytes that are no text."""
    assert printable("a\n\x1b[31m\udcff") == "a\\n\\x1b[31m\\xff"
    assert printable("x" * 9, limit=3) == "xxx…"
