"""Finding the checkpoints that a path names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.watch.scan import find_checkpoints
from tests.helpers.watch import hdf5_bytes, write_hdf5

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_gives_the_checkpoints_below_it(tmp_path: Path) -> None:
    """`verify DIR` sees formats, series and steps; other files are left out."""
    (tmp_path / "run").mkdir()
    write_hdf5(tmp_path / "run" / "epoch_1.h5")
    (tmp_path / "notes.txt").write_text("x")
    ((checkpoint, generation),) = find_checkpoints(str(tmp_path))
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
    ((cut, _),) = find_checkpoints("m.h5")
    assert (cut.path, cut.format) == (str(tmp_path / "m.h5"), Format.HDF5)
    ((notes, _),) = find_checkpoints("notes.txt")
    assert notes.format is Format.UNKNOWN
    with pytest.raises(FileNotFoundError):
        find_checkpoints("missing")
