"""A watcher on a bucket of a real S3 server: what it reports of saves as they come."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("obstore")

from checkpointd.watch.bucket_watcher import BucketWatcher
from checkpointd.watch.events import GenerationUpdate, Gone, WatchHealth
from tests.helpers.bundles import bundle
from tests.helpers.formats import savedmodel
from tests.helpers.watch import Recorder, settings, write_hdf5, write_keras

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.helpers.s3 import S3Server

POLL = 0.2


@contextlib.contextmanager
def watching(
    url: str, known: Mapping[str, str] | None = None, **rest: object
) -> Iterator[tuple[BucketWatcher, Recorder]]:
    """Run a watcher that polls often."""
    recorder = Recorder()
    given = {"poll_interval": POLL, "settle": 0.5, "torn_after": 600, **rest}
    watcher = BucketWatcher(settings(url, **given), known or {}, recorder)  # type: ignore[arg-type]
    watcher.start()
    try:
        yield watcher, recorder
    finally:
        watcher.stop()


def _polls(watcher: BucketWatcher, times: int) -> None:
    from tests.helpers.daemon import eventually

    before = watcher.status().pages
    eventually("more polls", lambda: watcher.status().pages >= before + times)


def test_each_format_is_reported_once_a_generation(server: S3Server, tmp_path: Path) -> None:
    """Every poll lists everything, and only what is new is reported; a rewrite is new."""
    write_hdf5(tmp_path / "a.h5")
    write_keras(tmp_path / "b.keras")
    bundle(tmp_path / "ckpt-1")
    savedmodel(tmp_path / "export")
    root = server.url("once")
    with watching(root) as (watcher, recorder):
        server.put_tree(tmp_path, "once", last=("saved_model.pb", "fingerprint.pb"))
        for name in ("a.h5", "b.keras", "ckpt-1", "export"):
            recorder.until_seen(f"{root}/{name}")
        _polls(watcher, 3)
        write_hdf5(tmp_path / "other.h5", 32)
        (tmp_path / "other.h5").rename(tmp_path / "b.keras")
        server.put_tree(tmp_path / "b.keras", "once/b.keras")
        recorder.until_seen(f"{root}/b.keras", times=2)
        _polls(watcher, 3)
        settled = [e.checkpoint.path for e in recorder.of(GenerationUpdate) if e.state == "settled"]
        assert all(settled.count(f"{root}/{name}") == 1 for name in ("a.h5", "ckpt-1", "export"))
        assert not recorder.of(Gone)
        server.delete("once/a.h5")
        recorder.until_event(Gone, f"{root}/a.h5")


def test_a_save_that_stops_halfway_is_being_written_and_then_torn(
    server: S3Server, tmp_path: Path
) -> None:
    """A SavedModel without its graph counts as being written, after `torn_after` as torn."""
    savedmodel(tmp_path / "export")
    (tmp_path / "export/saved_model.pb").unlink()
    root = server.url("halfway")
    server.put_tree(tmp_path, "halfway")
    with watching(root, torn_after=2.5) as (_, recorder):
        recorder.until_seen(f"{root}/export", "writing")
        torn = recorder.until_seen(f"{root}/export", "torn")
        assert torn.reason == "structure.missing_member"
        assert recorder.states(f"{root}/export")[-1] == "torn"


def test_nothing_known_is_reported_again_after_a_restart(server: S3Server, tmp_path: Path) -> None:
    """What was reported by an earlier watcher is not reported again while it is unchanged."""
    bundle(tmp_path / "ckpt-1")
    root = server.url("restart")
    server.put_tree(tmp_path, "restart")
    with watching(root) as (_, recorder):
        seen = recorder.until_seen(f"{root}/ckpt-1")
    known = {seen.checkpoint.path: seen.generation.identity}
    with watching(root, known) as (watcher, recorder):
        _polls(watcher, 3)
        assert not recorder.of(GenerationUpdate)


def test_a_store_that_is_down_is_reported_and_nothing_is_forgotten(
    server: S3Server, tmp_path: Path
) -> None:
    """The watch is down with the reason, no checkpoint is gone, and it comes back by itself."""
    bundle(tmp_path / "ckpt-1")
    root = server.url("down")
    server.put_tree(tmp_path, "down")
    with watching(root) as (watcher, recorder):
        recorder.until_seen(f"{root}/ckpt-1")
        server.stop()
        recorder.until(lambda _: any(not e.up for e in recorder.of(WatchHealth)))
        assert "cannot be listed" in watcher.status().message
        assert not watcher.status().up
        server.start()
        recorder.until(lambda _: recorder.of(WatchHealth)[-1].up, 120)
        server.put_tree(tmp_path / "ckpt-1.index", "down/ckpt-2.index")
        data = "ckpt-1.data-00000-of-00001"
        server.put_tree(tmp_path / data, f"down/{data.replace('-1', '-2', 1)}")
        recorder.until(lambda _: recorder.states(f"{root}/ckpt-2"))
        assert not recorder.of(Gone)
        assert recorder.states(f"{root}/ckpt-1").count("settled") == 1


def test_an_empty_listing_after_a_start_forgets_nothing(server: S3Server) -> None:
    """Where checkpoints are known and nothing is listed, the URL or the credentials are wrong."""
    root = server.url("empty")
    with watching(root, {f"{root}/ckpt-1": "0" * 64}) as (watcher, recorder):
        _polls(watcher, 3)
        assert "What is known is kept" in watcher.status().message
        assert not recorder.of(Gone)
