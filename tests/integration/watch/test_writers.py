"""Bursts, other tools and killed writers, seen through inotify."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.watch.events import Coalesced, GenerationUpdate
from tests.helpers.formats import savedmodel
from tests.helpers.mounts import without
from tests.helpers.watch import (
    hdf5_bytes,
    ready,
    watching,
    write_hdf5,
    write_keras,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_burst_is_reported_completely_and_each_once(tmp_path: Path) -> None:
    """Two thousand small checkpoints at once, from two processes: none lost, none twice."""
    content = hdf5_bytes()
    for n in range(20):
        (tmp_path / f"run{n}").mkdir()
    with watching(tmp_path, settle=0.5) as (_, recorder):
        ready(recorder)

        def burst(which: int) -> None:
            for n in range(1000):
                (tmp_path / f"run{n % 20}" / f"fold_{which}_{n}.h5").write_bytes(content)

        threads = [threading.Thread(target=burst, args=(which,)) for which in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        recorder.until(
            lambda events: (
                sum(isinstance(e, GenerationUpdate) and e.state == "settled" for e in events)
                >= 2000
            ),
            30,
        )
    settled = [e.checkpoint.path for e in recorder.of(GenerationUpdate) if e.state == "settled"]
    assert len(settled) == len(set(settled)) == 2000
    assert not recorder.of(Coalesced)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory on another file system, from where even `mv` has to copy."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as home:
        yield Path(home)


@pytest.mark.parametrize("command", ["cp", "cp -p", "mv", "rsync -a", "rsync -a --inplace"])
@pytest.mark.parametrize("name", ["m.h5", "m.keras", "export"])
def test_a_copy_by_other_tools_is_reported_once_and_complete(
    tmp_path: Path, elsewhere: Path, command: str, name: str
) -> None:
    """Whatever copies or moves it in from another file system: settled once, nothing torn."""
    tool, *options = command.split()
    if shutil.which(tool) is None:
        without(f"{tool} is not on this machine")
    assert elsewhere.stat().st_dev != tmp_path.stat().st_dev
    source = elsewhere / name
    {"m.h5": write_hdf5, "m.keras": write_keras, "export": savedmodel}[name](source)
    if tool == "cp" and source.is_dir():
        options.append("-r")
    with watching(tmp_path, settle=1.0) as (_, recorder):
        ready(recorder)
        subprocess.run([tool, *options, str(source), str(tmp_path)], check=True)
        sighting = recorder.until_seen(tmp_path / name)
        ready(recorder)
    brought = [p for p in (tmp_path / name, *(tmp_path / name).rglob("*")) if p.is_file()]
    assert sighting.generation.size_bytes == sum(p.stat().st_size for p in brought)
    states = recorder.states(tmp_path / name)
    assert states.count("settled") == 1
    assert "torn" not in states


def test_a_writer_that_is_killed_leaves_an_incomplete_file_that_is_torn(tmp_path: Path) -> None:
    """The kernel closes a killed writer's file: that alone makes nothing complete."""
    path = tmp_path / "m.h5"
    code = (
        "import os, sys, time; f = open(sys.argv[1], 'wb', buffering=0);"
        "f.write(bytes.fromhex(sys.argv[2])); print(flush=True); time.sleep(60)"
    )
    with watching(tmp_path, settle=0.1, torn_after=0.5) as (_, recorder):
        ready(recorder)
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(path), hdf5_bytes()[:-9].hex()],
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.kill()
        writer.communicate()
        recorder.until_seen(path, "torn")
    assert "settled" not in recorder.states(path)
