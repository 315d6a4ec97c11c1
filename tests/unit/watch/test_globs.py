"""Globs, mounts and one-shot surveys: which files are looked at, and how."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.watch.globs import select
from checkpointd.watch.mounts import file_system, is_remote
from checkpointd.watch.scan import survey, survey_path
from checkpointd.watch.writers import files_not_open
from tests.helpers.watch import hdf5_bytes, write_hdf5, write_keras

if TYPE_CHECKING:
    from pathlib import Path

from checkpointd.formats import generation_of


@pytest.mark.parametrize(
    ("pattern", "path", "taken"),
    [
        ("**", "a/b/c.h5", True),
        ("**/*.h5", "c.h5", True),
        ("**/*.h5", "a/b/c.h5", True),
        ("*.h5", "c.h5", True),
        ("*.h5", "a/c.h5", False),
        ("a/**", "a/b/c", True),
        ("a/**", "b/c", False),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/x/y/c", True),
        ("run?/[ab]*", "run1/best", True),
        ("run?/[!ab]*", "run1/best", False),
        ("run?", "run/", False),
        ("a.b", "axb", False),
        ("**/*", "new\nline", True),
    ],
)
def test_a_pattern_is_matched_against_the_whole_path(pattern: str, path: str, taken: bool) -> None:
    """`*` stays within a name, `**` goes over any number of them, as `full_match` does."""
    assert select((pattern,)).takes(path) is taken
    if hasattr(PurePosixPath, "full_match"):
        assert PurePosixPath(path).full_match(pattern) is taken


def test_an_excluded_directory_takes_all_below_it() -> None:
    """`exclude = ["old"]` is about everything in `old/`, which is not even walked."""
    selection = select(exclude=("old",))
    assert not selection.enters("old")
    assert not selection.takes("old/a/m.h5")
    assert selection.takes("older/m.h5")


MOUNTS = r"""21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:40 / /mnt/my\040data rw,relatime shared:5 master:1 - nfs4 server:/x rw
31 30 0:41 / /mnt/my\040data/local rw - xfs /dev/sdb rw
32 21 0:42 / /data rw - ext4 /dev/sdc rw
33 32 0:43 / /data rw - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home", "ext4"),
        ("/mnt/my data/run", "nfs4"),
        ("/mnt/my data/local/run", "xfs"),
        ("/mnt/my database", "ext4"),
        ("/data/x", "fuse.sshfs"),
    ],
)
def test_the_file_system_is_that_of_the_deepest_and_last_mount(path: str, kind: str) -> None:
    """Mount points are escaped in mountinfo, and may be mounted over."""
    assert file_system(path, MOUNTS) == kind


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        *((k, True) for k in ("nfs", "nfs4", "cifs", "smb3", "fuse", "fuse.sshfs", "9p", "ceph")),
        *((k, True) for k in ("lustre", "gpfs", "beegfs", "virtiofs")),
        *((k, False) for k in ("ext4", "xfs", "btrfs", "tmpfs", "zfs", "overlay", "fusectl", "")),
    ],
)
def test_events_are_not_believed_where_others_can_write(kind: str, remote: bool) -> None:
    """Network and FUSE file systems are polled."""
    assert is_remote(kind) is remote


def test_the_own_file_system_is_known() -> None:
    """The machine's own mountinfo can be read."""
    assert file_system("/proc") == "proc"


def test_a_survey_finds_what_lies_below_and_names_what_it_cannot_read(tmp_path: Path) -> None:
    """A listing that fails is an error in the survey."""
    (tmp_path / "a").mkdir()
    write_hdf5(tmp_path / "a" / "m.h5")
    write_keras(tmp_path / "n.keras")
    seen = survey(str(tmp_path))
    assert {f.path for f in seen.found} == {str(tmp_path / "a/m.h5"), str(tmp_path / "n.keras")}
    assert (seen.directories, seen.errors) == (2, ())
    (error,) = survey(str(tmp_path / "missing")).errors
    assert "cannot be read: No such file or directory" in error


def test_a_directory_typed_by_a_user_gives_its_checkpoints_placed_below_it(tmp_path: Path) -> None:
    """`verify DIR` sees formats, series and steps; other files are left out."""
    (tmp_path / "run").mkdir()
    write_hdf5(tmp_path / "run" / "epoch_1.h5")
    (tmp_path / "notes.txt").write_text("x")
    ((checkpoint, generation),) = survey_path(str(tmp_path))
    assert checkpoint.path == str(tmp_path / "run" / "epoch_1.h5")
    assert (checkpoint.format, checkpoint.series) == (Format.HDF5, "run/epoch_{}.h5")
    assert checkpoint.step == 1
    assert generation.size_bytes > 0


def test_a_file_typed_by_a_user_is_described_whatever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A named file is never passed over in silence; a relative path becomes absolute."""
    (tmp_path / "m.h5").write_bytes(hdf5_bytes()[:-50])
    (tmp_path / "notes.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    ((cut, _),) = survey_path("m.h5")
    assert (cut.path, cut.format) == (str(tmp_path / "m.h5"), Format.HDF5)
    ((notes, _),) = survey_path("notes.txt")
    assert notes.format is Format.UNKNOWN
    with pytest.raises(FileNotFoundError):
        survey_path("missing")


def test_who_has_a_file_open_for_writing_is_known(tmp_path: Path) -> None:
    """A reader does not count, a writer does, until it closes."""
    path = str(tmp_path / "m.h5")
    write_hdf5(tmp_path / "m.h5")
    member = generation_of(path, Format.HDF5).members[0]
    with (tmp_path / "m.h5").open("rb"):
        assert files_not_open([(path, member)]) == {path}
    with (tmp_path / "m.h5").open("r+b"):
        assert files_not_open([(path, member)]) == frozenset()
    (tmp_path / "m.h5").unlink()
    assert files_not_open([(path, member)]) == frozenset()
