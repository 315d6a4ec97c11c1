"""A model that needs more memory than there is gets no bad word, and the same one every time.

Real models with few weights and large feature maps, large constants, one request larger than the
machine; and a builder that takes all it can get.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.check_result import Outcome
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Request
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch import host_memory
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.formats import generation_of

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.report import Report

pytestmark = [pytest.mark.slow(60), pytest.mark.timeout(300)]

GIB = 1 << 30
GREEDY = """
import os, signal

def private():
    hoard = []
    while True:
        hoard.append(bytearray(64 << 20))

def crashes_in_want():
    hoard = bytearray(1300 << 20)
    os.kill(os.getpid(), signal.SIGSEGV)

def good():
    import keras
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound models, by what they need, and weights that a builder loads."""
    import keras
    import numpy as np
    import tensorflow as tf

    home = tmp_path_factory.mktemp("memory")
    inputs = keras.Input((1280, 1280, 3))
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(inputs)
    x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    keras.Model(inputs, keras.layers.Conv2D(1, 1)(x)).save(home / "maps.keras")

    inputs = keras.Input((60_000, 16))
    x = keras.layers.MultiHeadAttention(4, 16)(inputs, inputs)
    keras.Model(inputs, x).save(home / "giant.keras")

    class Constants(tf.Module):  # type: ignore[misc]
        """Half a million rows that are no variable."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])  # type: ignore[untyped-decorator]
        def look_up(self, rows: object) -> dict[str, object]:
            """Gives rows of a constant."""
            table = tf.constant(np.random.default_rng(0).random((500_000, 64), np.float32))
            return {"row": tf.gather(table, rows)}

    made = Constants()
    tf.saved_model.save(made, str(home / "constants"), signatures=made.look_up)

    (home / "greedy.py").write_text(GREEDY)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    model.save_weights(home / "model.weights.h5")
    return home


def request_for(path: Path, builder: str = "") -> Request:
    """A request to verify a checkpoint, through a builder of the user's if one is named."""
    fmt = {".h5": Format.HDF5_WEIGHTS, ".keras": Format.KERAS}.get(path.suffix, Format.SAVEDMODEL)
    settings = VerifySettings()
    if builder:
        settings = VerifySettings(builder=f"greedy:{builder}", python_path=(str(path.parent),))
    return Request(Checkpoint(str(path), fmt), generation_of(str(path), fmt), settings)


def verified(scratch: Path, requests: list[Request], **worker: object) -> list[Report]:
    """Verify one after the other, by one dispatcher."""

    async def run() -> list[Report]:
        dispatcher = LocalDispatcher(WorkerSettings.model_validate(worker), scratch)
        try:
            answers = [await dispatcher.verify(request) for request in requests]
        finally:
            await dispatcher.close()
        return [answer.report for answer in answers if answer.report is not None]

    return asyncio.run(run())


def reasons(report: Report) -> dict[str, str]:
    """The reasons of a report by check."""
    return {check.name: check.reason for check in report.checks if check.reason}


def test_a_sound_model_is_never_invalid_for_lack_of_memory(models: Path, tmp_path: Path) -> None:
    """With a configured gigabyte it is valid and not shown to run; the message names the key."""
    names = ("maps.keras", "maps.keras", "giant.keras")
    requests = [request_for(models / name) for name in names]
    for report in verified(tmp_path, requests, memory="1GiB"):
        assert report.verdict is Verdict.VALID, report.message
        assert report.shown == ("intact", "loads")
        assert reasons(report)["inference"] == "inference.out_of_memory"
        message = next(c.message for c in report.checks if c.name == "inference")
        assert "of the 1.0 GiB that [worker] memory allows" in message
        outcomes = {check.name: check.outcome for check in report.checks}
        assert outcomes["resume"] is Outcome.SKIP


@pytest.mark.parametrize("spare", [0, 2 * GIB])
def test_with_little_to_spare_the_verdict_is_the_same_every_time(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spare: int
) -> None:
    """Large constants too, whose graph is copied several times as it loads."""
    monkeypatch.setattr(host_memory, "available_bytes", lambda: spare)
    paths = (models / "constants", models / "maps.keras")
    requests = [request_for(path) for path in paths for _ in range(2)]
    reports = verified(tmp_path, requests)
    for first, again in (reports[:2], reports[2:]):
        assert first.verdict is not Verdict.INVALID, first.message
        assert (first.verdict, reasons(first)) == (again.verdict, reasons(again))


def test_without_a_number_the_machine_decides(models: Path, tmp_path: Path) -> None:
    """Feature maps of gigabytes beside weights of kilobytes run where there is memory for them."""
    if host_memory.available_bytes() < 6 * GIB:
        pytest.skip("this machine has too little memory to spare")
    [report] = verified(tmp_path, [request_for(models / "maps.keras")])
    assert report.shown == ("intact", "loads", "runs"), report


def test_a_child_that_takes_all_memory_is_killed_and_the_next_one_is_verified(
    models: Path, tmp_path: Path
) -> None:
    """So is a crash that comes where memory is short."""
    weights = models / "model.weights.h5"
    builders = ("private", "crashes_in_want", "good")
    requests = [request_for(weights, builder) for builder in builders]
    *greedy, good = verified(tmp_path, requests, memory="2GiB")
    for report in greedy:
        assert report.verdict is Verdict.INCONCLUSIVE, report.message
        assert report.reason == "load.out_of_memory", (report.message, report.stderr)
        assert "[worker] memory" in report.message
    assert good.verdict is Verdict.VALID, good.message
