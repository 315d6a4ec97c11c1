"""Nothing that a child says counts out of order, out of bounds or beside the closed lists."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
from checkpointd.dispatch import answer_validator, child_result
from checkpointd.dispatch.answer_validator import AnswerValidator
from checkpointd.dispatch.child_result import ChildResult
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

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

OWN = UserCheck("mine", "code:mine", SCAN_STAGE)
FIRST = encode({"sandbox": to_json(SandboxState())})
DONE = Finished(End.DONE, "", Facts())


def job(stage: str = LOAD, **settings: Any) -> Job:
    """What a child was asked for."""
    asked = VerifySettings(**settings)
    request = Request(Checkpoint("/m.h5", Format.HDF5), Generation(()), asked)
    return Job(stage, "", to_json(request), None, checks_of(stage, asked))


def heard(*names: str, stage: str = LOAD, **settings: Any) -> AnswerValidator:
    """A hearing after these checks have passed."""
    made = AnswerValidator(job(stage, **settings))
    made.sandbox(SandboxState())
    for name in names:
        made.check(passed(name), 1.0)
    return made


@pytest.mark.parametrize(
    ("result", "said"),
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
        (replace(passed("load"), duration_seconds=-1.0), "time"),
        (replace(passed("load"), duration_seconds=1e9), "time"),
        (replace(passed("load"), duration_seconds=float("nan")), "time"),
    ],
)
def test_a_result_counts_in_its_turn_and_in_the_words_of_the_closed_list(
    result: CheckResult, said: str
) -> None:
    """Another check, another reason, an outcome that the reason has not, a time that cannot be."""
    with pytest.raises(DecodeError, match=said):
        heard().check(result, 1.0)


def test_what_honest_checks_say_is_taken() -> None:
    """A failure, a warning, a skip, and code that only the load stage came upon."""
    made = heard()
    made.check(failed("load", "compile_failed", "x."), 1.0)
    made.check(skipped("signatures", "x."), 1.0)
    made.check(failed("inference", "wrong_shape", "x."), 1.0)
    made.check(failed("predictions", "environment", "a note."), 1.0)
    found = failed("safety", "needs_code", "x.")
    heard().check(replace(found, name="load"), 1.0)


def test_what_confines_it_is_its_first_word_and_said_once() -> None:
    """Later it could be said by whoever runs in it."""
    with pytest.raises(DecodeError, match="first word"):
        AnswerValidator(job()).check(passed("load"), 1.0)
    with pytest.raises(DecodeError, match="first word"):
        heard("load").sandbox(SandboxState())


def test_no_check_is_answered_twice() -> None:
    """A pass before the real answer is noticed when that comes."""
    with pytest.raises(DecodeError, match="out of order"):
        heard("load").check(failed("load", "load_error", "x."), 1.0)


def test_what_is_switched_off_can_only_be_skipped() -> None:
    """A pass for it would show what nobody looked at."""
    with pytest.raises(DecodeError, match="switched off"):
        heard(skip=("load",)).check(passed("load"), 1.0)


def test_a_child_that_cannot_be_confined_says_so_and_runs_nothing() -> None:
    """Its first check fails, even one that is switched off, and all others are skipped."""
    own = UserCheck("mine", "code:mine")
    made = heard(skip=("load",), checks=(own,))
    made.check(failed("load", "sandbox_unavailable", "x."), 1.0)
    for name in checks_of(LOAD, VerifySettings(checks=(own,)))[1:]:
        made.check(skipped(name, "x."), 1.0)
    assert made.end(DONE).end is End.DONE


def test_an_end_before_every_check_was_answered_is_refused() -> None:
    """Silence about a check is no pass."""
    with pytest.raises(DecodeError, match="'inference'"):
        heard("load", "signatures").end(DONE)
    assert heard(*checks_of(LOAD, VerifySettings())).end(DONE).end is End.DONE


@pytest.mark.parametrize("end", [End.UNKNOWN, End.INCOMPLETE])
def test_code_of_the_user_cannot_talk_a_checkpoint_out_of_its_verdict(end: End) -> None:
    """Whether it is a model, and whole, was known before foreign code could run."""
    with pytest.raises(DecodeError, match="cannot end"):
        heard().end(Finished(end, "", Facts()))
    after = heard(*SCAN_CHECKS, stage=SCAN, checks=(OWN,))
    after.facts(Facts())
    with pytest.raises(DecodeError, match="cannot end"):
        after.end(Finished(end, "", Facts()))
    assert heard(stage=SCAN).end(Finished(end, "", Facts())).end is end


def test_a_private_copy_is_never_superseded() -> None:
    """Else code in a checkpoint could put its verdict off for ever."""
    asked = job()
    copy = AnswerValidator(replace(asked, request={**asked.request, "copied": True}))
    copy.sandbox(SandboxState())
    with pytest.raises(DecodeError, match="nobody else"):
        copy.end(Finished(End.SUPERSEDED, "", Facts()))
    assert heard().end(Finished(End.SUPERSEDED, "", Facts())).end is End.SUPERSEDED


def test_nothing_is_heard_after_the_end() -> None:
    """Whoever speaks then is not who was asked."""
    made = heard(stage=SCAN)
    made.end(Finished(End.UNKNOWN, "", Facts()))
    with pytest.raises(DecodeError, match="after its end"):
        made.check(passed("structure"), 1.0)


def test_what_was_known_before_a_check_of_the_users_own_is_not_changed_by_it() -> None:
    """Its process ends with other facts: those from before count."""
    made = heard(*SCAN_CHECKS, stage=SCAN, checks=(OWN,))
    with pytest.raises(DecodeError, match="before it told"):
        made.check(passed("mine"), 1.0)
    made.facts(Facts(digest="ab", weight_norm=1.0))
    with pytest.raises(DecodeError, match="out of order"):
        made.facts(Facts(digest="cd"))
    made.check(CheckResult("mine", Outcome.FAIL, "mine.any_word"), 1.0)
    told = made.end(Finished(End.DONE, "", Facts(digest="ef", weight_norm=2.0))).facts
    assert (told.digest, told.weight_norm) == ("ab", 1.0)


@pytest.mark.parametrize("reason", ["mine.", "mine.A", "load.load_error", "mine.a b", "mine"])
def test_a_check_of_the_users_own_has_reasons_of_its_own(reason: str) -> None:
    """Never one of the suite, never text that is no label."""
    made = heard(*SCAN_CHECKS, stage=SCAN, checks=(OWN,))
    made.facts(Facts())
    with pytest.raises(DecodeError, match="cannot end"):
        made.check(CheckResult("mine", Outcome.FAIL, reason), 1.0)


def test_what_the_scan_found_wins_over_what_a_load_child_says() -> None:
    """Foreign code may run there: it adds what only loading can tell, and changes nothing."""
    scanned = Facts(Format.HDF5, digest="ab", weight_norm=1.0, step=3, metrics={"loss": 0.5})
    lies = Facts(
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
    merged = answer_validator.merge_load_facts(scanned, lies, "", {"tensorflow": "2.21.0"})
    assert merged == replace(scanned, environment={"tensorflow": "2.21.0"}, optimizer_step=4)
    asked = answer_validator.merge_load_facts(scanned, lies, "34", {})
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
def test_facts_without_end_or_that_cannot_be_are_refused(facts: Facts) -> None:
    """They would be kept in the ledger, and exported."""
    with pytest.raises(DecodeError):
        answer_validator.validated_facts(facts)


def test_what_is_kept_is_printable_finite_and_bounded() -> None:
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
        told = heard().check(replace(passed("load", "x\n" * 20_000), details=details), 1.0)
        assert set(told.details) == {"left_out"}
        assert told.message.isprintable()
        assert len(told.message) < 80_000


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
def test_a_line_that_is_no_answer_is_refused(line: bytes) -> None:
    """Whatever it is, it is one kind of error, and nothing of it is repeated."""
    with pytest.raises(DecodeError) as caught:
        decode_answer(line)
    assert len(str(caught.value)) < 200


def test_an_inspection_is_taken_only_where_one_was_asked_for() -> None:
    """In a verification it says nothing."""
    with pytest.raises(DecodeError, match="not asked for"):
        heard().inspection({})
    assert heard(stage=INSPECT).inspection({"a": 1}) == {"a": 1}


def said_over_a_socket(
    say: Callable[[socket.socket], None], ended: Callable[[], Awaitable[int]]
) -> ChildResult:
    """Hear what is said over a real stream by a child that ends as it is told."""
    result = ChildResult()

    async def work() -> None:
        ours, theirs = socket.socketpair()
        say(theirs)
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        try:
            result.exit_code = await child_result.receive_answers(
                job(), reader, result, None, ended
            )
        finally:
            writer.close()
            theirs.close()

    asyncio.run(work())
    return result


async def at_once() -> int:
    """A child that has ended."""
    return 0


async def never() -> int:
    """A child that lives on."""
    await asyncio.sleep(1000)
    return 0


def test_a_process_left_behind_that_holds_the_stream_open_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The child has ended; what it had said is kept."""
    monkeypatch.setattr(child_result, "_LAST_ANSWERS_SECONDS", 0.05)
    heard = said_over_a_socket(
        lambda s: s.sendall(FIRST + encode({"check": to_json(passed("load"))})), at_once
    )
    assert [check.name for check in heard.checks] == ["load"]


