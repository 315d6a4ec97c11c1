"""Reported checkpoints that are overwritten, incomplete, requested again or gone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.core.request import End, Request
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.verify.scan.scan_stage import scan
from checkpointd.watch.events import GenerationUpdate, Gone, Reconciled
from tests.helpers.bundles import bundle
from tests.helpers.formats import savedmodel
from tests.helpers.watch import until_overdue, watching, write_hdf5, write_keras

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOT_A_CHECKPOINT = b"neither a zip nor HDF5 nor a table\n" * 50


def end_of(sighting: GenerationUpdate) -> End:
    """Return how a verification of what was reported ends."""
    request = Request(sighting.checkpoint, sighting.generation, VerifySettings())
    return scan(request, lambda _: None)[0]


@pytest.mark.parametrize(("name", "write"), [("m", write_hdf5), ("without.ext", write_keras)])
def test_a_checkpoint_overwritten_by_something_else_is_reported(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    """A verdict about content that is no longer there must not stand."""
    path = tmp_path / name
    write(path)
    with watching(tmp_path, settle=0.1) as (watcher, recorder):
        first = recorder.until_seen(path)
        path.write_bytes(NOT_A_CHECKPOINT)
        second = recorder.until_seen(path, times=2)
        assert second.generation.key != first.generation.key
        assert second.generation.size_bytes == len(NOT_A_CHECKPOINT)
        assert end_of(second) is End.UNKNOWN
        watcher.wake()
        recorder.until(lambda _: len(recorder.of(Reconciled)) > 1)
        assert recorder.states(path).count("settled") == 2
        watcher.report_again(str(path))
        recorder.until_seen(path, times=3)
        write(path)
        assert end_of(recorder.until_seen(path, times=4)) is not End.UNKNOWN
        path.unlink()
        recorder.until_event(Gone, path)


@pytest.mark.parametrize(("name", "write"), [("m.h5", write_hdf5), ("m.keras", write_keras)])
def test_other_content_under_a_models_name_is_reported_when_it_is_closed(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    """It is no silence, and no verdict while it may still become a checkpoint."""
    path = tmp_path / name
    with watching(tmp_path, settle=0.1, torn_after=1.0) as (_, recorder):
        recorder.until_event(Reconciled)
        path.write_bytes(NOT_A_CHECKPOINT)
        recorder.until_seen(path, "writing")
        write(path)
        recorder.until_seen(path)
        path.write_bytes(NOT_A_CHECKPOINT)
        torn = recorder.until_seen(path, "torn")
        assert torn.reason == "structure.not_a_checkpoint"
        assert recorder.states(path).count("torn") == 1


def test_an_overwritten_index_without_shards_is_reported(tmp_path: Path) -> None:
    """A prefix that is no bundle any more, because its index is no table, is news as well."""
    prefix = tmp_path / "net-7"
    files = bundle(prefix)
    with watching(tmp_path, settle=0.1) as (_, recorder):
        recorder.until_seen(prefix)
        for file in files:
            if file.suffix != ".index":
                file.unlink()
        (tmp_path / "net-7.index").write_bytes(NOT_A_CHECKPOINT)
        assert end_of(recorder.until_seen(prefix, times=2)) is End.UNKNOWN


@pytest.mark.parametrize("key", ["00", ""], ids=["verified", "pending"])
def test_a_checkpoint_overwritten_while_not_watched_is_reported_after_the_restart(
    tmp_path: Path, key: str
) -> None:
    """What the ledger recorded is compared with what is on disk, whatever that is."""
    path = tmp_path / "m"
    path.write_bytes(NOT_A_CHECKPOINT)
    with watching(tmp_path, {str(path): key}, settle=0.1) as (_, recorder):
        sighting = recorder.until_seen(path)
        assert end_of(sighting) is End.UNKNOWN
    known = {str(path): sighting.generation.key}
    with watching(tmp_path, known, settle=0.1) as (_, recorder):
        recorder.until_event(Reconciled)
        assert recorder.states(path) == []


def test_a_save_that_is_not_a_checkpoint_does_not_stay_in_state_writing(
    tmp_path: Path,
) -> None:
    """A save reported as being written is reported in the end, whatever it became."""
    path = tmp_path / "m.h5"
    with watching(tmp_path, settle=0.1, torn_after=0.5) as (_, recorder):
        recorder.until_event(Reconciled)
        path.touch()
        recorder.until_seen(path, "writing")
        path.write_bytes(NOT_A_CHECKPOINT)
        assert recorder.until_seen(path, "torn").reason == "structure.not_a_checkpoint"


def test_a_file_that_never_was_a_checkpoint_is_reported_only_on_request(tmp_path: Path) -> None:
    """Other files cost nothing, until the daemon requests one."""
    path = tmp_path / "m"
    path.write_bytes(NOT_A_CHECKPOINT)
    with watching(tmp_path, settle=0.1) as (watcher, recorder):
        recorder.until_event(Reconciled)
        assert recorder.of(GenerationUpdate) == []
        assert watcher.status().unknown == 1
        watcher.report_again(str(path))
        assert end_of(recorder.until_seen(path)) is End.UNKNOWN
        path.unlink()
        recorder.until_event(Gone, path)


def test_a_checkpoint_deleted_after_it_was_marked_incomplete_is_gone(tmp_path: Path) -> None:
    """Marked and deleted at once, or one after the other: its removal is reported."""
    one, two = tmp_path / "1.h5", tmp_path / "2.h5"
    write_hdf5(one)
    write_hdf5(two)
    (tmp_path / "stays").touch()
    with watching(tmp_path, settle=0.1) as (watcher, recorder):
        keys = {path: recorder.until_seen(path).generation.key for path in (one, two)}
        recorder.until_event(Reconciled)
        watcher.mark_incomplete(str(one), keys[one])
        one.unlink()
        recorder.until_event(Gone, one)
        watcher.mark_incomplete(str(two), keys[two])
        recorder.until_seen(two, "writing")
        two.unlink()
        recorder.until_event(Gone, two)
        write_hdf5(one, 99)
        recorder.until_seen(one, times=2)


def test_a_file_removed_before_it_was_marked_incomplete_is_gone_once(tmp_path: Path) -> None:
    """The request comes too late for a file whose removal was reported."""
    path = tmp_path / "m"
    write_hdf5(path)
    with watching(tmp_path, settle=0.1) as (watcher, recorder):
        key = recorder.until_seen(path).generation.key
        recorder.until_event(Reconciled)
        path.unlink()
        recorder.until_event(Gone, path)
        watcher.mark_incomplete(str(path), key)
        write_hdf5(path, 99)
        recorder.until_seen(path, times=2)
        assert len(recorder.of(Gone, path)) == 1


@pytest.mark.parametrize("key", ["", "00"], ids=["pending", "verified"])
def test_a_known_checkpoint_that_is_missing_after_a_restart_is_gone(
    tmp_path: Path, key: str
) -> None:
    """It makes no difference whether the ledger still waited for a verdict."""
    write_hdf5(tmp_path / "stays.h5")
    away = tmp_path / "run" / "m.h5"
    with watching(tmp_path, {str(away): key}) as (_, recorder):
        recorder.until_event(Gone, away)


def test_a_savedmodel_is_reported_again_on_request(tmp_path: Path) -> None:
    """It is found in its own directory, not in its parent's, and no minute passes before."""
    model = tmp_path / "serve" / "1"
    savedmodel(model)
    with watching(tmp_path, settle=0.1) as (watcher, recorder):
        recorder.until_seen(model)
        recorder.until_event(Reconciled)
        asked = time.monotonic()
        watcher.report_again(str(model))
        sighting = recorder.until_seen(model, times=2)
        assert recorder.times[recorder.events.index(sighting)] - asked < 1.0
        assert len(recorder.of(Reconciled)) == 1
    assert sighting.checkpoint.format is Format.SAVEDMODEL


def test_a_savedmodel_that_was_marked_incomplete_is_waited_for(tmp_path: Path) -> None:
    """It is being written again at once, judged in the end, and gone when it goes."""
    model = tmp_path / "serve" / "1"
    savedmodel(model)
    with watching(tmp_path, settle=0.1, torn_after=3.0) as (watcher, recorder):
        recorder.until_seen(model)
        recorder.until_event(Reconciled)
        times = until_overdue(watcher, recorder, model)
        assert len(recorder.of(Reconciled)) == 1
        watcher.report_again(str(model))
        recorder.until_seen(model, times=times + 1)
