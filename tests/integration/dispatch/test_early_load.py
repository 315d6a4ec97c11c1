"""A load that begins while the weights are scanned: the same reports, and none for damaged ones."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import WorkerSettings
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Request
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch import early_load
from checkpointd.dispatch.local import LocalDispatcher
from checkpointd.formats import generation_of
from checkpointd.worker.protocol import LOAD
from tests.helpers.files import flip
from tests.helpers.fleet import as_answered

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.report import Report

NAMES = {
    "m.keras": Format.KERAS,
    "m": Format.SAVEDMODEL,
    "m.weights.h5": Format.HDF5_WEIGHTS,
}
BUILDER = """
def made():
    import keras
    return keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(64)])
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with an optimizer in each format, and without one, twice: one copy is damaged."""
    import keras
    import numpy as np

    from checkpointd.training import save

    root = tmp_path_factory.mktemp("models")
    (root / "early_builder.py").write_text(BUILDER)
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(64)])
    model.compile(optimizer="adam", loss=keras.losses.MeanSquaredError())
    batch = np.ones((4, 64), "float32")
    model.fit(batch, batch, verbose=0)
    for directory in ("good", "damaged"):
        (root / directory).mkdir()
        for name in ("m.keras", "m"):
            save(model, str(root / directory / name), golden=batch)
        model.save_weights(root / directory / "m.weights.h5")
    return root


def request_for(models: Path, directory: str, name: str) -> Request:
    """A request to verify one of them."""
    path, fmt = str(models / directory / name), NAMES[name]
    settings = VerifySettings(
        builder="early_builder:made" if name == "m.weights.h5" else "",
        python_path=(str(models),),
    )
    return Request(Checkpoint(path, fmt), generation_of(path, fmt), settings)


def test_reports_are_those_of_a_load_that_waits(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same checks in the same order, results and facts; a damaged one is loaded no further.

    They are the same, too, where a worker of a fleet sends them.
    """
    size = (models / "damaged/m.keras").stat().st_size
    flip(models / "damaged/m.keras", size // 2)
    began: list[str] = []
    first_attempt = early_load.EarlyLoad._begin

    def begin(early: early_load.EarlyLoad, checks: list[object]) -> None:
        began.append(LOAD)
        first_attempt(early, checks)  # type: ignore[arg-type]

    monkeypatch.setattr(early_load.EarlyLoad, "_begin", begin)

    async def report_of(dispatcher: LocalDispatcher, request: Request) -> tuple[Report, list[str]]:
        seen: list[str] = []
        answer = await dispatcher.verify(request, lambda check: seen.append(check.name))
        assert answer.report is not None, answer
        return answer.report, seen

    async def run() -> None:
        dispatcher = LocalDispatcher(WorkerSettings(threads=2), tmp_path)
        try:
            for directory, name in [*(("good", name) for name in NAMES), ("damaged", "m.keras")]:
                request = request_for(models, directory, name)
                began.clear()
                monkeypatch.setattr(early_load, "SMALLEST", 1 << 40)
                waiting, seen_waiting = await report_of(dispatcher, request)
                assert not began
                monkeypatch.setattr(early_load, "SMALLEST", 0)
                early, seen = await report_of(dispatcher, request)
                assert began == [LOAD]
                expected = Verdict.INVALID if directory == "damaged" else Verdict.VALID
                assert early.verdict is expected, early.message
                assert comparable(early) == comparable(waiting)
                assert seen == seen_waiting
                assert as_answered(request, early) == early
                assert not any(row["busy"] for row in dispatcher.status())
        finally:
            await dispatcher.close()

    asyncio.run(run())


def comparable(report: Report) -> object:
    """A report without what differs from run to run."""
    checks = [(c.name, c.outcome, c.reason, c.message) for c in report.checks]
    facts = replace(report.facts, predictions_max_abs_difference=None)
    return checks, facts, report.verdict, report.reason, report.shown