def test_a_child_that_closes_its_end_and_lives_on_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would hold its slot until the time-out."""
    monkeypatch.setattr(child_result, "_EXIT_SECONDS", 0.05)
    with pytest.raises(DecodeError, match="did not exit"):
        said_over_a_socket(lambda s: s.shutdown(socket.SHUT_RDWR), never)


def test_descriptors_that_a_child_passes_are_closed() -> None:
    """They never become the daemon's."""

    def say(stream: socket.socket) -> None:
        socket.send_fds(stream, [FIRST, encode({"check": to_json(passed("load"))})], [0] * 50)
        stream.shutdown(socket.SHUT_WR)

    before = len(os.listdir("/proc/self/fd"))
    heard = said_over_a_socket(say, at_once)
    assert [check.name for check in heard.checks] == ["load"]
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_answer_leaves_a_check_out() -> None:
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
def test_whatever_is_in_an_answer_it_is_taken_whole_or_refused(data: st.DataObject) -> None:
    """Nothing but a `DecodeError` comes of it, and what is taken can be kept and read again."""
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
            kept = to_json(heard().check(answer, 1.0))
            assert decode.check_result(json.loads(json.dumps(kept))).name == "load"
        elif isinstance(answer, Facts):
            kept = to_json(answer_validator.validated_facts(answer))
            text = json.dumps(kept)
            assert to_json(decode.facts(json.loads(text)))["digest"] == kept["digest"]
    except DecodeError:
        return
