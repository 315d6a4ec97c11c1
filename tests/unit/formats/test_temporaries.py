"""Which temporary files belong to a checkpoint that is not finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.core.checkpoint import Generation
from checkpointd.core.format_specs import Format
from checkpointd.formats import Candidate, generation_of, temporaries

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.formats.storage import Entry

_PREFIX = (
    ".ckpt-7.data-00000-of-00001.a1B2c3",
    "ckpt-7.data-00000-of-00001.0a1b2c3d.partial",
    "ckpt-7.data-00000-of-00001_.gstmp",
    "ckpt-7_temp/part-00000-of-00001.index",
)
_DIRECTORY = (
    "variables/.variables.data-00000-of-00001.a1B2c3",
    "variables/variables_temp/part-00000-of-00001.data-00000-of-00001",
    "saved_model.pb_.gstmp",
    ".rsync-partial/saved_model.pb",
)


def below(top: Path, name: str) -> None:
    """Write a file."""
    (top / name).parent.mkdir(parents=True, exist_ok=True)
    (top / name).write_bytes(b"x")


@pytest.mark.parametrize("name", _PREFIX)
def test_one_beside_a_prefix_belongs_to_it(tmp_path: Path, name: str) -> None:
    """By the name that it will have; those of its neighbours are none of its."""
    for other in ("ckpt-7.index", "ckpt-8_temp/part-00000-of-00001.index", ".other.a1B2c3"):
        below(tmp_path, other)
    candidate = Candidate(str(tmp_path / "ckpt-7"), Format.TF_CHECKPOINT, Generation(()))
    assert temporaries(candidate) == ()
    below(tmp_path, name)
    assert [member.name for member in temporaries(candidate)] == [f"/{name}"]


@pytest.mark.parametrize("name", _DIRECTORY)
def test_one_in_a_directory_belongs_to_its_checkpoint(tmp_path: Path, name: str) -> None:
    """At any depth, but not in what is no part of the checkpoint."""
    for other in ("saved_model.pb", "logs/.events.a1B2c3", "variables/variables.index"):
        below(tmp_path, other)
    candidate = Candidate(str(tmp_path), Format.SAVEDMODEL, Generation(()))
    assert temporaries(candidate) == ()
    below(tmp_path, name)
    assert [member.name for member in temporaries(candidate)] == [f"/{name}"]


def test_a_directory_is_listed_once_for_all_its_checkpoints(tmp_path: Path) -> None:
    """Listing it again for each takes time quadratic in their number."""
    (tmp_path / ".m_1.h5.AbCdEf").write_bytes(b"x")
    listed: dict[str, list[Entry]] = {}
    seen = []
    for number in (1, 2, 1):
        path = tmp_path / f"m_{number}.h5"
        path.write_bytes(b"")
        candidate = Candidate(str(path), Format.HDF5, generation_of(str(path), Format.HDF5))
        seen.append([member.name for member in temporaries(candidate, listed=listed)])
        (tmp_path / ".m_2.h5.AbCdEf").write_bytes(b"x")
    assert seen == [["/.m_1.h5.AbCdEf"], [], ["/.m_1.h5.AbCdEf"]]
