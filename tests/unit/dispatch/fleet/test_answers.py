"""An answer of the fleet counts only if a local child's would; the verdict is decided here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from checkpointd.core.check_result import CheckResult, Outcome, failed, passed, skipped
from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.encode import to_json
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.suite import LOAD_CHECKS, checks_of
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import UserCheck, VerifySettings
from checkpointd.dispatch.fleet import messages
from checkpointd.dispatch.fleet.outcomes import Elsewhere, Lost, given_up, judge
from checkpointd.dispatch.reports import make_report
from checkpointd.worker.protocol import SCAN

MEMBER = messages.Member("0" * 32, "gpu1", 1, 1 << 30, 60.0)
GENERATION = Generation((Member("", 1, 2, 3, 4, 5),))
SETTINGS = VerifySettings(skip=LOAD_CHECKS)
REQUEST = Request(Checkpoint("/runs/m.keras", Format.KERAS, "runs"), GENERATION, SETTINGS)
SCANNED = [passed(name) for name in checks_of(SCAN, SETTINGS)]


def payload(request: Request, found: list[CheckResult], **changed: Any) -> str:
    """What a worker sends, with some keys changed."""
    report = make_report(request, Facts(format=Format.KERAS), found, 0.1, "")
    raw = json.loads(messages.encode_answer("gpu1", Answer(End.DONE, "", report)))
    return json.dumps({**raw, **changed})


def judged(text: str, request: Request = REQUEST) -> Answer:
    """An answer that counts."""
    found = judge(request, MEMBER, text, 1.0)
    assert isinstance(found, Answer), found
    return found


def test_the_verdict_is_decided_from_the_results() -> None:
    """What the worker says of it does not matter; the generation is the one that was asked for."""
    answer = judged(payload(REQUEST, SCANNED, verdict="invalid", generation={"members": []}))
    assert answer.report is not None
    assert answer.report.verdict is Verdict.VALID
    assert answer.report.generation == GENERATION
    checks = [failed("structure", "truncated", "\x1b[31mCut\x1b[0m."), *SCANNED[1:]]
    report = judged(payload(REQUEST, checks)).report
    assert report is not None
    assert (report.verdict, report.reason) == (Verdict.INVALID, "structure.truncated")
    assert "\x1b" not in report.message


def test_what_a_dispatcher_finds_about_the_end_of_a_child_leaves_the_verdict_open() -> None:
    """Such an end has a reason that a child itself could not give."""
    ended = CheckResult("drift", Outcome.ERROR, "drift.environment", "It exited.")
    checks = [ended if one.name == "drift" else one for one in SCANNED]
    report = judged(payload(REQUEST, checks)).report
    assert report is not None
    assert report.verdict is Verdict.INCONCLUSIVE


def test_results_of_user_checks_are_taken() -> None:
    """They come last, and have reasons of their own."""
    settings = VerifySettings(
        skip=LOAD_CHECKS, checks=(UserCheck("calibrated", "mine:check", SCAN),)
    )
    request = Request(REQUEST.checkpoint, GENERATION, settings)
    mine = CheckResult("calibrated", Outcome.FAIL, "calibrated.overconfident", "Too sure.")
    report = judged(payload(request, [*SCANNED, mine]), request).report
    assert report is not None
    assert report.reason == "calibrated.overconfident"


@pytest.mark.parametrize(
    ("checks", "changed", "why"),
    [
        (SCANNED[1:], {}, "no result of 'structure'"),
        ([*SCANNED, SCANNED[0]], {}, "a check that has two results"),
        ([*SCANNED, passed("nonsense")], {}, "a result that nobody asked for: 'nonsense'"),
        ([*SCANNED, passed("load")], {}, "an answer for 'load', which is switched off"),
        (
            [CheckResult("structure", Outcome.FAIL, "finite.nan", ""), *SCANNED[1:]],
            {},
            "'structure' cannot end in fail",
        ),
        (SCANNED, {"duration_seconds": 1e9}, "an impossible duration"),
        (SCANNED, {"checks": "none"}, "no results of checks"),
        (SCANNED, {"end": "excellent"}, "not an answer"),
        (SCANNED, {"facts": {**to_json(Facts()), "tensor_count": -1}}, "a count below zero"),
    ],
)
def test_what_nobody_can_have_found_is_refused(
    checks: list[CheckResult], changed: dict[str, Any], why: str
) -> None:
    """It counts as a try, after two of which the checkpoint is inconclusive for a while."""
    found = judge(REQUEST, MEMBER, payload(REQUEST, checks, **changed), 1.0)
    assert isinstance(found, Lost)
    assert f"Its answer was refused: {why}" in found.message
    assert (found.counts, found.word) == (True, "environment")


def test_another_version_is_named_where_its_answer_is_refused() -> None:
    """Else nobody finds out why."""
    old = messages.Member("0" * 32, "gpu1", 1, 1 << 30, 60.0, version="0.0.1")
    found = judge(REQUEST, old, "[]", 1.0)
    assert isinstance(found, Lost)
    assert "It runs checkpointd 0.0.1, this daemon" in found.message


def test_other_ends_have_no_report() -> None:
    """It may be superseded, look different there, or be given back."""
    superseded = messages.encode_end("gpu1", str(End.SUPERSEDED), "It changed.").decode()
    assert judged(superseded) == Answer(End.SUPERSEDED, "It changed.")
    elsewhere = messages.encode_end("gpu1", messages.ELSEWHERE, "Not there.").decode()
    assert judge(REQUEST, MEMBER, elsewhere, 1.0) == Elsewhere("Not there.")
    returned = messages.encode_end("gpu1", messages.RETURNED, "Stopped.").decode()
    found = judge(REQUEST, MEMBER, returned, 1.0)
    assert isinstance(found, Lost)
    assert not found.counts


def test_a_checkpoint_that_is_given_up_is_inconclusive() -> None:
    """Nothing is known about it; every check has a result."""
    report = given_up(REQUEST, "workers_lost", ["gpu1: Gone.", "gpu2: Gone."]).report
    assert report is not None
    assert (report.verdict, report.reason) == (Verdict.INCONCLUSIVE, "structure.workers_lost")
    assert report.message == "2 workers gave no answer about it. gpu1: Gone. gpu2: Gone."
    assert not report.shown


def test_a_task_is_read_back_as_it_was_sent() -> None:
    """Also with a name that is not UTF-8."""
    odd = Request(Checkpoint("/runs/\udcff", Format.HDF5), GENERATION, VerifySettings())
    assert messages.decode_task(messages.encode_task(odd).encode()) == odd


def test_only_workers_of_checkpointd_are_known() -> None:
    """A Dask worker of somebody else announces nothing; another protocol is not understood."""
    assert messages.member_of(MEMBER.announce()) == MEMBER
    assert messages.member_of(None) is None
    for key, value in (("protocol", 2), ("id", "../x"), ("slots", 0), ("memory", "1")):
        assert messages.member_of({**MEMBER.announce(), key: value}) is None


def test_skipped_results_of_a_stage_that_is_switched_off_are_taken_or_left_out() -> None:
    """A worker may send them or not."""
    names = checks_of("load", SETTINGS)
    off = [skipped(name, "Switched off.") for name in names]
    report = judged(payload(REQUEST, [*SCANNED, *off])).report
    assert report is not None
    assert report.verdict is Verdict.VALID
