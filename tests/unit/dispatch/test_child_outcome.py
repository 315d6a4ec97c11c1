"""What the end of a child means for a checkpoint."""

from __future__ import annotations

import signal

import pytest

from checkpointd.core.check_result import CheckResult, Outcome, failed, passed
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.request import End
from checkpointd.core.suite import LOAD_CHECKS, SCAN_CHECKS, checks_of
from checkpointd.core.verify_settings import Evaluation, VerifySettings
from checkpointd.dispatch import child_outcome
from checkpointd.dispatch.child_result import ChildResult
from checkpointd.worker.protocol import LOAD, Finished

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
def test_each_early_end_has_its_reason(run: ChildResult, reason: str, outcome: Outcome) -> None:
    """A kill that was not ours is no bad model; a crash that comes again is."""
    result = child_outcome.early_exit_result(SCAN_CHECKS, run, (), 30.0)
    assert result is not None
    assert (result.reason, result.outcome) == (reason, outcome)
    assert result.message.endswith(".")


def test_the_check_that_was_running_gets_the_result() -> None:
    """The first check without a result, skipping what was switched off."""
    run = ChildResult(checks=[passed("structure")], signal=signal.SIGSEGV)
    result = child_outcome.early_exit_result(SCAN_CHECKS, run, ("integrity", "safety"), 30.0)
    assert result is not None
    assert result.name == "finite"


def test_the_last_output_of_a_crash_is_in_the_message() -> None:
    """What native code printed last is part of the sentence."""
    run = ChildResult(signal=signal.SIGABRT, stderr="noise\nCheck failed: size >= 0")
    result = child_outcome.early_exit_result(LOAD_CHECKS, run, (), 30.0)
    assert result is not None
    assert "Check failed: size >= 0" in result.message


def test_a_finished_child_did_not_end_early() -> None:
    """Whatever happens after the last answer does not matter."""
    assert (
        child_outcome.early_exit_result(
            SCAN_CHECKS, ChildResult(finished=Finished(End.DONE, "", Facts())), (), 30.0
        )
        is None
    )


def test_only_a_crash_is_tried_again() -> None:
    """A time-out, a broken protocol or a kill from outside is not run twice."""
    assert child_outcome.is_crash(ChildResult(signal=signal.SIGSEGV))
    assert not child_outcome.is_crash(ChildResult(signal=signal.SIGKILL))
    assert not child_outcome.is_crash(ChildResult(signal=signal.SIGSEGV, timed_out=True))


def test_a_check_that_the_user_asked_for_is_an_error_if_it_is_lost() -> None:
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
def test_a_broken_checkpoint_is_not_loaded_but_one_with_nan_is(
    results: list[CheckResult], name: str
) -> None:
    """Structure, integrity and safety forbid loading; finite blocks nothing."""
    assert child_outcome.blocking_check(results) == name


def test_checks_that_did_not_run_give_the_reason() -> None:
    """A report names each check of the suite, and what stood in its way."""
    names = checks_of(LOAD, VerifySettings())
    results = child_outcome.not_run(names, "integrity", [])
    assert [r.name for r in results] == list(names)
    assert all("integrity" in r.message for r in results)


@pytest.mark.parametrize(
    ("reported", "needed"),
    [
        (None, 10**9),
        (10**8, 10**9),
        (3 * 10**9, 3 * 10**9),
        (10**15, 10**11),
        ("much", 10**9),
    ],
)
def test_a_compressed_checkpoint_gets_the_memory_that_it_unpacks_to(
    reported: object, needed: int
) -> None:
    """By the size that the scan reports; a size that no sound checkpoint has is not believed."""
    details = {} if reported is None else {"unpacked_bytes": reported}
    assert child_outcome.memory_needed([passed("structure", "", **details)], 10**9) == needed
    assert child_outcome.memory_needed([], 10**9) == 10**9


@pytest.mark.parametrize(
    ("run", "word"),
    [
        (ChildResult(signal=signal.SIGSEGV), "crashed"),
        (ChildResult(timed_out=True, signal=9), "timeout"),
        (ChildResult(exit_code=3), "environment"),
    ],
)
def test_a_user_check_that_ends_its_process_is_an_error(run: ChildResult, word: str) -> None:
    """It proves nothing about the checkpoint, and neither does a crash."""
    names = (*SCAN_CHECKS, "mine", "next")
    run.checks = [passed(name) for name in SCAN_CHECKS]
    result = child_outcome.early_exit_result(names, run, (), 30.0)
    assert result is not None
    assert (result.name, result.outcome, result.reason) == ("mine", Outcome.ERROR, f"mine.{word}")


@pytest.mark.parametrize(("recorded", "word"), [(True, "crashed"), (False, "not_run")])
def test_a_crash_on_made_up_inputs_is_no_failure(recorded: bool, word: str) -> None:
    """TensorFlow ends its process for an input of the wrong rank, whatever the model."""
    names = LOAD_CHECKS
    done = tuple(passed(name) for name in names[: names.index("inference")])
    run = ChildResult(signal=signal.SIGABRT, checks=done)
    died = child_outcome.early_exit_result(names, run, (), 30.0, recorded=recorded)
    assert died is not None
    assert died.reason == f"inference.{word}"
    assert died.outcome is failed("inference", word, "").outcome
    assert "SIGABRT" in died.message
    lost = child_outcome.lost_checks((*names, "evaluate"), died, done, ())
    assert lost[-1].reason == ("" if recorded else "evaluate.environment")


def test_weights_without_a_builder_start_no_load_stage() -> None:
    """What is said of them needs no TensorFlow; anything that the user asked for goes there."""
    order = ("load", "inference")
    weights = Facts(format=Format.TF_CHECKPOINT)
    results = child_outcome.nothing_to_load(order, weights, VerifySettings(skip=("inference",)))
    assert [r.outcome for r in results] == [Outcome.SKIP] * 2
    assert "name a builder" in results[0].message
    assert "skip" in results[1].message
    model = Facts(format=Format.KERAS)
    results = child_outcome.nothing_to_load(order, model, VerifySettings(skip=("load",)))
    assert [r.message[:7] for r in results] == ["Switche", "Nothing"]
    for facts, settings, names in (
        (weights, VerifySettings(builder="model:build"), order),
        (weights, VerifySettings(), (*order, "of_the_user")),
        (weights, VerifySettings(evaluate=Evaluation("model:evaluate")), order),
        (Facts(format=Format.KERAS), VerifySettings(), order),
        (Facts(format=Format.UNKNOWN), VerifySettings(), order),
    ):
        assert child_outcome.nothing_to_load(names, facts, settings) == []
