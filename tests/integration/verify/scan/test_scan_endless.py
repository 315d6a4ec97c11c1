"""A damaged file on which libhdf5 goes round in circles for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import h5py
import numpy as np

from checkpointd.config import WorkerSettings
from checkpointd.core.check_result import Outcome
from checkpointd.core.verdict import Verdict
from checkpointd.dispatch.local import LocalDispatcher
from tests.helpers.scan import request_for

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.request import Answer


def circular(path: Path) -> None:
    """A model whose heap of attribute values has lost a sector: its objects have no size now."""
    with h5py.File(path, "w") as file:
        for number in range(20):
            file.attrs[f"attribute_{number}"] = "some text of variable length " * 3
        file.attrs["model_config"] = '{"class_name": "Sequential", "config": {}}'
        file.attrs["keras_version"] = "3.15.1"
        file.create_dataset("model_weights/dense/kernel", data=np.ones(16, np.float32))
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 1024 : heap + 1536] = bytes(512)
    path.write_bytes(data)


def test_it_is_malformed_after_seconds_and_not_after_the_whole_time_out(tmp_path: Path) -> None:
    """Only a signal ends it; the daemon knows the signal, and the next one is verified."""
    path, good = tmp_path / "m.h5", tmp_path / "good.h5"
    circular(path)
    with h5py.File(good, "w") as file:
        file.attrs["model_config"] = '{"class_name": "Sequential", "config": {}}'
        file.create_dataset("model_weights/dense/kernel", data=np.ones(16, np.float32))

    async def verify() -> list[Answer]:
        dispatcher = LocalDispatcher(WorkerSettings(timeout=100.0), tmp_path / "scratch")
        skip = ("load", "signatures", "inference", "predictions", "resume", "evaluate")
        try:
            return [await dispatcher.verify(request_for(p, skip=skip)) for p in (path, good)]
        finally:
            await dispatcher.close()

    broken, whole = asyncio.run(verify())
    assert broken.report is not None
    assert broken.report.reason == "structure.malformed"
    assert "loops forever" in broken.report.message
    assert broken.report.checks[0].outcome is Outcome.FAIL
    assert broken.report.duration_seconds < 90
    assert whole.report is not None
    assert whole.report.verdict is Verdict.VALID
