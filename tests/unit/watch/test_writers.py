"""Whether a process has a file open for writing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.core import open_files
from checkpointd.core.format_specs import Format
from checkpointd.formats import generation_of
from checkpointd.watch.writers import written_of
from tests.helpers.watch import write_hdf5

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_file_that_a_process_has_open_for_writing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader does not count, a writer does, until it closes."""
    # Other processes of this machine may hide their descriptors, or have too many.
    monkeypatch.setattr(open_files, "_process_ids", lambda: [str(os.getpid())])
    path = str(tmp_path / "m.h5")
    write_hdf5(tmp_path / "m.h5")
    member = generation_of(path, Format.HDF5).members[0]
    with (tmp_path / "m.h5").open("rb"):
        assert written_of([(path, member)]).closed == {path}
    with (tmp_path / "m.h5").open("r+b"):
        assert written_of([(path, member)]).closed == frozenset()
    (tmp_path / "m.h5").unlink()
    assert written_of([(path, member)]).closed == frozenset()
