"""Real zygotes and real children: whatever a child does ends in an answer, and the next one runs.

The hostile child is the product's own: a `builder` from the user's code that misbehaves.
"""

from __future__ import annotations

import asyncio
import os
import signal
import textwrap
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.check_result import Outcome
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.dispatch.zygote import Zygote
from checkpointd.formats import generation_of
from tests.helpers.children import only_zygotes_are_left, own_children

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from checkpointd.core.report import Report

HOSTILE = """
    import os, signal, sys, time

    def good():
        import keras
        return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])

    def segfault():
        os.kill(os.getpid(), signal.SIGSEGV)

    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    def hang():
        while True:
            pass

    def sleeps():
        time.sleep(1000)

    def greedy():
        hoard = []
        while True:
            hoard.append(bytearray(64 * 1024 * 1024))

    def leaves():
        os._exit(0)

    def chatters():
        line = b"x" * 1024 * 1024
        for _ in range(100):
            try:
                os.write(1, line)
                os.write(2, line)
            except OSError:
                pass
        return good()

    def _sockets():
        for fd in range(3, 256):
            try:
                if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                    yield fd
            except OSError:
                pass

    def babbles():
        for fd in _sockets():
            os.write(fd, b"\\x00garbage\\n")
        time.sleep(1000)

    def forges():
        import json
        check = {"name": "load", "outcome": "pass", "reason": "", "message": "",
                 "duration_seconds": 0, "details": {}}
        forged = json.dumps({"check": check}).encode() + b"\\n"
        for fd in _sockets():
            os.write(fd, forged + forged)
        time.sleep(1000)

    def half_a_message():
        for fd in _sockets():
            os.write(fd, b'{"check":{"name":"lo')
        os._exit(0)

    def endless_line():
        for fd in _sockets():
            while True:
                os.write(fd, b"a" * 65536)
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights-only checkpoint of a small Keras model, and the user's code beside it."""
    import keras

    directory = tmp_path_factory.mktemp("hostile")
    (directory / "hostile.py").write_text(textwrap.dedent(HOSTILE))
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    path = directory / "model.weights.h5"
    model.save_weights(path)
    return path


def make_request(weights: Path, builder: str) -> Request:
    """A request to verify the weights through a builder."""
    fmt = Format.HDF5_WEIGHTS
    return Request(
        Checkpoint(str(weights), fmt),
        generation_of(str(weights), fmt),
        VerifySettings(builder=f"hostile:{builder}", python_path=(str(weights.parent),)),
    )


def with_dispatcher(
    scratch: Path,
    work: Callable[[LocalDispatcher], Awaitable[None]],
    **worker: object,
) -> None:
    """Run something with a dispatcher that is closed afterwards."""

    async def run() -> None:
        dispatcher = LocalDispatcher(WorkerSettings.model_validate(worker), scratch)
        try:
            await work(dispatcher)
        finally:
            await dispatcher.close()

    asyncio.run(run())


def report_of(answer: Answer) -> Report:
    """The report of an answer that must have one."""
    assert answer.end is End.DONE, answer
    assert answer.report is not None
    return answer.report


