"""The metadata of a file's writer: of a damaged file a result too, never an internal error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import FormatError
from checkpointd.verify.keras_files.origin import Origin, read_origin

if TYPE_CHECKING:
    from pathlib import Path


def test_a_damaged_attribute_is_malformed(tmp_path: Path) -> None:
    """What libhdf5 raises as a RuntimeError; found by mutations."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "3.15.1"
    assert read_origin(str(path), Format.HDF5).generation == 3
    path.write_bytes(path.read_bytes().replace(b"keras_version", b"keras\0version"))
    with pytest.raises(FormatError, match="broken"):
        read_origin(str(path), Format.HDF5)


@pytest.mark.parametrize(
    ("version", "generation"),
    [("2.15", 2), ("", 0), ("²", 0), ("x.1", 0), ("9" * 5000, 0), (f"2.{'9' * 5000}", 0)],
)
def test_a_version_that_is_no_number_is_unknown(version: str, generation: int) -> None:
    """Digits that are no decimal ones too."""
    assert Origin(version).generation == generation
