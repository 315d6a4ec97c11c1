"""Whatever a config names as `python`: a sentence in the report, and the others go on."""

from __future__ import annotations

import asyncio
import venv
from typing import TYPE_CHECKING

import psutil
import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Request
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch import zygote, zygote_pool
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.formats import generation_of
from tests.helpers.children import own_children
from tests.helpers.hung import hung_file_system, needs_fuse
from tests.helpers.interpreters import bare, of_version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from checkpointd.core.report import Report


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small Keras model, and the builder of it beside them."""
    import keras

    directory = tmp_path_factory.mktemp("weights")
    (directory / "builds.py").write_text(
        "def good():\n"
        "    import keras\n"
        "    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])\n"
    )
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    path = directory / "model.weights.h5"
    model.save_weights(path)
    return path


def request_for(weights: Path, python: object = "") -> Request:
    """Have the weights loaded by an interpreter."""
    fmt = Format.HDF5_WEIGHTS
    return Request(
        Checkpoint(str(weights), fmt),
        generation_of(str(weights), fmt),
        VerifySettings(
            builder="builds:good", python_path=(str(weights.parent),), python=str(python)
        ),
    )


def dispatching(scratch: Path, work: Callable[[LocalDispatcher], Awaitable[None]]) -> None:
    """Run something with a dispatcher of one place, closed afterwards."""

    async def run() -> None:
        dispatcher = LocalDispatcher(WorkerSettings(), scratch)
        try:
            await work(dispatcher)
        finally:
            await dispatcher.close()

    asyncio.run(run())


async def verified(dispatcher: LocalDispatcher, request: Request) -> Report:
    """Verify to a report."""
    answer = await dispatcher.verify(request)
    assert answer.report is not None
    return answer.report


def _missing(home: Path) -> Path:
    return home / "bin" / "python"


def _directory(home: Path) -> Path:
    home.mkdir()
    return home


def _closed(home: Path) -> Path:
    home.write_bytes(b"\x7fELF")
    home.chmod(0o644)
    return home


def _text(home: Path) -> Path:
    home.write_text("echo I am no Python\n")
    home.chmod(0o755)
    return home


def _liar(home: Path) -> Path:
    home.write_text("#!/bin/sh\necho what am I doing here >&2\nexit 3\n")
    home.chmod(0o755)
    return home


def _crashing(home: Path) -> Path:
    return bare(home, "import os\nos.kill(os.getpid(), 11)\n")


def _failing(home: Path) -> Path:
    return bare(home, "raise ImportError('libcudart.so.11: cannot open\\nshared object file')\n")


def _leaving(home: Path) -> Path:
    return bare(home, "import sys\nsys.exit('no license for this machine')\n")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_missing, "cannot be started (No such file or directory)"),
        (_directory, "cannot be started (Permission denied)"),
        (_closed, "cannot be started (Permission denied)"),
        (_text, "cannot be started (Exec format error)"),
        (_liar, "exited with code 3 and is not a working Python (its last output: what a"),
        (bare, "has no TensorFlow"),
        (_crashing, "was killed by SIGSEGV during its imports"),
        (_failing, "cannot import what it needs (ImportError: libcudart.so.11: cannot open shared"),
        (_leaving, "exited with code 1 and is not a working Python (its last output: no li"),
    ],
)
def test_an_unusable_interpreter_is_reported_with_the_line_to_correct(
    weights: Path, tmp_path: Path, make: Callable[[Path], Path], told: str
) -> None:
    """The verdict is inconclusive, with the reason, and keeps what the scan has shown."""
    python = make(tmp_path / "other")

    async def work(dispatcher: LocalDispatcher) -> None:
        report = await verified(dispatcher, request_for(weights, python))
        assert (report.verdict, report.reason) == (Verdict.INCONCLUSIVE, "load.environment")
        assert report.message.startswith(f"{python} {told}"), report.message
        assert report.message.endswith(f': correct the line python = "{python}" in [watch.verify].')
        assert report.shown == ("intact",)
        rows = [row for row in dispatcher.status() if row["kind"] == "load"]
        assert [(row["up"], row["message"]) for row in rows] == [(False, report.message)]

    dispatching(tmp_path / "scratch", work)


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8"])
def test_a_python_that_is_too_old_is_reported_with_its_version(
    weights: Path, tmp_path: Path, version: str
) -> None:
    """It is no riddle of syntax errors."""
    python = of_version(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")

    async def work(dispatcher: LocalDispatcher) -> None:
        report = await verified(dispatcher, request_for(weights, python))
        assert report.reason == "load.environment"
        assert f"is Python {version}." in report.message
        assert "and 3.9 or newer is needed: correct the line" in report.message

    dispatching(tmp_path, work)


def test_an_import_that_hangs_delays_no_other_checkpoint(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one place for all, the others are verified while it is given longer, and after."""
    python = bare(tmp_path / "other", "import time\ntime.sleep(1000)\n")

    async def work(dispatcher: LocalDispatcher) -> None:
        await dispatcher.zygotes.get("scan", "")
        monkeypatch.setattr(zygote_pool, "_START_WAIT_SECONDS", 0.3)
        monkeypatch.setattr(zygote, "_START_SECONDS", 3.0)
        report = await verified(dispatcher, request_for(weights, python))
        assert report.reason == "load.environment"
        assert "did not finish its imports within 0.3 s; it goes on starting" in report.message
        await asyncio.wait({dispatcher.zygotes._starts["load", str(python)].task})
        report = await verified(dispatcher, request_for(weights, python))
        assert "did not finish its imports within 3 s: correct the line" in report.message
        monkeypatch.setattr(zygote_pool, "_START_WAIT_SECONDS", 60.0)
        monkeypatch.setattr(zygote, "_START_SECONDS", 60.0)
        assert (await verified(dispatcher, request_for(weights))).verdict is Verdict.VALID

    dispatching(tmp_path / "scratch", work)


