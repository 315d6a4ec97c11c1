"""Answers of a child count in order, within bounds and with reasons of the closed lists only."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core import decode
from checkpointd.core.check_result import CheckResult, Outcome, failed, passed, skipped
from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.decode import DecodeError
from checkpointd.core.encode import to_json
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Digest, Facts
from checkpointd.core.request import End, Request
from checkpointd.core.suite import LOAD_CHECKS, SCAN_CHECKS, checks_of
from checkpointd.core.verify_settings import SCAN_STAGE, UserCheck, VerifySettings
from checkpointd.dispatch import answer_validator
from checkpointd.dispatch.answer_validator import AnswerValidator
from checkpointd.worker.protocol import (
    INSPECT,
    LOAD,
    SCAN,
    Finished,
    Job,
    SandboxState,
    decode_answer,
    encode,
)

USER_CHECK = UserCheck("mine", "code:mine", SCAN_STAGE)
DONE = Finished(End.DONE, "", Facts())


def job(stage: str = LOAD, **settings: Any) -> Job:
    """Return the job that the child received."""
    asked = VerifySettings(**settings)
    request = Request(Checkpoint("/m.h5", Format.HDF5), Generation(()), asked)
    return Job(stage, "", to_json(request), None, checks_of(stage, asked))


def validator_after(*names: str, stage: str = LOAD, **settings: Any) -> AnswerValidator:
    """Return a validator that has taken a pass of these checks."""
    made = AnswerValidator(job(stage, **settings))
    made.sandbox(SandboxState())
    for name in names:
        made.check(passed(name), 1.0)
    return made


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (passed("inference"), "out of order"),
        (passed("structure"), "out of order"),
        (passed("no check"), "out of order"),
        (CheckResult("load", Outcome.PASS, "load.load_error"), "cannot end"),
        (CheckResult("load", Outcome.SKIP, "load.load_error"), "cannot end"),
        (CheckResult("load", Outcome.FAIL, ""), "cannot end"),
        (CheckResult("load", Outcome.FAIL, "load.of_my_own"), "cannot end"),
        (CheckResult("load", Outcome.FAIL, "inference.wrong_shape"), "cannot end"),
        (CheckResult("load", Outcome.WARN, "load.load_error"), "cannot end"),
        (CheckResult("load", Outcome.ERROR, "load.load_error"), "cannot end"),
        (replace(passed("load"), duration_seconds=-1.0), "impossible duration"),
        (replace(passed("load"), duration_seconds=1e9), "impossible duration"),
        (replace(passed("load"), duration_seconds=float("nan")), "impossible duration"),
    ],
)
def test_a_result_out_of_order_or_with_an_impossible_reason_is_refused(
    result: CheckResult, message: str
) -> None:
    """Another check, another reason, an outcome that the reason does not have, a wrong duration."""
    with pytest.raises(DecodeError, match=message):
        validator_after().check(result, 1.0)


def test_results_of_real_checks_are_taken() -> None:
    """A failure, a warning, a skip, and code that only the load stage found."""
    made = validator_after()
    made.check(failed("load", "compile_failed", "x."), 1.0)
    made.check(skipped("signatures", "x."), 1.0)
    made.check(failed("inference", "wrong_shape", "x."), 1.0)
    made.check(failed("predictions", "environment", "a note."), 1.0)
    found = failed("safety", "needs_code", "x.")
    validator_after().check(replace(found, name="load"), 1.0)


def test_the_state_of_the_sandbox_comes_first_and_once() -> None:
    """Later it could be forged by code that runs in the child."""
    with pytest.raises(DecodeError, match="has to come first"):
        AnswerValidator(job()).check(passed("load"), 1.0)
    with pytest.raises(DecodeError, match="has to come first"):
        validator_after("load").sandbox(SandboxState())


def test_a_second_result_of_a_check_is_refused() -> None:
    """A forged pass is noticed when the real answer arrives."""
    with pytest.raises(DecodeError, match="out of order"):
        validator_after("load").check(failed("load", "load_error", "x."), 1.0)


def test_a_check_that_is_switched_off_can_only_be_skipped() -> None:
    """A pass for it would show a property that nothing has checked."""
    with pytest.raises(DecodeError, match="switched off"):
        validator_after(skip=("load",)).check(passed("load"), 1.0)


def test_a_child_without_a_sandbox_fails_its_first_check_and_runs_nothing() -> None:
    """Its first check fails, even one that is switched off, and all others are skipped."""
    own = UserCheck("mine", "code:mine")
    made = validator_after(skip=("load",), checks=(own,))
    made.check(failed("load", "sandbox_unavailable", "x."), 1.0)
    for name in checks_of(LOAD, VerifySettings(checks=(own,)))[1:]:
        made.check(skipped(name, "x."), 1.0)
    assert made.end(DONE).end is End.DONE


def test_an_end_before_every_check_was_answered_is_refused() -> None:
    """A missing result is not a pass."""
    with pytest.raises(DecodeError, match="'inference'"):
        validator_after("load", "signatures").end(DONE)
    assert validator_after(*checks_of(LOAD, VerifySettings())).end(DONE).end is End.DONE


@pytest.mark.parametrize("end", [End.UNKNOWN, End.INCOMPLETE])
def test_foreign_code_cannot_withdraw_a_verdict(end: End) -> None:
    """Whether it is a complete model was known before foreign code could run."""
    with pytest.raises(DecodeError, match="cannot end"):
        validator_after().end(Finished(end, "", Facts()))
    after = validator_after(*SCAN_CHECKS, stage=SCAN, checks=(USER_CHECK,))
    after.facts(Facts())
    with pytest.raises(DecodeError, match="cannot end"):
        after.end(Finished(end, "", Facts()))
    assert validator_after(stage=SCAN).end(Finished(end, "", Facts())).end is end


def test_a_private_copy_is_never_superseded() -> None:
    """Otherwise code in a checkpoint could postpone its verdict for ever."""
    asked = job()
    copy = AnswerValidator(replace(asked, request={**asked.request, "copied": True}))
    copy.sandbox(SandboxState())
    with pytest.raises(DecodeError, match="private copy"):
        copy.end(Finished(End.SUPERSEDED, "", Facts()))
    assert validator_after().end(Finished(End.SUPERSEDED, "", Facts())).end is End.SUPERSEDED


def test_an_answer_after_the_end_is_refused() -> None:
    """It does not come from the stage that was asked."""
    made = validator_after(stage=SCAN)
    made.end(Finished(End.UNKNOWN, "", Facts()))
    with pytest.raises(DecodeError, match="after its last one"):
        made.check(passed("structure"), 1.0)


def test_a_user_check_cannot_change_facts_that_were_known_before() -> None:
    """Its process ends with other facts: the earlier ones count."""
    made = validator_after(*SCAN_CHECKS, stage=SCAN, checks=(USER_CHECK,))
    with pytest.raises(DecodeError, match="before its facts"):
        made.check(passed("mine"), 1.0)
    made.facts(Facts(digest="ab", weight_norm=1.0))
    with pytest.raises(DecodeError, match="out of order"):
        made.facts(Facts(digest="cd"))
    made.check(CheckResult("mine", Outcome.FAIL, "mine.any_word"), 1.0)
    finished = made.end(Finished(End.DONE, "", Facts(digest="ef", weight_norm=2.0)))
    assert (finished.facts.digest, finished.facts.weight_norm) == ("ab", 1.0)


@pytest.mark.parametrize("reason", ["mine.", "mine.A", "load.load_error", "mine.a b", "mine"])
def test_a_user_check_has_only_reasons_under_its_own_name(reason: str) -> None:
    """Never one of the suite, never text that cannot be a label."""
    made = validator_after(*SCAN_CHECKS, stage=SCAN, checks=(USER_CHECK,))
    made.facts(Facts())
    with pytest.raises(DecodeError, match="cannot end"):
        made.check(CheckResult("mine", Outcome.FAIL, reason), 1.0)


def test_facts_of_the_scan_override_those_of_a_load_child() -> None:
    """Foreign code may run there: it adds what only loading can find out, and changes nothing."""
    scanned = Facts(Format.HDF5, digest="ab", weight_norm=1.0, step=3, metrics={"loss": 0.5})
    forged = Facts(
        Format.KERAS,
        digest="cd",
        weight_norm=9.0,
        step=9,
        metrics={"loss": 0.0, "x": 1.0},
        evaluation={"accuracy": 0.9},
        evaluated_by="12",
        environment={"tensorflow": "99"},
        optimizer_step=4,
        parameter_count=7,
    )
    merged = answer_validator.merge_load_facts(scanned, forged, "", {"tensorflow": "2.21.0"})
    assert merged == replace(scanned, environment={"tensorflow": "2.21.0"}, optimizer_step=4)
    asked = answer_validator.merge_load_facts(scanned, forged, "34", {})
    assert asked.metrics == {"loss": 0.5, "accuracy": 0.9}
    assert (asked.evaluation, asked.evaluated_by) == ({"accuracy": 0.9}, "34")


@pytest.mark.parametrize(
    "facts",
    [
        Facts(parameter_count=-1),
        Facts(digest="/etc/passwd"),
        Facts(signatures={"s": "x" * 5_000_000}),
        Facts(metrics={str(n): 0.0 for n in range(2000)}),
    ],
)
def test_impossible_or_oversized_facts_are_refused(facts: Facts) -> None:
    """They would be stored in the ledger, and exported."""
    with pytest.raises(DecodeError):
        answer_validator.validated_facts(facts)


def test_facts_and_results_become_printable_finite_and_bounded() -> None:
    """Terminal escapes, lone surrogates, NaN and endless details do not reach the ledger."""
    facts = answer_validator.validated_facts(
        Facts(writer="a\x1b[31m\ud800", weight_norm=float("inf"), environment={"a\n": "b\0"})
    )
    assert facts.writer == "a\\x1b[31m\\ud800"
    assert (facts.weight_norm, facts.environment) == (None, {"a\\n": "b\\x00"})
    nested: list[Any] = []
    for _ in range(200):
        nested = [nested]
    for details in ({"a": nested}, {"a": "x" * 300_000}, {"a": 10**40}):
        result = validator_after().check(
            replace(passed("load", "x\n" * 20_000), details=details), 1.0
        )
        assert set(result.details) == {"left_out"}
        assert result.message.isprintable()
        assert len(result.message) < 80_000


@pytest.mark.parametrize(
    "line",
    [
        b"\x00garbage\n",
        b"[]\n",
        b"1e400\n",
        b"{}\n",
        b'{"check": 1}\n',
        b'{"end": "done"}\n',
        b'{"end": "won", "message": "", "facts": {}}\n',
        b"[" * 100_000 + b"\n",
        b'{"check": {"name": "load", "outcome": "pass", "reason": "", "message": "", '
        b'"duration_seconds": 1' + b"0" * 400 + b', "details": {}}}\n',
        b'{"a": 1' + b"0" * 5_000 + b"}\n",
        json.dumps({"check": to_json(passed("load")), "end": "done"}).encode() + b"\n",
        encode({"facts": to_json(Facts(parameter_count=10**30))}),
        encode({"facts": {**to_json(Facts()), "step": True}}),
        encode({"facts": {**to_json(Facts()), "evaluation": {"a b\n": 1.0}}}),
    ],
)
def test_a_malformed_line_is_refused(line: bytes) -> None:
    """Whatever it is, the error is short and does not repeat it."""
    with pytest.raises(DecodeError) as caught:
        decode_answer(line)
    assert len(str(caught.value)) < 200


def test_an_inspection_is_taken_only_if_it_was_asked_for() -> None:
    """A verification has none."""
    with pytest.raises(DecodeError, match="not asked for"):
        validator_after().inspection({})
    assert validator_after(stage=INSPECT).inspection({"a": 1}) == {"a": 1}


def test_a_load_child_answers_for_every_check() -> None:
    """The order of the suite is the order of the answers."""
    assert checks_of(LOAD, VerifySettings()) == LOAD_CHECKS[:-1]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["pass", "fail", "load", "load.load_error", "done", "float32"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_any_answer_is_taken_whole_or_refused(data: st.DataObject) -> None:
    """It raises nothing but a `DecodeError`, and what is taken can be stored and read again."""
    honest = {
        "check": to_json(failed("load", "load_error", "x.")),
        "facts": to_json(Facts(optimizer_tensors=(Digest("k", "float32", (2,), 1),))),
    }
    kind = data.draw(st.sampled_from(sorted(honest)))
    key = data.draw(st.sampled_from(sorted(honest[kind])))
    spoiled = {kind: {**honest[kind], key: data.draw(JSON)}}
    try:
        answer = decode_answer(json.dumps(spoiled).encode())
        if isinstance(answer, CheckResult):
            kept = to_json(validator_after().check(answer, 1.0))
            assert decode.check_result(json.loads(json.dumps(kept))).name == "load"
        elif isinstance(answer, Facts):
            kept = to_json(answer_validator.validated_facts(answer))
            text = json.dumps(kept)
            assert to_json(decode.facts(json.loads(text)))["digest"] == kept["digest"]
    except DecodeError:
        return
