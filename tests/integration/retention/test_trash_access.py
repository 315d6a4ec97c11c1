"""The job's own user and the trash: he sees and removes what was his, and gains nothing else."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from checkpointd.ledger import State
from checkpointd.retention import Pruner, TrashError
from checkpointd.retention.trash import trash_place
from tests.helpers.ledger import WRITERS, generation_on_disk, record_verdict, tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.helpers.retention import Field

JOB = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


def _as_job(act: Callable[[], object]) -> bool:
    """Whether something works for the job's user, in a process of its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(JOB)
            os.setuid(JOB)
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _prune_of_job(field: Field, tmp_path: Path, kind: str, mode: int = 0o755) -> Path:
    """Have checkpoints of the job pruned by root; returns its directory."""
    for directory in (*field.root.parents, field.root):
        if (
            directory.is_relative_to(tmp_path.parents[2])
            and directory.stat().st_uid == os.geteuid()
        ):
            directory.chmod(directory.stat().st_mode | 0o055)
    run = field.root / "run"
    saved = [WRITERS[kind](run / f"ckpt-{n}", 1000.0 + n) for n in range(4)]
    for directory, below, names in os.walk(field.root):
        for name in (*below, *names):
            os.chown(os.path.join(directory, name), JOB, JOB)
    os.chown(field.root, JOB, JOB)
    run.chmod(mode)
    for checkpoint, generation in saved:
        names = [member.name for member in generation.members]
        touched = generation_on_disk(checkpoint.path, names)
        record_verdict(field.ledger, (checkpoint, touched))
    assert all(removal.done for removal in field.prune())
    return run


@as_root
@pytest.mark.parametrize("kind", WRITERS)
def test_the_job_can_remove_its_directory(field: Field, tmp_path: Path, kind: str) -> None:
    """With the trash in it, as `BackupAndRestore` does at the end; the ledger goes on."""
    _prune_of_job(field, tmp_path, kind)
    assert _as_job(lambda: [shutil.rmtree(field.root / name) for name in os.listdir(field.root)])
    assert tree(field.root) == {}
    assert field.pruner.recover() == []
    assert field.pruner.trash.items() == []
    with pytest.raises(TrashError, match="is not in the trash"):
        field.pruner.restore(str(field.root / "run" / "ckpt-0"))


@as_root
def test_a_secret_directory_stays_secret(field: Field, tmp_path: Path) -> None:
    """What nobody else could reach before, nobody else can reach in the trash."""
    _prune_of_job(field, tmp_path, "file", mode=0o700)
    trash = field.root / ".checkpointd-trash"
    items = [path for path in trash.iterdir() if path.is_dir()]
    assert stat.S_IMODE(trash.stat().st_mode) == 0o755
    for item in items:
        for path in (item, item / "content"):
            assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) == (0o700, JOB)
        assert stat.S_IMODE((item / "manifest.json").stat().st_mode) == 0o600


def test_a_mode_can_be_chosen(field: Field) -> None:
    """For the trash and each item of it; nothing is given to anybody."""
    field.write("file", 4)
    place = trash_place(str(field.root), mode=0o750)
    Pruner(str(field.root), field.ledger, place).apply(field.plan())
    trash = field.root / ".checkpointd-trash"
    for path in (trash, *(p for p in trash.rglob("*") if p.is_dir())):
        assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_what_was_changed_in_the_trash_is_not_restored(field: Field) -> None:
    """A part was removed, another was replaced: neither is the checkpoint that was verified."""
    field.write("prefix", 4)
    field.prune()
    contents = {
        item.path: field.root / ".checkpointd-trash" / item.id / "content"
        for item in field.pruner.trash.items()
    }
    first, second = str(field.root / "ckpt-0"), str(field.root / "ckpt-1")
    (contents[first] / "ckpt-0.index").unlink()
    shard = contents[second] / "ckpt-1.data-00000-of-00002"
    data, times = shard.read_bytes(), shard.stat()
    other = shard.with_name("other")
    other.write_bytes(data[::-1])
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(shard)
    for path in (first, second):
        with pytest.raises(TrashError, match="were removed or changed"):
            field.pruner.restore(path)
        assert field.state(path.rpartition("/")[2]) is State.TRASHED
    shutil.rmtree(contents[first])
    with pytest.raises(TrashError, match="were removed or changed"):
        field.pruner.restore(first)


@as_root
def test_root_follows_no_manifest_that_the_job_wrote(field: Field, tmp_path: Path) -> None:
    """It could name a directory of somebody else."""
    _prune_of_job(field, tmp_path, "file")
    item = field.pruner.trash.items()[0]
    manifest = field.root / ".checkpointd-trash" / item.id / "manifest.json"
    forged = manifest.read_text().replace('"run/', '"other/')

    def forge() -> None:
        manifest.unlink()
        manifest.write_text(forged)

    assert _as_job(forge)
    with pytest.raises(TrashError, match="another user wrote its manifest"):
        field.pruner.restore(item.id)
    assert not (field.root / "other").exists()


@as_root
def test_root_restores_what_a_daemon_of_another_user_pruned(field: Field, tmp_path: Path) -> None:
    """If the ledger knows it."""
    run = _prune_of_job(field, tmp_path, "file")
    for item in field.pruner.trash.items():
        manifest = field.root / ".checkpointd-trash" / item.id / "manifest.json"
        os.chown(manifest, JOB, JOB)
    field.pruner.restore(str(run / "ckpt-0"))
    assert (run / "ckpt-0").exists()
