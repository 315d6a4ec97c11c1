"""A FUSE mount in NFS's place: changed from behind, unmounted, mounted again, hanging."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from checkpointd.watch import watcher as watcher_module
from checkpointd.watch.events import GenerationUpdate, Gone, MetadataChanged, Reconciled
from tests.helpers.mounts import Fuse, fuse
from tests.helpers.watch import watching, write_hdf5

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Fuse]:
    """A mounted directory."""
    with fuse(tmp_path) as mounted:
        yield mounted


def test_changes_behind_the_mount_are_found_by_polling(remote: Fuse) -> None:
    """No event comes from another host: such a file system is polled automatically."""
    with watching(remote.mount, settle=0.3, poll_interval=0.2) as (watcher, recorder):
        recorder.until_event(Reconciled)
        assert watcher.status().method == "poll"
        write_hdf5(remote.behind / "m.h5")
        recorder.until_seen(remote.mount / "m.h5")
        write_hdf5(remote.mount / "n.h5")
        recorder.until_seen(remote.mount / "n.h5")
        write_hdf5(remote.behind / "m.h5", 99)
        recorder.until_seen(remote.mount / "m.h5", times=2)
        (remote.behind / "n.h5").unlink()
        recorder.until_event(Gone, remote.mount / "n.h5")
    assert recorder.states(remote.mount / "m.h5").count("settled") == 2


def test_method_inotify_is_obeyed_where_events_are_incomplete(remote: Fuse) -> None:
    """The user may know better; a scan every minute still finds what caused no event."""
    with watching(remote.mount, method="inotify", settle=0.3) as (watcher, recorder):
        recorder.until_event(Reconciled)
        assert watcher.status().method == "inotify"
        write_hdf5(remote.mount / "n.h5")
        recorder.until_seen(remote.mount / "n.h5")


def test_a_remount_makes_nothing_gone_and_nothing_new(remote: Fuse) -> None:
    """While it is unmounted the empty mount point means nothing; then all is as before."""
    names = ("1.h5", "2.h5")
    with watching(remote.mount, settle=0.2, poll_interval=0.1) as (watcher, recorder):
        for name in names:
            write_hdf5(remote.mount / name)
            recorder.until_seen(remote.mount / name)
        recorder.until_event(Reconciled)
        remote.down()
        recorder.until(lambda _: "is it mounted" in watcher.status().message)
        remote.up()
        recorder.until(lambda _: watcher.status().up and not watcher.status().message)
        count = len(recorder.of(Reconciled))
        recorder.until(lambda _: len(recorder.of(Reconciled)) > count + 2)
    assert recorder.of(Gone) == []
    for name in names:
        assert recorder.states(remote.mount / name).count("settled") == 1
        assert len(recorder.of(MetadataChanged, remote.mount / name)) <= 1


def test_a_mount_that_hangs_is_reported_and_continues_when_it_responds(
    remote: Fuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is down while it does not answer, another watch notices nothing, nothing is lost."""
    monkeypatch.setattr(watcher_module, "_HUNG_SECONDS", 0.5)
    other = tmp_path / "local"
    other.mkdir()
    pause = threading.Event()
    with (
        watching(remote.mount, settle=0.2, poll_interval=0.1) as (sick, seen),
        watching(other, settle=0.2) as (healthy, recorder),
    ):
        write_hdf5(remote.mount / "1.h5")
        seen.until_seen(remote.mount / "1.h5")
        remote.hang()
        for _ in range(100):
            if sick.status().hung:
                break
            pause.wait(0.1)
        assert sick.status().hung
        assert not sick.status().up
        assert "has not responded" in sick.status().message
        write_hdf5(other / "m.h5")
        recorder.until_seen(other / "m.h5")
        assert healthy.status().up
        remote.answer()
        write_hdf5(remote.mount / "2.h5")
        seen.until_seen(remote.mount / "2.h5")
        assert sick.status().up
        assert not sick.status().hung
    assert seen.of(Gone) == []
    assert seen.of(GenerationUpdate, remote.mount / "1.h5")[-1].state == "settled"
