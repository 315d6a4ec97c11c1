"""A real watcher on a real file system with real writers, woken by inotify."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import h5py
import pytest

from checkpointd.core.format_specs import Format
from checkpointd.watch import watcher as watcher_module
from checkpointd.watch.events import GenerationUpdate, Gone, Reconciled, WatchHealth
from tests.helpers.watch import (
    fill_hdf5,
    hdf5_bytes,
    ready,
    until_overdue,
    watching,
    write_hdf5,
    write_keras,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_saved_file_is_settled_within_half_a_second_of_its_last_byte(tmp_path: Path) -> None:
    """A closed 1 MB `.h5` waits for no settle time."""
    with watching(tmp_path, settle=60.0) as (_, recorder):
        ready(recorder)
        write_hdf5(tmp_path / "model_epoch_07.h5", 250_000)
        ended = time.monotonic()
        sighting = recorder.until_seen(tmp_path / "model_epoch_07.h5")
        assert recorder.times[recorder.events.index(sighting)] - ended < 0.5
    assert sighting.checkpoint.format is Format.HDF5
    assert (sighting.checkpoint.watch, sighting.checkpoint.series) == ("w", "model_epoch_{}.h5")
    assert (sighting.checkpoint.version, sighting.checkpoint.step) == ("07", 7)
    assert sighting.generation.size_bytes == (tmp_path / "model_epoch_07.h5").stat().st_size


def test_a_file_that_was_renamed_into_place_is_settled_within_half_a_second(
    tmp_path: Path,
) -> None:
    """The rename of an atomic save is its commit: watchdog must not hold it back."""
    with watching(tmp_path, settle=60.0) as (_, recorder):
        ready(recorder)
        for turn in range(5):
            write_keras(tmp_path / ".checkpointd-tmp-x")
            path = tmp_path / f"m_{'abcde'[turn]}.keras"
            (tmp_path / ".checkpointd-tmp-x").rename(path)
            ended = time.monotonic()
            sighting = recorder.until_seen(path)
            assert recorder.times[recorder.events.index(sighting)] - ended < 0.5


def test_a_file_that_is_flushed_and_still_open_is_not_settled(tmp_path: Path) -> None:
    """An `.h5` that looks complete and is open belongs to its writer until it is closed."""
    path = tmp_path / "m.h5"
    with watching(tmp_path, settle=60.0) as (watcher, recorder):
        ready(recorder)
        with h5py.File(path, "w") as file:
            fill_hdf5(file)
            file.flush()
            recorder.until_seen(path, "writing")
            before = len(recorder.of(Reconciled))
            watcher.wake()
            recorder.until(lambda _: len(recorder.of(Reconciled)) > before)
            assert "settled" not in recorder.states(path)
        recorder.until_seen(path)
    assert recorder.states(path) == ["writing", "settled"]


def test_every_generation_of_an_overwritten_path_is_reported_once(tmp_path: Path) -> None:
    """`best_model.h5` comes again each time that it is saved, and only then."""
    path = tmp_path / "best_model.h5"
    with watching(tmp_path, settle=60.0) as (watcher, recorder):
        ready(recorder)
        keys = []
        for turn in range(1, 4):
            write_hdf5(path, 16 * turn)
            keys.append(recorder.until_seen(path, times=turn).generation.key)
        watcher.wake()
        recorder.until(lambda _: len(recorder.of(Reconciled)) > 1)
    assert recorder.states(path).count("settled") == 3
    assert len(set(keys)) == 3


def test_a_chmod_and_a_hard_link_are_no_new_generation(tmp_path: Path) -> None:
    """Identity survives what does not change the content."""
    path = tmp_path / "m.h5"
    write_hdf5(path)
    with watching(tmp_path) as (watcher, recorder):
        recorder.until_seen(path)
        path.chmod(0o600)
        os.link(path, tmp_path / "other.h5")
        recorder.until_seen(tmp_path / "other.h5")
        watcher.wake()
        recorder.until(lambda _: len(recorder.of(Reconciled)) > 1)
    assert recorder.states(path) == ["settled"] or recorder.states(path) == ["writing", "settled"]


def test_a_known_checkpoint_is_reported_only_when_it_changed(tmp_path: Path) -> None:
    """After a restart nothing is verified again that the ledger has a verdict for."""
    same, other = tmp_path / "same.h5", tmp_path / "other.h5"
    write_hdf5(same)
    write_hdf5(other)
    with watching(tmp_path) as (_, recorder):
        key = recorder.until_seen(same).generation.key
        recorder.until_seen(other)
    with watching(tmp_path, {str(same): key, str(other): "00"}) as (_, recorder):
        ready(recorder)
        recorder.until_seen(other)
        assert recorder.states(same) == []


def test_a_removed_checkpoint_is_gone(tmp_path: Path) -> None:
    """A removed file, a removed directory, and one removed while not watched."""
    (tmp_path / "run").mkdir()
    one, two, three = tmp_path / "1.h5", tmp_path / "run" / "2.h5", tmp_path / "3.h5"
    write_hdf5(one)
    write_hdf5(two)
    (tmp_path / "stays").write_text("x")
    with watching(tmp_path, {str(three): "00"}) as (_, recorder):
        recorder.until_event(Gone, three)
        recorder.until_seen(one)
        recorder.until_seen(two)
        one.unlink()
        recorder.until_event(Gone, one)
        shutil.rmtree(tmp_path / "run")
        recorder.until_event(Gone, two)


def test_a_directory_that_is_moved_takes_its_checkpoints_along(tmp_path: Path) -> None:
    """After a rename everything is reported under its new path, and the old ones are gone."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    write_hdf5(tmp_path / "a" / "b" / "m.h5")
    with watching(tmp_path) as (_, recorder):
        recorder.until_seen(tmp_path / "a" / "b" / "m.h5")
        (tmp_path / "a").rename(tmp_path / "c")
        recorder.until_seen(tmp_path / "c" / "b" / "m.h5")
        recorder.until_event(Gone, tmp_path / "a" / "b" / "m.h5")
        write_hdf5(tmp_path / "c" / "b" / "n.h5")
        recorder.until_seen(tmp_path / "c" / "b" / "n.h5")


