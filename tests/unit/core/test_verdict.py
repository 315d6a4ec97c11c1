"""The rule from results to a verdict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core.check_result import CheckResult, Outcome, failed, passed, skipped
from checkpointd.core.verdict import Verdict, decide

outcomes = st.lists(
    st.sampled_from(
        [
            passed("integrity"),
            passed("load"),
            failed("finite", "nan", "x."),
            failed("integrity", "golden_unbound", "x."),
            failed("load", "unknown_object", "x."),
            failed("integrity", "checksum_mismatch", "x."),
            skipped("predictions", "x."),
            failed("inference", "environment", "x."),
            failed("integrity", "not_readable", "x."),
        ]
    ),
    max_size=6,
)


@given(outcomes)
def test_a_verdict_is_valid_only_where_nothing_failed_and_the_content_is_intact(
    checks: list[CheckResult],
) -> None:
    """Any fail is invalid, any error or nothing shown is inconclusive."""
    verdict, reason, _, shown = decide(checks)
    found = {check.outcome for check in checks}
    if Outcome.FAIL in found:
        assert verdict is Verdict.INVALID
        assert reason
    elif Outcome.ERROR in found or "intact" not in shown:
        assert verdict is Verdict.INCONCLUSIVE
    else:
        assert verdict is Verdict.VALID


def test_fail_on_turns_a_warning_into_a_failure() -> None:
    """The user chooses which warnings count."""
    checks = [passed("integrity"), failed("load", "compile_failed", "x.")]
    assert decide(checks)[0] is Verdict.VALID
    assert decide(checks, fail_on=["load"])[0] is Verdict.INVALID


@given(outcomes)
def test_a_note_changes_no_verdict(checks: list[CheckResult]) -> None:
    """What could not be shown on this machine is reported, and the other checks decide."""
    notes = [failed("inference", "out_of_memory", "x."), failed("predictions", "environment", "x.")]
    assert decide([*checks, *notes])[0] is decide(checks)[0]
    assert decide([*checks, *notes])[3] == decide(checks)[3]


def test_a_valid_checkpoint_has_the_reason_of_its_first_warning_or_else_of_its_first_note() -> None:
    """So that one line of a report says what was not shown."""
    note = failed("inference", "not_run", "note.")
    warning = failed("resume", "step_failed", "warning.")
    assert decide([passed("integrity"), note])[:3] == (Verdict.VALID, note.reason, "note.")
    assert decide([passed("integrity"), note, warning])[1] == warning.reason


def test_what_our_reader_does_not_know_keeps_intact_from_being_shown() -> None:
    """It is no failure, and nothing is called valid that was not read."""
    note = failed("integrity", "not_readable", "An unknown layout.")
    found = decide([passed("structure"), note, passed("load")])
    assert found == (Verdict.INCONCLUSIVE, note.reason, "An unknown layout.", ("loads",))
