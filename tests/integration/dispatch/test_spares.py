"""Warm spares: small checkpoints load in them, with the verdict that a new process would give."""

from __future__ import annotations

import asyncio
import itertools
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Request
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch import host_cores, spare_pool
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.formats import generation_of
from tests.helpers.children import own_children

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from checkpointd.core.report import Report

USER_CODE = """
    import os, socket, sys

    def model():
        import keras
        return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])

    def _is_warm():
        return "checkpointd.verify.load.warm_up" in sys.modules

    def _refused(attempt):
        try:
            attempt()
        except PermissionError:
            return
        raise AssertionError("that was possible")

    def confined():
        import tensorflow as tf

        assert _is_warm(), "this is a new process"
        assert tf.config.threading.get_intra_op_parallelism_threads() == 1
        beside = os.path.dirname(__file__)
        _refused(lambda: open("BESIDE"))
        _refused(lambda: open("BESIDE", "a"))
        _refused(lambda: os.listdir(os.path.dirname(os.getcwd())))
        _refused(lambda: open(os.path.join(beside, "made"), "w"))
        _refused(lambda: socket.socket())
        _refused(os.fork)
        _refused(lambda: os.kill(os.getppid(), 0))
        built = model()
        assert built.layers[0].name == "dense", built.layers[0].name
        return built

    def needs_a_new_process():
        assert not _is_warm(), "something has run here"
        return model()

    def fails():
        raise ValueError("no such run")
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small Keras model, the user's code, and a file that nobody may read."""
    import keras

    directory = tmp_path_factory.mktemp("spares")
    (directory / "code").mkdir()
    secret = directory / "secret"
    secret.write_text("secret")
    code = textwrap.dedent(USER_CODE).replace("BESIDE", str(secret))
    (directory / "code" / "users.py").write_text(code)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    path = directory / "model.weights.h5"
    model.save_weights(path)
    return path


def make_request(weights: Path, builder: str) -> Request:
    """A request to verify the weights through a builder."""
    fmt = Format.HDF5_WEIGHTS
    settings = VerifySettings(builder=builder, python_path=(str(weights.parent / "code"),))
    return Request(Checkpoint(str(weights), fmt), generation_of(str(weights), fmt), settings)


def make_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make spares at once, and also while the tests beside this one use every core."""
    monkeypatch.setattr(spare_pool, "_IDLE_SECONDS", 0.0)
    monkeypatch.setattr(host_cores, "busy_seconds", lambda: (0, 0.0))


def loader(dispatcher: LocalDispatcher) -> dict[str, Any]:
    """What the status says about the loader; empty while there is none."""
    return next((row for row in dispatcher.status() if row["kind"] == "load"), {})


async def spare_of(dispatcher: LocalDispatcher) -> psutil.Process:
    """Wait until there is a spare, and return its process."""
    for _ in range(3000):
        row = loader(dispatcher)
        if row.get("spares"):
            children = psutil.Process(row["pid"]).children()
            return max(children, key=psutil.Process.create_time)
        await asyncio.sleep(0.02)
    pytest.fail("there is no spare")


async def ends_soon(process: psutil.Process) -> None:
    """Wait until a process has ended."""
    for _ in range(1000):
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return
        await asyncio.sleep(0.02)
    pytest.fail("it goes on")


def with_dispatcher(
    scratch: Path,
    work: Callable[[LocalDispatcher, list[str]], Awaitable[None]],
    **worker: object,
) -> None:
    """Run something with a dispatcher, and a list of how its children ended."""

    async def run() -> None:
        ends: list[str] = []

        def on_exit(cause: str, _memory: Mapping[str, int]) -> None:
            ends.append(cause)

        settings = WorkerSettings.model_validate(worker)
        dispatcher = LocalDispatcher(settings, scratch, on_exit)
        try:
            await work(dispatcher, ends)
        finally:
            await dispatcher.close()
        assert not own_children()

    asyncio.run(run())
    assert not list(scratch.glob("load-*"))


@pytest.mark.timeout(300)
def test_a_spare_gives_the_verdict_of_a_new_process(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is warm and confined, used once, and what fails in it is tried in a new process."""
    make_at_once(monkeypatch)

    async def verify(dispatcher: LocalDispatcher, builder: str) -> Report:
        answer = await dispatcher.verify(make_request(weights, builder))
        assert answer.report is not None, answer
        return answer.report

    async def work(dispatcher: LocalDispatcher, ends: list[str]) -> None:
        await dispatcher.warm(make_request(weights, "users:model").settings)
        spare = await spare_of(dispatcher)
        report = await verify(dispatcher, "users:confined")
        assert report.verdict is Verdict.VALID, report.message
        assert report.checkpoint.path == str(weights)
        assert report.facts.environment["sandbox"].endswith("seccomp")
        assert ends == ["ok", "ok"]  # the scan and the load: nothing ran twice
        await ends_soon(spare)

        (await spare_of(dispatcher)).kill()
        for _ in range(500):
            if not loader(dispatcher)["spares"]:
                break
            await asyncio.sleep(0.02)
        report = await verify(dispatcher, "users:model")
        assert report.verdict is Verdict.VALID, report.message

        spare = await spare_of(dispatcher)
        failed = await verify(dispatcher, "users:fails")
        await ends_soon(spare)
        assert failed.verdict is Verdict.INCONCLUSIVE
        assert "no such run" in failed.message

        await spare_of(dispatcher)
        other = replace(make_request(weights, "users:model"))
        other = replace(other, settings=replace(other.settings, python_path=()))
        answer = await dispatcher.verify(other)
        assert answer.report is not None
        assert "python_path" in answer.report.message  # the spare for another watch is not used

        await dispatcher.warm(make_request(weights, "users:model").settings)
        await spare_of(dispatcher)
        del ends[:]
        report = await verify(dispatcher, "users:needs_a_new_process")
        assert report.verdict is Verdict.VALID, report.message
        assert ends == ["ok", "ok", "ok"]
        await asyncio.sleep(0.3)
        assert not loader(dispatcher)["spares"]  # none is made for what does not load in it

    with_dispatcher(tmp_path, work, threads=3)


def test_none_stays_or_is_made_where_memory_or_the_settings_forbid_it(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`spares = 0`, too little memory, no idle core, `idle_exit`: no spare."""
    make_at_once(monkeypatch)
    settings = make_request(weights, "users:model").settings

    async def work(dispatcher: LocalDispatcher, _ends: list[str]) -> None:
        await dispatcher.warm(settings)
        spare, pool = await spare_of(dispatcher), dispatcher.zygotes
        pool._idle_exit = 0.1
        idle = asyncio.create_task(pool._end_idle())
        await ends_soon(spare)  # with its zygote, which nobody used
        assert not loader(dispatcher)
        idle.cancel()
        dispatcher.configure(WorkerSettings(spares=0))
        await dispatcher.warm(settings)
        await asyncio.sleep(0.3)
        assert not psutil.Process(loader(dispatcher)["pid"]).children()
        dispatcher.configure(WorkerSettings(spares=1))
        busy = itertools.count(step=100)
        for module, name, value in (
            (spare_pool, "_MEMORY_TO_START", 1 << 60),
            (host_cores, "busy_seconds", lambda: (2, next(busy))),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(module, name, value)
                await dispatcher.warm(settings)
                await asyncio.sleep(0.3)
                assert not psutil.Process(loader(dispatcher)["pid"]).children()

    with_dispatcher(tmp_path, work)
