"""What the tests of watch/ share: a watcher whose events are awaited, and small real files."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from checkpointd.config import WatchSettings
from checkpointd.watch.events import GenerationUpdate, Reconciled, WatchEvent
from checkpointd.watch.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

PATIENCE_SECONDS = 60.0


class Recorder:
    """Takes a watcher's events and lets a test wait for what it expects."""

    def __init__(self) -> None:
        self.events: list[WatchEvent] = []
        self.times: list[float] = []
        self._changed = threading.Condition()

    def __call__(self, event: WatchEvent) -> None:
        """Take one event."""
        with self._changed:
            self.events.append(event)
            self.times.append(time.monotonic())
            self._changed.notify_all()

    def until(
        self, expected: Callable[[list[WatchEvent]], object], seconds: float = PATIENCE_SECONDS
    ) -> list[WatchEvent]:
        """Wait until the events so far are as expected.

        Raises:
            AssertionError: they are not within that time.
        """
        with self._changed:
            done = self._changed.wait_for(lambda: expected(self.events), seconds)
            assert done, f"it did not come; there were: {self.events}"
            return list(self.events)

    def of(self, kind: type[Any], path: object = None) -> list[Any]:
        """The events of one kind, of one path if given."""
        with self._changed:
            return [
                e
                for e in self.events
                if isinstance(e, kind) and (path is None or _path(e) == str(path))
            ]

    def states(self, path: object) -> list[str]:
        """The states in which a path was seen, in order."""
        return [event.state for event in self.of(GenerationUpdate, path)]

    def until_seen(self, path: object, state: str = "settled", times: int = 1) -> GenerationUpdate:
        """Wait until a path was seen in a state so many times; returns the last sighting."""
        self.until(lambda _: self.states(path).count(state) >= times)
        updates = self.of(GenerationUpdate, path)
        found: GenerationUpdate = [update for update in updates if update.state == state][-1]
        return found

    def until_event(self, kind: type[Any], path: object = None) -> Any:
        """Wait for an event of one kind."""
        self.until(lambda _: self.of(kind, path))
        return self.of(kind, path)[-1]


def _path(event: Any) -> str:
    if isinstance(event, GenerationUpdate):
        return event.checkpoint.path
    return getattr(event, "path", "")


def settings(root: Path, **rest: Any) -> WatchSettings:
    """A watch of `root` with the defaults, but for what is given."""
    return WatchSettings.model_validate({"name": "w", "path": root, **rest})


@contextlib.contextmanager
def watching(
    root: Path,
    known: Mapping[str, str] | None = None,
    series: Mapping[str, str] | None = None,
    **rest: Any,
) -> Iterator[tuple[Watcher, Recorder]]:
    """Run a real watcher."""
    recorder = Recorder()
    watcher = Watcher(settings(root, **rest), known or {}, recorder, series=series)
    watcher.start()
    try:
        yield watcher, recorder
    finally:
        watcher.stop()


def write_hdf5(path: Path, size: int = 16) -> None:
    """A small whole model in HDF5, as its writer leaves it: `size` float32 weights."""
    with h5py.File(path, "w") as file:
        fill_hdf5(file, size)


def fill_hdf5(file: h5py.File, size: int = 16) -> None:
    """Put a model into an HDF5 file that stays open."""
    file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {}})
    file.attrs["keras_version"] = "3.15.1"
    file.create_dataset("model_weights/dense/kernel", data=np.ones(size, np.float32))


def write_keras(path: Path) -> None:
    """A small `.keras` archive."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {}}))
        archive.writestr("model.weights.h5", hdf5_bytes())


def hdf5_bytes(size: int = 16) -> bytes:
    """The bytes of a small model in HDF5."""
    import io

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill_hdf5(file, size)
    return buffer.getvalue()


def until_overdue(watcher: Watcher, recorder: Recorder, path: Path) -> int:
    """Call what is reported of a path incomplete until it is overdue; return how often it was.

    Once more before that, when it is idle.
    """
    times = 1
    while not (seen := recorder.until_seen(path, times=times)).overdue:
        assert seen.idle or times == 1
        watcher.mark_incomplete(str(path), seen.generation.key)
        times += 1
    assert times in (2, 3)
    return times


def ready(recorder: Recorder) -> None:
    """Wait for the first full comparison."""
    recorder.until_event(Reconciled)


def offset_of_a_kernel(path: Path) -> int:
    """Where in an HDF5 file the values of some weight begin."""
    offsets: list[int] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name.endswith("kernel"):
            offsets.append(item.id.get_offset())

    with h5py.File(path, "r", locking=False) as file:
        file["model_weights"].visititems(visit)
    return offsets[0]