def test_new_directories_are_watched_at_once(tmp_path: Path) -> None:
    """A job that starts makes directories and saves right away."""
    with watching(tmp_path, settle=1.0) as (_, recorder):
        ready(recorder)
        deep = tmp_path / "runs" / "x" / "y"
        deep.mkdir(parents=True)
        write_hdf5(deep / "m.h5")
        recorder.until_seen(deep / "m.h5")
        write_hdf5(deep / "n.h5")
        recorder.until_seen(deep / "n.h5")


def test_an_incomplete_file_is_torn_after_torn_after_and_a_later_save_repairs_it(
    tmp_path: Path,
) -> None:
    """A killed save is reported with its reason; the next save of that name is a new generation."""
    path = tmp_path / "m.h5"
    with watching(tmp_path, settle=0.1, torn_after=0.6) as (_, recorder):
        ready(recorder)
        path.write_bytes(hdf5_bytes()[:-100])
        torn = recorder.until_seen(path, "torn")
        assert torn.reason == "structure.truncated"
        assert torn.message
        write_hdf5(path)
        recorder.until_seen(path)
    assert recorder.states(path)[:2] == ["writing", "torn"]


def test_an_old_incomplete_file_is_torn_at_the_first_scan(tmp_path: Path) -> None:
    """A file cut off long before the daemon started is reported without another wait."""
    path = tmp_path / "m.h5"
    path.write_bytes(hdf5_bytes()[:-100])
    os.utime(path, (1e9, 1e9))
    changed = path.stat().st_ctime
    while time.time() < changed + 0.5:
        time.sleep(0.05)
    with watching(tmp_path, settle=0.1, torn_after=0.5) as (_, recorder):
        recorder.until_seen(path, "torn")
    assert recorder.states(path) == ["torn"]


def test_a_generation_marked_incomplete_keeps_waiting(tmp_path: Path) -> None:
    """What only the reader could see is waited for, judged in the end, or settled anew."""
    path = tmp_path / "m.h5"
    with watching(tmp_path, settle=0.1, torn_after=3.0) as (watcher, recorder):
        ready(recorder)
        write_hdf5(path)
        times = until_overdue(watcher, recorder, path)
        write_hdf5(path, 99)
        assert not recorder.until_seen(path, times=times + 1).overdue


def test_report_again_reports_the_present_generation_once_more(tmp_path: Path) -> None:
    """A checkpoint that changed under its reader is reported again, even if it looks the same."""
    path = tmp_path / "m.h5"
    write_hdf5(path)
    with watching(tmp_path) as (watcher, recorder):
        recorder.until_seen(path)
        watcher.report_again(str(path))
        recorder.until_seen(path, times=2)


def test_other_files_are_counted_and_left_alone(tmp_path: Path) -> None:
    """A data set in HDF5, a text and an empty folder are no checkpoints."""
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["images"] = [1, 2, 3]
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    os.utime(tmp_path / "data.h5", (1e9, 1e9))
    with watching(tmp_path, settle=0.1) as (watcher, recorder):
        ready(recorder)
        write_hdf5(tmp_path / "m.h5")
        recorder.until_seen(tmp_path / "m.h5")
        assert watcher.status().unknown >= 1
        assert not recorder.of(GenerationUpdate, tmp_path / "notes.txt")


@pytest.mark.parametrize(
    "name", [b"new\nline.h5", b"\xff\xfe.h5", b"-rf.h5", b"x" * 252 + b".h5", b"{} {0}.h5", b" .h5"]
)
def test_strange_names_are_watched_like_any_other(tmp_path: Path, name: bytes) -> None:
    """Newlines, bytes that are no UTF-8, 255 bytes and leading dashes never break anything."""
    with watching(tmp_path) as (_, recorder):
        ready(recorder)
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(hdf5_bytes())
        recorder.until_seen(path)
        path.unlink()
        recorder.until_event(Gone, path)