@needs_fuse
def test_an_interpreter_on_a_hung_file_system_blocks_neither_the_loop_nor_the_shutdown(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can kill what hangs there; everything else goes on, and the daemon can end."""
    monkeypatch.setattr(zygote_pool, "_START_WAIT_SECONDS", 2.0)
    with hung_file_system(tmp_path / "nfs") as mount:

        async def work(dispatcher: LocalDispatcher) -> None:
            report = await verified(dispatcher, request_for(weights, mount / "bin" / "python"))
            assert "did not finish its imports within 2 s" in report.message
            monkeypatch.setattr(zygote_pool, "_START_WAIT_SECONDS", 60.0)
            assert (await verified(dispatcher, request_for(weights))).verdict is Verdict.VALID

        dispatching(tmp_path / "scratch", work)
        # The one that hangs, if the kernel has not ended it by now.
        assert len(own_children(recursive=False)) <= 1
    assert not psutil.wait_procs(own_children(recursive=False), timeout=60)[1]


def test_an_interpreter_that_was_repaired_is_used_at_once(weights: Path, tmp_path: Path) -> None:
    """A failure is remembered for the status, and never in the way."""
    python = tmp_path / "other" / "bin" / "python"

    async def work(dispatcher: LocalDispatcher) -> None:
        report = await verified(dispatcher, request_for(weights, python))
        assert report.reason == "load.environment"
        await asyncio.to_thread(venv.create, python.parents[1], with_pip=False)
        report = await verified(dispatcher, request_for(weights, python))
        assert f"{python} has no TensorFlow" in report.message

    dispatching(tmp_path / "scratch", work)


def test_a_loader_that_is_renewed_is_a_new_process(weights: Path, tmp_path: Path) -> None:
    """Newly installed packages are imported; a load in progress is not disturbed."""

    async def work(dispatcher: LocalDispatcher) -> None:
        first = await dispatcher.zygotes.get("load", "")
        dispatcher.zygotes.renew("")
        second = await dispatcher.zygotes.get("load", "")
        assert first.pid == 0
        assert second.pid > 0
        report = await verified(dispatcher, request_for(weights))
        assert report.verdict is Verdict.VALID

    dispatching(tmp_path, work)
