"""What the end of a child says about a checkpoint, and what does not."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from checkpointd.core.check_result import CheckResult, Outcome, failed, passed
from checkpointd.core.report import Facts
from checkpointd.core.request import End
from checkpointd.core.suite import LOAD_CHECKS, SCAN_CHECKS, checks_of
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch import child_outcome
from checkpointd.dispatch.child_result import ChildResult
from checkpointd.dispatch.limits import limits_for
from checkpointd.worker.protocol import LOAD, SCAN, ChildLimits, Finished

GIB = 1 << 30


@pytest.mark.parametrize(
    ("run", "reason", "outcome"),
    [
        (ChildResult(timed_out=True, signal=9), "structure.timeout", Outcome.ERROR),
        (ChildResult(signal=signal.SIGXCPU), "structure.timeout", Outcome.ERROR),
        (ChildResult(signal=signal.SIGKILL), "structure.out_of_memory", Outcome.ERROR),
        (ChildResult(memory_exceeded=True, signal=9), "structure.out_of_memory", Outcome.ERROR),
        (ChildResult(signal=signal.SIGSEGV), "structure.crashed", Outcome.FAIL),
        (ChildResult(signal=signal.SIGABRT), "structure.crashed", Outcome.FAIL),
        (ChildResult(signal=signal.SIGVTALRM), "structure.malformed", Outcome.FAIL),
        (ChildResult(signal=signal.SIGSYS), "structure.environment", Outcome.ERROR),
        (ChildResult(signal=signal.SIGTERM), "structure.environment", Outcome.ERROR),
        (ChildResult(protocol_error="not JSON", signal=9), "structure.environment", Outcome.ERROR),
        (ChildResult(quota_exceeded="it wrote", signal=9), "structure.environment", Outcome.ERROR),
        (ChildResult(lost=True), "structure.environment", Outcome.ERROR),
        (ChildResult(exit_code=3), "structure.environment", Outcome.ERROR),
        (ChildResult(), "structure.environment", Outcome.ERROR),
    ],
)
def test_each_way_to_die_has_its_own_reason(
    run: ChildResult, reason: str, outcome: Outcome
) -> None:
    """A kill that was not ours is no bad model; a crash that comes again is."""
    result = child_outcome.early_exit_result(SCAN_CHECKS, run, (), 30.0)
    assert result is not None
    assert (result.reason, result.outcome) == (reason, outcome)
    assert result.message.endswith(".")


def test_the_check_that_was_running_is_the_one_to_blame() -> None:
    """The first check without a result, skipping what was switched off."""
    run = ChildResult(checks=[passed("structure")], signal=signal.SIGSEGV)
    result = child_outcome.early_exit_result(SCAN_CHECKS, run, ("integrity", "safety"), 30.0)
    assert result is not None
    assert result.name == "finite"


def test_the_last_words_of_a_crash_are_kept() -> None:
    """What native code printed last is part of the sentence."""
    run = ChildResult(signal=signal.SIGABRT, stderr="noise\nCheck failed: size >= 0")
    result = child_outcome.early_exit_result(LOAD_CHECKS, run, (), 30.0)
    assert result is not None
    assert "Check failed: size >= 0" in result.message


def test_a_finished_run_is_no_death() -> None:
    """Whatever happens after the last answer does not matter."""
    assert (
        child_outcome.early_exit_result(
            SCAN_CHECKS, ChildResult(finished=Finished(End.DONE, "", Facts())), (), 30.0
        )
        is None
    )


def test_only_a_crash_earns_a_second_look() -> None:
    """A time-out, a broken protocol or a kill from outside is not run twice."""
    assert child_outcome.is_crash(ChildResult(signal=signal.SIGSEGV))
    assert not child_outcome.is_crash(ChildResult(signal=signal.SIGKILL))
    assert not child_outcome.is_crash(ChildResult(signal=signal.SIGSEGV, timed_out=True))


def test_what_the_user_asked_for_is_not_lost_in_silence() -> None:
    """A child that dies of memory in a check that decides nothing takes those after it along."""
    run = ChildResult(checks=[passed("load"), passed("signatures")], memory_exceeded=True)
    names = (*checks_of(LOAD, VerifySettings()), "evaluate", "mine", "off")
    died = child_outcome.early_exit_result(names, run, (), 30.0)
    assert died is not None
    assert (died.reason, died.outcome) == ("inference.out_of_memory", Outcome.SKIP)
    lost = {
        check.name: check for check in child_outcome.lost_checks(names, died, run.checks, ("off",))
    }
    assert lost["predictions"].outcome is Outcome.SKIP
    assert lost["off"].outcome is Outcome.SKIP
    assert (lost["evaluate"].outcome, lost["evaluate"].reason) == (
        Outcome.ERROR,
        "evaluate.out_of_memory",
    )
    assert lost["mine"].outcome is Outcome.ERROR


@pytest.mark.parametrize(
    ("results", "name"),
    [
        ([passed("structure"), failed("integrity", "checksum_mismatch", "x.")], "integrity"),
        ([passed("structure"), failed("finite", "nan", "x.")], ""),
        ([failed("integrity", "golden_unbound", "x.")], ""),
    ],
)
def test_what_is_broken_is_not_loaded_but_a_nan_model_is(
    results: list[CheckResult], name: str
) -> None:
    """Structure, integrity and safety forbid loading; finite blocks nothing."""
    assert child_outcome.blocking_check(results) == name


def test_checks_that_did_not_run_say_why() -> None:
    """A report names each check of the suite, and what stood in its way."""
    names = checks_of(LOAD, VerifySettings())
    results = child_outcome.not_run(names, "integrity", [])
    assert [r.name for r in results] == list(names)
    assert all("integrity" in r.message for r in results)


def limits(stage: str, size: int, memory: int | str = "auto", **given: Any) -> ChildLimits:
    """The limits of a child on a machine that can spare 20 GiB."""
    return limits_for(stage, size, memory, 60, **{"spare": 20 * GIB, **given})


def test_a_child_may_hold_what_the_machine_can_spare_unless_a_number_is_configured() -> None:
    """Whatever the size of its checkpoint; children that run at a time share it."""
    assert limits(LOAD, 10**6).memory_bytes == limits(LOAD, 10**10).memory_bytes == 20 * GIB
    assert limits(LOAD, 1, share=4).memory_bytes == 5 * GIB
    assert limits(LOAD, 1, share=4, alone=True).memory_bytes == 20 * GIB
    assert limits(LOAD, 1, 2 * GIB).memory_bytes == 2 * GIB
    assert limits(LOAD, 1, 2 * GIB, alone=True).memory_bytes == 2 * GIB
    assert limits(LOAD, 1, spare=0).memory_bytes == GIB


def test_the_kernels_own_limit_is_never_what_a_small_model_meets_first() -> None:
    """It counts what is only mapped; for a child that runs alone it is off."""
    assert limits(LOAD, 1, GIB).data_bytes == 20 * GIB
    assert limits(LOAD, 1, spare=0).data_bytes == 2 * GIB
    assert limits(LOAD, 1, GIB, alone=True).data_bytes > 1 << 60


def test_the_scan_streams_and_needs_little() -> None:
    """Unless a number is configured, or it is tried again alone."""
    assert limits(SCAN, 10**12).memory_bytes == limits(SCAN, 10**12).data_bytes == GIB
    assert limits(SCAN, 1, alone=True).memory_bytes == 20 * GIB
    assert limits(SCAN, 1, 3 * GIB).memory_bytes == 3 * GIB


@pytest.mark.parametrize(
    ("told", "needed"),
    [
        (None, 10**9),
        (10**8, 10**9),
        (3 * 10**9, 3 * 10**9),
        (10**15, 10**11),
        ("much", 10**9),
    ],
)
def test_a_compressed_checkpoint_gets_the_memory_that_it_unpacks_to(
    told: object, needed: int
) -> None:
    """By what the scan says it holds; a scan that says more than any sound one is not believed."""
    details = {} if told is None else {"unpacked_bytes": told}
    assert child_outcome.memory_needed([passed("structure", "", **details)], 10**9) == needed
    assert child_outcome.memory_needed([], 10**9) == 10**9


def test_the_scan_may_unpack_as_much_as_any_sound_archive_holds() -> None:
    """Into a file without a name; the load side writes nothing of that size."""
    assert limits(SCAN, 10**6).file_bytes >= 256 << 20
    assert limits(SCAN, 10**8).file_bytes >= 10**10
    assert limits(LOAD, 10**8).file_bytes < 2 * 10**8


@pytest.mark.parametrize(
    ("run", "word"),
    [
        (ChildResult(signal=signal.SIGSEGV), "crashed"),
        (ChildResult(timed_out=True, signal=9), "timeout"),
        (ChildResult(exit_code=3), "environment"),
    ],
)
def test_a_check_of_the_users_own_that_ends_its_process_is_an_error_of_that_check(
    run: ChildResult, word: str
) -> None:
    """It says nothing of the checkpoint, a crash neither."""
    names = (*SCAN_CHECKS, "mine", "next")
    run.checks = [passed(name) for name in SCAN_CHECKS]
    result = child_outcome.early_exit_result(names, run, (), 30.0)
    assert result is not None
    assert (result.name, result.outcome, result.reason) == ("mine", Outcome.ERROR, f"mine.{word}")


@pytest.mark.parametrize(("recorded", "word"), [(True, "crashed"), (False, "not_run")])
def test_a_crash_on_inputs_that_were_made_up_convicts_nobody(recorded: bool, word: str) -> None:
    """TensorFlow ends its process for an input of the wrong rank, whatever the model."""
    names = LOAD_CHECKS
    done = tuple(passed(name) for name in names[: names.index("inference")])
    run = ChildResult(signal=signal.SIGABRT, checks=done)
    died = child_outcome.early_exit_result(names, run, (), 30.0, recorded=recorded)
    assert died is not None
    assert died.reason == f"inference.{word}"
    assert died.outcome is failed("inference", word, "").outcome
    assert "SIGABRT" in died.message