def test_include_and_exclude_choose_by_the_path_below_the_root(tmp_path: Path) -> None:
    """An excluded path is never reported, nor is one that is not included."""
    for name in ("keep/m.h5", "keep/old/m.h5", "other.h5", "keep/m.keras"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (write_keras if name.endswith("keras") else write_hdf5)(tmp_path / name)
    with watching(tmp_path, include=("keep/**/*.h5",), exclude=("**/old",), settle=0.1) as (
        _,
        recorder,
    ):
        recorder.until_seen(tmp_path / "keep" / "m.h5")
        ready(recorder)
        assert {e.checkpoint.path for e in recorder.of(GenerationUpdate)} == {
            str(tmp_path / "keep/m.h5")
        }


def test_a_missing_root_is_waited_for_and_may_disappear_again(tmp_path: Path) -> None:
    """A root may be made after the daemon starts, removed, and made again."""
    root = tmp_path / "root"
    with watching(root) as (watcher, recorder):
        assert "does not exist" in recorder.until_event(WatchHealth).message
        assert not watcher.status().up
        for turn in (1, 2):
            root.mkdir()
            ready(recorder)
            write_hdf5(root / "m.h5", turn)
            recorder.until_seen(root / "m.h5", times=turn)
            recorder.until(lambda _: watcher.status().up)
            shutil.rmtree(root)
            recorder.until(lambda _: not recorder.of(WatchHealth)[-1].up)


def test_a_root_that_is_missing_or_empty_makes_nothing_gone(tmp_path: Path) -> None:
    """An unmounted root looks like an empty directory: its checkpoints are not gone."""
    root = tmp_path / "root"
    known = {str(root / "m.h5"): "00"}
    with watching(root, known) as (watcher, recorder):
        recorder.until_event(WatchHealth)
        root.mkdir()
        ready(recorder)
        assert "is it mounted" in watcher.status().message
        assert recorder.of(Gone) == []
        write_hdf5(root / "n.h5")
        watcher.wake()
        recorder.until_event(Gone, root / "m.h5")


def test_a_dead_observer_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When watchdog's threads end the watch is down for a while, is counted, and misses nothing."""
    with watching(tmp_path, settle=0.1) as (watcher, recorder):
        ready(recorder)
        assert watcher._inotify is not None
        for emitter in watcher._inotify._observer.emitters.copy():
            emitter.stop()
            emitter.join()
        write_hdf5(tmp_path / "m.h5")
        recorder.until(lambda _: [e.up for e in recorder.of(WatchHealth)][-2:] == [False, True])
        recorder.until_seen(tmp_path / "m.h5")
        write_hdf5(tmp_path / "n.h5")
        recorder.until_seen(tmp_path / "n.h5")
        status = watcher.status()
        assert (status.up, status.ready, status.restarts) == (False, True, 1)
        assert "was restarted" in status.message
        monkeypatch.setattr(watcher_module, "_RESTART_SECONDS", 0.0)
        assert watcher.status().up


def test_an_overflow_is_noticed_and_everything_is_compared(tmp_path: Path) -> None:
    """Watchdog only logs that events were lost; the log triggers a full scan."""
    from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

    with watching(tmp_path) as (watcher, recorder):
        ready(recorder)
        assert watcher._inotify is not None
        inotify = watcher._inotify._observer._inotify_fd
        inotify.handle_event(InotifyEvent(-1, InotifyConstants.IN_Q_OVERFLOW, 0, b""))
        recorder.until(lambda _: len(recorder.of(Reconciled)) > 1)
        assert watcher.status().overflows == 1
        write_hdf5(tmp_path / "m.h5")
        recorder.until_seen(tmp_path / "m.h5")


def test_a_root_behind_a_symbolic_link_is_watched(tmp_path: Path) -> None:
    """`/models -> /mnt/big/models` is a common root; paths stay as they were configured."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with watching(tmp_path / "link", settle=60.0) as (_, recorder):
        ready(recorder)
        write_hdf5(tmp_path / "link" / "m.h5")
        recorder.until_seen(tmp_path / "link" / "m.h5")


def test_reading_files_wakes_no_watcher(tmp_path: Path) -> None:
    """A verification that reads the files does not feed the watch."""
    path = tmp_path / "m.h5"
    write_hdf5(path)
    with watching(tmp_path) as (watcher, recorder):
        recorder.until_seen(path)
        ready(recorder)
        watcher._queue.take()
        for _ in range(50):
            path.read_bytes()
        (tmp_path / "mark").touch()
        assert watcher._queue.wait(60)
        assert str(path) not in watcher._queue._batch.touched
