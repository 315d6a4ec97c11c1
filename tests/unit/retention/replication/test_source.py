"""Exactly the verified generation is read, from real files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.formats import generation_of
from checkpointd.retention.replication.source import (
    CopyingStoppedError,
    NotCopiableError,
    Source,
)
from checkpointd.retention.trees import NotUnchangedError
from tests.helpers.formats import savedmodel
from tests.helpers.ledger import write_file, write_prefix

if TYPE_CHECKING:
    from pathlib import Path


def _source(root: Path, name: str, kind: Format, **keys: object) -> Source:
    path = str(root / name)
    return Source(str(root), Checkpoint(path, kind), generation_of(path, kind), **keys)  # type: ignore[arg-type]


def _read(source: Source) -> dict[str, bytes]:
    return {file.path: b"".join(source.pieces(file, 4)) for file in source.files()}


def test_all_files_are_read_with_the_golden_record_and_nothing_else(tmp_path: Path) -> None:
    """By their paths below the root; what makes them a checkpoint is last."""
    write_prefix(tmp_path / "a/ckpt-1", 1000.0)
    write_prefix(tmp_path / "a/ckpt-11", 1000.0)
    (tmp_path / "a/checkpoint").write_text("ckpt-1")
    found = _read(_source(tmp_path, "a/ckpt-1", Format.TF_CHECKPOINT))
    data = [f"a/ckpt-1.data-0000{i}-of-00002" for i in (0, 1)]
    assert list(found) == ["a/ckpt-1.golden.npz", *data, "a/ckpt-1.index"]
    assert all(found[name] == (tmp_path / name).read_bytes() for name in found)


def test_a_directory_is_read_whole(tmp_path: Path) -> None:
    """With its assets and the golden record inside it."""
    savedmodel(tmp_path / "export")
    (tmp_path / "export/assets.extra").mkdir()
    (tmp_path / "export/assets.extra/golden.npz").write_bytes(b"record")
    found = _read(_source(tmp_path, "export", Format.SAVEDMODEL))
    files = {str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file()}
    assert set(found) == files
    assert list(found)[-1] == "export/saved_model.pb"


@pytest.mark.parametrize("change", ["write", "replace", "touch", "remove", "link"])
def test_what_is_not_as_it_was_verified_is_not_read(tmp_path: Path, change: str) -> None:
    """Before anything is read, and while it is: the last piece never comes."""
    write_file(tmp_path / "m-1.h5", 1000.0, b"weights!")
    path = tmp_path / "m-1.h5"
    source = _source(tmp_path, "m-1.h5", Format.HDF5)
    (file,) = source.files()
    pieces = source.pieces(file, 4)
    assert next(pieces) == b"weig"
    if change == "write":
        path.write_bytes(b"another!")
    elif change == "touch":
        os.utime(path)
    else:
        path.rename(tmp_path / "other")
        if change == "replace":
            write_file(path, 1000.0, b"weights!")
        elif change == "link":
            path.symlink_to(tmp_path / "other")
    if change in ("write", "touch"):
        with pytest.raises(NotUnchangedError):
            next(pieces)
    with pytest.raises(NotUnchangedError):
        source.files()
    with pytest.raises(NotUnchangedError):
        source.check()
    with pytest.raises(NotUnchangedError):
        list(source.pieces(file, 4))


def test_what_cannot_be_copied_says_why(tmp_path: Path) -> None:
    """A name that is no key, a directory that may not be read; and a request to stop is obeyed."""
    odd = os.fsdecode(b"m-\xff.h5")
    write_file(tmp_path / odd, 1000.0)
    with pytest.raises(NotCopiableError, match="is not UTF-8"):
        _source(tmp_path, odd, Format.HDF5).files()
    write_file(tmp_path / "m-2.h5", 1000.0)
    source = _source(tmp_path, "m-2.h5", Format.HDF5, stopped=lambda: True)
    with pytest.raises(CopyingStoppedError):
        list(source.pieces(source.files()[0], 4))
