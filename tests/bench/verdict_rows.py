"""Rows: verdicts of a running daemon, one at a time, many at once, and on large models."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

from tests.bench.row import Measured, Row, faster, longer, median
from tests.helpers.daemon import BARE, Daemon, daemon_in, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.bench.place import Place

    Copy = Callable[..., Any]

SMALL = ("m.h5", "m.keras", "m")
_INTERPRETERS = 4
_SPARE = 20.0
_ONE_WORKER = '\n[worker]\nidle_exit = "30m"\n'
_WORKERS = '\n[worker]\nconcurrency = 2\nidle_exit = "30m"\n'


def _records(path: Path) -> list[Path]:
    """The golden record beside a file; a SavedModel's is inside it."""
    record = path.with_name(path.name + ".golden.npz")
    return [record] if record.exists() else []


def _wait_for_spare(daemon: Daemon) -> None:
    """Wait for what an idle daemon has ready, once it has loaded anything: a spare.

    None is made while something else uses every core.
    """
    workers = daemon.status()["workers"]
    if any(worker["kind"] == "load" and worker["up"] for worker in workers):
        with contextlib.suppress(AssertionError):
            eventually(
                "a spare", lambda: any(w["spares"] for w in daemon.status()["workers"]), _SPARE
            )


def latency(daemon: Daemon, source: Path, turns: int, copy: Copy = shutil.copy2) -> list[float]:
    """Seconds from the rename that completes a checkpoint to its verdict, all checks passed.

    Args:
        daemon: it runs.
        source: the checkpoint, which is copied first.
        turns: how often.
        copy: copies one file.
    """
    seconds = []
    for turn in range(turns):
        target = daemon.runs / f"{source.stem}-{turn}{source.suffix}"
        staged = daemon.home / "staged"
        for record in _records(source):
            shutil.copy(record, target.with_name(target.name + ".golden.npz"))
        if source.is_dir():
            shutil.copytree(source, staged, copy_function=copy)
        else:
            copy(source, staged)
        _wait_for_spare(daemon)
        began = time.time()
        staged.rename(target)
        entry = daemon.verdict(target, 900)
        assert entry["verdict"] == "valid", entry
        seconds.append(entry["verified_at"] - began)
        shutil.rmtree(target) if source.is_dir() else target.unlink()
        eventually("an idle queue", lambda: not daemon.status()["queue"]["length"])
    return seconds


def small(place: Place) -> Sequence[Measured]:
    """One small checkpoint, warm, against a new interpreter that loads and calls it."""
    made = [place.model(name, 0.9) for name in SMALL]
    with daemon_in(place.home, BARE + _WORKERS) as daemon:
        daemon.start()
        latency(daemon, made[0], 1)
        found = []
        for path in made:
            theirs = median(place.seconds("yardsticks", "new", path))
            ours = median(latency(daemon, path, max(place.turns, 5)))
            found.append(
                faster(f"verdict on a 1 MB {path.suffix or 'SavedModel'}", ours, theirs, 20)
            )
        daemon.stop()
    return found


def many(place: Place) -> Sequence[Measured]:
    """Fifty at once, against new interpreters, two at a time as well."""
    found = []
    count = place.count(50)
    for name in ("m.keras", "m"):
        source = place.model(name, 0.9)
        theirs = median(place.seconds("yardsticks", "new", source, turns=_INTERPRETERS)) * count / 2
        home = place.home / f"many-{source.name}"
        home.mkdir()
        with daemon_in(home, BARE + _WORKERS) as daemon:
            daemon.start()
            latency(daemon, source, 1)
            staged = home / "staged"
            staged.mkdir()
            for number in range(count):
                copy = staged / f"{source.stem}-{number}{source.suffix}"
                (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
                for record in _records(source):
                    shutil.copy(record, daemon.runs / f"{copy.name}.golden.npz")
            began = time.time()
            for copy in staged.iterdir():
                copy.rename(daemon.runs / copy.name)

            def valid(daemon: Daemon = daemon) -> bool:
                time.sleep(0.2)
                return bool(daemon.status()["watches"][0]["counts"].get("valid", 0) >= count)

            eventually("all verdicts", valid, 900)
            ours = time.time() - began
            daemon.stop()
        kind = source.suffix or "SavedModel"
        found.append(
            faster(f"{count} at once, {kind}", ours, theirs, 20, interpreters_timed=_INTERPRETERS)
        )
        shutil.rmtree(home)
    return found


def large(place: Place) -> Sequence[Measured]:
    """All checks on large models, against a warm load and one call.

    Their files are linked: a copy of 8 GiB would be written to the disk meanwhile, and in 24 GiB
    of memory it would displace the original from the page cache, where the yardstick finds it.
    """
    found = []
    for name, mebibytes in (("large", 4096), ("large.h5", 1024), ("large.keras", 1024)):
        path = place.model(name, mebibytes)
        theirs = median(place.seconds("yardsticks", "load", path))
        home = place.home / f"daemon-{name}"
        home.mkdir()
        with daemon_in(home, BARE + _ONE_WORKER) as daemon:
            daemon.start()
            latency(daemon, place.model("m.h5", 0.9), 1)
            ours = median(latency(daemon, path, place.turns, os.link))
            daemon.stop()
        shutil.rmtree(home)
        what = f"all checks on {mebibytes * place.scale / 1024:g} GiB {path.suffix or 'SavedModel'}"
        found.append(longer(what, ours, theirs, 1.2))
    return found


ROWS = (Row("small", small), Row("many", many), Row("large", large))
