"""What TensorFlow's own managers write beside their checkpoints is in use, and may be pruned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checkpointd.retention import find_references

tf: Any = pytest.importorskip("tensorflow")


def _remove(prefix: str) -> None:
    for file in Path(prefix).parent.glob(f"{Path(prefix).name}.*"):
        file.unlink()


@pytest.mark.parametrize("keep", [3, None])
def test_a_checkpoint_manager_carries_on_when_one_of_its_list_is_gone(
    tmp_path: Path, keep: int | None
) -> None:
    """All that it lists is in use; `prune_listed = true` does it no harm, also after a restart."""
    root = str(tmp_path)
    value = tf.Variable(0)
    checkpoint = tf.train.Checkpoint(value=value)
    manager = tf.train.CheckpointManager(checkpoint, root, max_to_keep=keep)
    for _ in range(4):
        value.assign_add(1)
        manager.save()
    found = find_references(root)
    *listed, latest = manager.checkpoints
    assert found.listed == set(listed)
    assert found.paths == {latest}
    assert found.unreadable == ()
    _remove(listed[-1])
    for _ in range(4):
        value.assign_add(1)
        manager.save()
    manager = tf.train.CheckpointManager(checkpoint, root, max_to_keep=keep)
    value.assign(0)
    assert manager.restore_or_initialize() == manager.latest_checkpoint
    assert int(value) == 8
    manager.save()
    found = find_references(root)
    assert found.paths == {manager.latest_checkpoint}
    (order,) = found.saving_orders
    indexes = ((i, p, Path(f"{p}.index")) for i, p in enumerate(manager.checkpoints))
    there = [(i, p, index.stat().st_mtime) for i, p, index in indexes if index.exists()]
    assert [order.place_of(prefix, at) for _, prefix, at in there] == [i for i, _, _ in there]


def test_a_savers_file_of_another_name_counts(tmp_path: Path) -> None:
    """`latest_filename`, with absolute paths, also after the directory was moved."""
    v1 = tf.compat.v1
    run = tmp_path / "run"
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("v", [2])
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(max_to_keep=2)
        for step in range(3):
            saver.save(session, f"{run}/model", global_step=step, latest_filename="best_of_run")
    moved = run.rename(tmp_path / "moved")
    found = find_references(str(moved))
    assert f"{moved}/model-2" in found.paths
    assert f"{moved}/model-1" in found.listed
    assert not any(path.endswith("model-0") for path in found.listed | found.paths)