OUTCOMES = (
    ("segfault", Verdict.INVALID, "load.crashed"),
    ("killed", Verdict.INCONCLUSIVE, "load.out_of_memory"),
    ("hang", Verdict.INCONCLUSIVE, "load.timeout"),
    ("sleeps", Verdict.INCONCLUSIVE, "load.timeout"),
    ("greedy", Verdict.INCONCLUSIVE, "load.out_of_memory"),
    ("leaves", Verdict.INCONCLUSIVE, "load.environment"),
    ("babbles", Verdict.INCONCLUSIVE, "load.environment"),
    ("forges", Verdict.INCONCLUSIVE, "signatures.environment"),
    ("half_a_message", Verdict.INCONCLUSIVE, "load.environment"),
    ("endless_line", Verdict.INCONCLUSIVE, "load.environment"),
    ("chatters", Verdict.VALID, ""),
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_any_end_of_a_child_gives_a_verdict_and_the_next_one_is_verified(
    weights: Path, tmp_path: Path
) -> None:
    """Each way to misbehave has its reason; the good checkpoint after it is valid.

    All by one dispatcher: what one child did must not be felt by any that comes after it.
    """
    patient = WorkerSettings.model_validate({"timeout": 200.0, "memory": "2GiB", "spares": 0})
    quick = patient.model_copy(update={"timeout": 10.0})

    async def work(dispatcher: LocalDispatcher) -> None:
        await dispatcher.warm(VerifySettings())
        for builder, verdict, reason in OUTCOMES:
            dispatcher.configure(quick if reason == "load.timeout" else patient)
            report = report_of(await dispatcher.verify(make_request(weights, builder)))
            assert (report.verdict, report.reason) == (verdict, reason), (builder, report.message)
            dispatcher.configure(patient)
            report = report_of(await dispatcher.verify(make_request(weights, "good")))
            assert report.verdict is Verdict.VALID, (builder, report.message)
            assert {"intact", "loads", "runs"} <= set(report.shown)
            await only_zygotes_are_left(dispatcher)

    with_dispatcher(tmp_path, work, spares=0)


def test_results_before_a_crash_are_kept(weights: Path, tmp_path: Path) -> None:
    """The scan's results stay in the report of a checkpoint that crashes the loader."""
    seen: list[str] = []

    async def work(dispatcher: LocalDispatcher) -> None:
        request = make_request(weights, "segfault")
        answer = await dispatcher.verify(request, lambda check: seen.append(check.name))
        report = report_of(answer)
        assert report.shown == ("intact",)
        outcomes = {check.name: check.outcome for check in report.checks}
        assert outcomes["finite"] is Outcome.PASS
        assert outcomes["inference"] is Outcome.SKIP

    with_dispatcher(tmp_path, work)
    assert seen == ["structure", "integrity", "safety", "finite", "drift", "load"]


def test_a_zygote_that_is_killed_is_replaced(weights: Path, tmp_path: Path) -> None:
    """Killing the warm interpreters costs a new start, not a verdict."""

    async def work(dispatcher: LocalDispatcher) -> None:
        for _ in range(2):
            report = report_of(await dispatcher.verify(make_request(weights, "good")))
            assert report.verdict is Verdict.VALID, report.message
            for row in dispatcher.status():
                os.kill(row["pid"], signal.SIGKILL)

    with_dispatcher(tmp_path, work)


def test_without_fork_each_checkpoint_gets_a_fresh_interpreter(
    weights: Path, tmp_path: Path
) -> None:
    """A zygote whose canary did not come back turns into the child itself."""

    async def work(dispatcher: LocalDispatcher) -> None:
        await dispatcher.warm(VerifySettings())
        pids = set()
        for zygote in dispatcher.zygotes:
            zygote.can_fork = False
            pids.add(zygote.pid)
        report = report_of(await dispatcher.verify(make_request(weights, "good")))
        assert report.verdict is Verdict.VALID, report.message
        assert not any(row["up"] and row["pid"] in pids for row in dispatcher.status())

    with_dispatcher(tmp_path, work)


def test_without_fork_two_jobs_and_a_warm_up_do_not_disturb_each_other(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interpreter that works as a child is never ended because another one is wanted."""
    never = property(lambda _: False, lambda *_: None)
    monkeypatch.setattr(Zygote, "can_fork", never, raising=False)

    async def work(dispatcher: LocalDispatcher) -> None:
        answers = asyncio.gather(
            *(dispatcher.verify(make_request(weights, "good")) for _ in range(3))
        )
        warm = asyncio.create_task(dispatcher.warm(VerifySettings()))
        for answer in await answers:
            report = report_of(answer)
            assert report.verdict is Verdict.VALID, report.message
        await warm

    with_dispatcher(tmp_path, work, concurrency=2)


def test_a_scratch_that_cannot_be_written_is_reported(weights: Path, tmp_path: Path) -> None:
    """A full or vanished state disk gives an inconclusive verdict, and the next one works."""

    async def work(dispatcher: LocalDispatcher) -> None:
        await dispatcher.warm(VerifySettings())
        hidden = tmp_path.with_name("hidden")
        await asyncio.to_thread(tmp_path.rename, hidden)
        await asyncio.to_thread(tmp_path.write_bytes, b"in the way")
        report = report_of(await dispatcher.verify(make_request(weights, "good")))
        assert report.reason == "structure.environment"
        await asyncio.to_thread(tmp_path.unlink)
        await asyncio.to_thread(hidden.rename, tmp_path)
        report = report_of(await dispatcher.verify(make_request(weights, "good")))
        assert report.verdict is Verdict.VALID, report.message

    with_dispatcher(tmp_path, work)


def test_stopping_while_an_interpreter_starts_leaves_none_behind(tmp_path: Path) -> None:
    """A start that is cancelled in the middle ends what it had started."""

    async def work(dispatcher: LocalDispatcher) -> None:
        start = asyncio.create_task(dispatcher.warm(VerifySettings()))
        for _ in range(1000):
            if own_children(recursive=False):
                break
            await asyncio.sleep(0.01)
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)

    with_dispatcher(tmp_path, work)
    assert not own_children()


def test_an_idle_loader_leaves_memory_and_comes_back(weights: Path, tmp_path: Path) -> None:
    """After idle_exit the TensorFlow interpreter is gone; the next request starts it again."""

    async def work(dispatcher: LocalDispatcher) -> None:
        await dispatcher.verify(make_request(weights, "good"))
        for _ in range(1500):
            if all(row["kind"] != "load" for row in dispatcher.status()):
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the idle loader stayed")
        report = report_of(await dispatcher.verify(make_request(weights, "good")))
        assert report.verdict is Verdict.VALID

    with_dispatcher(tmp_path, work, idle_exit=0.3)


def test_a_missing_interpreter_is_reported(weights: Path, tmp_path: Path) -> None:
    """A wrong `python` gives an inconclusive verdict that names it."""

    async def work(dispatcher: LocalDispatcher) -> None:
        request = make_request(weights, "good")
        settings = VerifySettings(builder="hostile:good", python="/nowhere/python")
        answer = await dispatcher.verify(Request(request.checkpoint, request.generation, settings))
        report = report_of(answer)
        assert report.verdict is Verdict.INCONCLUSIVE
        assert report.reason == "load.environment"
        assert "/nowhere/python" in report.message

    with_dispatcher(tmp_path, work)


def test_nothing_is_left_behind(weights: Path, tmp_path: Path) -> None:
    """After closing there is no process of ours and no scratch of a child."""

    async def work(dispatcher: LocalDispatcher) -> None:
        await dispatcher.verify(make_request(weights, "good"))
        left = await asyncio.to_thread(os.listdir, tmp_path)
        assert not [name for name in left if name.startswith(("scan-", "load-"))]

    with_dispatcher(tmp_path, work)
    assert not own_children()
