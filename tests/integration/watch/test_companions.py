"""Files beside a checkpoint that describe it: state files and golden records."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from checkpointd.watch.events import GenerationUpdate, Reconciled, SeriesChanged
from checkpointd.watch.scan import find_checkpoints
from tests.helpers.watch import ready, watching, write_hdf5

if TYPE_CHECKING:
    from pathlib import Path

_MANAGER = """
import sys, tensorflow as tf
root = sys.argv[1]
checkpoint = tf.train.Checkpoint(v=tf.Variable(tf.ones([8])), step=tf.Variable(0))
manager = tf.train.CheckpointManager(
    checkpoint, root, max_to_keep=None, checkpoint_name="weights", step_counter=checkpoint.step
)
for step in (1000, 1100, 1200):
    checkpoint.step.assign(step)
    manager.save(checkpoint_number=step)
tf.train.Checkpoint(v=tf.Variable(tf.ones([8]))).write(root + "/resnet-50")
"""


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a CheckpointManager with a name of its own leaves, and a stranger beside it."""
    root = tmp_path_factory.mktemp("managed")
    subprocess.run([sys.executable, "-c", _MANAGER, str(root)], check=True, capture_output=True)
    return root


def test_a_state_file_lists_which_names_are_versions(managed: Path) -> None:
    """`weights-1000` alone could be anything; the manager's list shows that it is a version."""
    with watching(managed) as (_, recorder):
        for step in (1000, 1100, 1200):
            recorder.until_seen(managed / f"weights-{step}")
        recorder.until_seen(managed / "resnet-50")
    places = {e.checkpoint.path: e.checkpoint for e in recorder.of(GenerationUpdate)}
    first = places[str(managed / "weights-1000")]
    assert (first.series, first.version, first.step) == ("weights-{}", "1000", 1000)
    assert places[str(managed / "weights-1200")].series == "weights-{}"
    assert places[str(managed / "resnet-50")].series == "resnet-50"
    ((checkpoint, _),) = find_checkpoints(str(managed / "weights-1100.index"))
    assert (checkpoint.series, checkpoint.step) == ("weights-{}", 1100)


def test_the_first_checkpoint_joins_its_series_when_the_state_file_lists_it(
    managed: Path, tmp_path: Path
) -> None:
    """The state file is written last: earlier checkpoints are reported in their series, once."""
    with watching(tmp_path) as (_, recorder):
        ready(recorder)
        for name in ("weights-1000.data-00000-of-00001", "weights-1000.index"):
            shutil.copy(managed / name, tmp_path)
        assert recorder.until_seen(tmp_path / "weights-1000").checkpoint.series == "weights-1000"
        shutil.copy(managed / "checkpoint", tmp_path)
        placed = recorder.until_event(SeriesChanged)
        assert (placed.checkpoint.path, placed.checkpoint.series, placed.checkpoint.step) == (
            str(tmp_path / "weights-1000"),
            "weights-{}",
            1000,
        )
        (tmp_path / "checkpoint").touch()
        (tmp_path / "another").touch()
        for name in ("weights-1100.data-00000-of-00001", "weights-1100.index"):
            shutil.copy(managed / name, tmp_path)
        assert recorder.until_seen(tmp_path / "weights-1100").checkpoint.series == "weights-{}"
    assert recorder.states(tmp_path / "weights-1000").count("settled") == 1


def test_a_new_template_changes_the_series_of_known_checkpoints(tmp_path: Path) -> None:
    """After a reload with a `version` template nothing is verified again, and all has its step."""
    path = tmp_path / "model_07-0.31.h5"
    write_hdf5(path)
    with watching(tmp_path) as (_, recorder):
        key = recorder.until_seen(path).generation.key
    with watching(
        tmp_path,
        {str(path): key},
        {str(path): "model_07-0.31.h5"},
        version="model_{epoch:02d}-{val_loss:.2f}.h5",
    ) as (_, recorder):
        placed = recorder.until_event(SeriesChanged).checkpoint
        recorder.until_event(Reconciled)
    assert (placed.series, placed.step, placed.metrics) == ("model_{}-{}.h5", 7, {"val_loss": 0.31})
    assert recorder.of(GenerationUpdate) == []


def test_a_new_template_brings_metrics_to_checkpoints_that_stay_in_their_series(
    tmp_path: Path,
) -> None:
    """`model_007-0.31.h5` is one series without a template, too, and has no metric then."""
    path, template = tmp_path / "model_007-0.31.h5", "model_{epoch:03d}-{val_loss:.2f}.h5"
    write_hdf5(path)
    with watching(tmp_path) as (_, recorder):
        key = recorder.until_seen(path).generation.key
    known = {str(path): key}, {str(path): "model_{}-{}.h5"}
    with watching(tmp_path, *known, version=template) as (_, recorder):
        placed = recorder.until_event(SeriesChanged).checkpoint
        (tmp_path / "another").touch()
        recorder.until_event(Reconciled)
    assert placed.metrics == {"val_loss": 0.31}
    assert len(recorder.of(SeriesChanged)) == 1


def test_a_golden_record_that_appears_later_has_its_checkpoint_reported_again(
    tmp_path: Path,
) -> None:
    """A copy brings `m.h5` before `m.h5.golden.npz`: what the record shows is not lost."""
    path, record = tmp_path / "m.h5", tmp_path / "m.h5.golden.npz"
    write_hdf5(path)
    with watching(tmp_path, settle=0.1) as (watcher, recorder):
        recorder.until_seen(path)
        ready(recorder)
        record.write_bytes(b"record")
        recorder.until_seen(path, times=2)
        record.write_bytes(b"record")
        (tmp_path / "n.h5").write_bytes(path.read_bytes())
        recorder.until_seen(tmp_path / "n.h5")
        watcher.wake()
        recorder.until(lambda _: len(recorder.of(Reconciled)) > 1)
    assert recorder.states(path).count("settled") == 2
