"""The words: verdicts from checks, identities from members, facts to JSON and back."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core import decode
from checkpointd.core.check_result import CheckResult, Outcome, failed, passed, skipped
from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.encode import to_json
from checkpointd.core.format_specs import FORMATS, Format
from checkpointd.core.reasons.reason import EVIDENCE, Basis, Reason, Severity
from checkpointd.core.report import MAX_PACKED, Digest, Facts
from checkpointd.core.request import Previous, Request
from checkpointd.core.suite import REASONS, checks_of, cure_of
from checkpointd.core.verdict import Verdict, decide
from checkpointd.core.verify_settings import (
    MAX_METRICS,
    Bound,
    DriftLimits,
    Evaluation,
    UserCheck,
    VerifySettings,
)
from checkpointd.worker import protocol

names = st.text(max_size=20) | st.binary(max_size=20).map(
    lambda raw: raw.decode("utf-8", "surrogateescape")
)
counts = st.integers(0, 2**62)
members = st.builds(Member, names, counts, counts, counts, counts, counts)
generations = st.builds(Generation, st.lists(members, max_size=4).map(tuple))
checkpoints = st.builds(
    Checkpoint,
    path=names,
    format=st.sampled_from([*(spec.name for spec in FORMATS), Format.UNKNOWN]),
    watch=names,
    series=names,
    version=names,
    step=st.none() | counts,
    metrics=st.dictionaries(names, st.floats(allow_nan=False), max_size=3),
)
facts = st.builds(
    Facts,
    format=st.sampled_from([*(spec.name for spec in FORMATS), Format.UNKNOWN]),
    writer=names,
    step=st.none() | counts,
    digest=names,
    tensor_count=counts,
    weight_norm=st.none() | st.floats(allow_nan=False),
    weight_change_ratio=st.none() | st.floats(allow_nan=False),
    tensors=st.text(max_size=20),
    has_golden=st.booleans(),
    evaluation=st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_.:@-]{0,9}", fullmatch=True),
        st.floats(allow_nan=False),
        max_size=3,
    ),
    evaluated_by=names,
    environment=st.dictionaries(names, names, max_size=2),
    optimizer_step=st.none() | counts,
    optimizer_tensors=st.none()
    | st.lists(
        st.builds(Digest, names, names, st.lists(counts, max_size=3).map(tuple), counts), max_size=2
    ).map(tuple),
)
optional = st.none() | st.floats(allow_nan=False)
settings = st.builds(
    VerifySettings,
    custom_objects=st.dictionaries(names, names, max_size=2),
    drift=st.builds(DriftLimits, st.floats(1, 100)),
    evaluate=st.builds(
        Evaluation,
        names,
        names,
        st.lists(names, max_size=2).map(tuple),
        st.dictionaries(names, names, max_size=2),
    ),
    bounds=st.dictionaries(
        names, st.builds(Bound, optional, optional, optional, st.sampled_from(["", "min", "max"]))
    ),
    checks=st.lists(st.builds(UserCheck, names, names, names), max_size=2).map(tuple),
)
requests = st.builds(
    Request,
    checkpoints,
    generations,
    settings,
    st.none() | st.builds(Previous, names, facts, st.none() | counts),
    overdue=st.booleans(),
    copied=st.booleans(),
    digest=names,
    best=st.dictionaries(names, st.floats(allow_nan=False), max_size=2),
)
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


@given(requests)
def test_a_request_survives_the_wire(request: Request) -> None:
    """Names that are no UTF-8 too: what a child reads is what was sent."""
    line = json.dumps(to_json(request)).encode()
    assert decode.request(json.loads(line)) == request


def test_facts_of_an_older_ledger_are_read() -> None:
    """What was not yet known when a row was written is unknown."""
    row = to_json(Facts(step=3))
    for name in ("optimizer_step", "optimizer_tensors"):
        del row[name]
    assert decode.facts(row) == Facts(step=3)


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
    """The user says which warnings count."""
    checks = [passed("integrity"), failed("load", "compile_failed", "x.")]
    assert decide(checks)[0] is Verdict.VALID
    assert decide(checks, fail_on=["load"])[0] is Verdict.INVALID


@given(outcomes)
def test_a_note_changes_no_verdict(checks: list[CheckResult]) -> None:
    """What could not be shown on this machine is said, and the others decide."""
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
    """It convicts nobody, and nothing is called valid that was not read."""
    note = failed("integrity", "not_readable", "An unknown layout.")
    found = decide([passed("structure"), note, passed("load")])
    assert found == (Verdict.INCONCLUSIVE, note.reason, "An unknown layout.", ("loads",))


@pytest.mark.parametrize("basis", sorted(Basis, key=str))
def test_only_evidence_makes_a_failure(basis: Basis) -> None:
    """The file, the record, the user's request, a real danger; nothing else can convict."""
    convicts = basis in EVIDENCE
    assert convicts == (basis.name in ("FILE", "RECORD", "REQUEST", "DANGER"))
    if convicts:
        assert Reason(Severity.FAIL, "x.", basis).basis is basis
    else:
        with pytest.raises(ValueError, match="evidence"):
            Reason(Severity.FAIL, "x.", basis)


@pytest.mark.parametrize("word", ["environment", "out_of_memory"])
def test_what_this_machine_lacks_is_an_error_only_where_it_hides_intact_or_loads(word: str) -> None:
    """Elsewhere it is a note; an evaluation that the user asked for stays unanswered."""
    errors = {
        name.partition(".")[0]
        for name, reason in REASONS.items()
        if name.endswith(f".{word}") and reason.severity is Severity.ERROR
    }
    assert errors == {"structure", "integrity", "safety", "finite", "load", "evaluate"}


def test_a_check_cannot_give_a_reason_that_is_not_in_the_list() -> None:
    """The list of reasons is closed."""
    with pytest.raises(KeyError):
        failed("load", "bad_mood", "x.")


@pytest.mark.parametrize("name", sorted(REASONS))
def test_each_reason_has_a_cure_in_one_plain_sentence(name: str) -> None:
    """Someone on call knows what to do."""
    cure = REASONS[name].cure
    assert cure[0].isupper()
    assert cure.endswith((".", "?"))


@given(generations, counts)
def test_a_generation_is_the_same_across_a_remount_a_chmod_and_a_hard_link(
    generation: Generation, number: int
) -> None:
    """Device, inode and ctime are no part of the identity across time; the size is."""
    other = Generation(
        tuple(replace(m, device=number, inode=number, ctime_ns=number) for m in generation.members)
    )
    assert other.key == generation.key
    if generation.members:
        grown = tuple(replace(m, size=m.size + 1) for m in generation.members)
        assert Generation(grown).key != generation.key


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"garbage",
        b"[]",
        b"{}",
        b'{"check": 1}',
        b'{"check": {"name": "load", "outcome": "splendid"}}',
        b'{"end": "well"}',
        b'{"end": "done", "facts": null}',
        b'{"inspection": []}',
        b'{"check": ' + b"[" * 100_000,
    ],
)
def test_what_a_child_says_wrongly_is_refused_with_a_sentence(line: bytes) -> None:
    """Whatever comes, it is a DecodeError and nothing else."""
    with pytest.raises(decode.DecodeError):
        protocol.decode_answer(line)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_value_in_a_childs_answer_can_raise_anything_else(value: Any) -> None:
    """Each field of a check's result is checked."""
    good = to_json(passed("load"))
    for key in good:
        line = json.dumps({"check": {**good, key: value}}).encode()
        try:
            answer = protocol.decode_answer(line)
        except decode.DecodeError:
            continue
        assert isinstance(answer, CheckResult)


def test_the_command_line_and_the_daemon_bring_in_no_tensorflow_numpy_or_h5py() -> None:
    """The daemon stays small because it never imports what its children need."""
    code = (
        "import sys, checkpointd.cli.main, checkpointd.daemon, checkpointd.dispatch.local; "
        "print({'tensorflow', 'numpy', 'h5py', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_facts_of_a_report_from_before_drift_and_evaluate_are_read() -> None:
    """An upgrade makes no verdict void."""
    old = to_json(Facts(writer="keras 3"))
    for key in ("tensors", "weight_change_ratio", "evaluation", "evaluated_by"):
        del old[key]
    assert decode.facts(old) == Facts(writer="keras 3")


@pytest.mark.parametrize(
    "forged",
    [
        {"tensors": "x" * (MAX_PACKED + 1)},
        {"evaluation": {f"m{n}": 1.0 for n in range(MAX_METRICS + 1)}},
        {"evaluation": {'a" or "b': 1.0}},
        {"evaluation": {"a": "1"}},
        {"evaluation": []},
        {"evaluated_by": 3},
    ],
)
def test_facts_that_would_fill_the_ledger_or_the_metrics_are_refused(
    forged: dict[str, Any],
) -> None:
    """A child may say anything."""
    with pytest.raises(decode.DecodeError):
        decode.facts({**to_json(Facts()), **forged})


def test_only_checks_that_the_settings_name_may_answer() -> None:
    """In their stage, after the suite's own; `evaluate` only where there is one."""
    settings = VerifySettings(checks=(UserCheck("a", "m:a", "scan"), UserCheck("b", "m:b")))
    scan, load = (checks_of(stage, settings) for stage in ("scan", "load"))
    assert scan == ("structure", "integrity", "safety", "finite", "drift", "a")
    assert load == ("load", "signatures", "inference", "predictions", "resume", "b")
    evaluated = replace(settings, evaluate=Evaluation("m:e"))
    assert checks_of("load", evaluated)[-2:] == ("evaluate", "b")
    assert checks_of("inspect", settings) == ()


def test_an_own_check_that_was_ended_has_the_cure_of_its_word() -> None:
    """Where the word is its own, only its message knows."""
    assert cure_of("mine.timeout") == cure_of("load.timeout")
    assert cure_of("mine.odd") == cure_of("odd") == cure_of("") == ""
