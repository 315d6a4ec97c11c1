"""Symbolic links among the files of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import (
    generation_of,
    recognise,
)
from tests.helpers.formats import archive, bundle


def names(path: Path) -> dict[str, Format]:
    """The candidates in a directory, by their own names."""
    return {Path(f.path).name: f.hint for f in recognise(str(path)).found}


@pytest.mark.parametrize("linked", [".meta", ".data-00000-of-00002", ".index"])
def test_a_link_among_the_files_of_a_prefix_is_a_member_wherever_one_looks(
    tmp_path: Path, linked: str
) -> None:
    """A shard on another disk counts for the listing as for the identity: they always agree."""
    bundle(tmp_path / "ckpt-1", shards=2)
    (tmp_path / "ckpt-1.meta").write_bytes(b"graph")
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / f"ckpt-1{linked}"
    file.rename(tmp_path / "elsewhere" / "x")
    file.symlink_to(tmp_path / "elsewhere" / "x")
    (found,) = recognise(str(tmp_path)).found
    assert linked in [m.name for m in found.generation.members]
    assert len(found.generation.members) == 4
    assert generation_of(found.path, found.hint) == found.generation


def test_a_link_among_sharded_weights_is_a_member_wherever_one_looks(tmp_path: Path) -> None:
    """The same holds for the shards beside a `.weights.json`."""
    (tmp_path / "m.weights.json").touch()
    (tmp_path / "m_00000.weights.h5").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").touch()
    (tmp_path / "m_00001.weights.h5").symlink_to("other/x")
    (found,) = recognise(str(tmp_path)).found
    assert len(found.generation.members) == 3
    assert generation_of(found.path, found.hint) == found.generation


def test_links_that_lead_nowhere_are_members_nowhere_and_break_no_listing(tmp_path: Path) -> None:
    """Dangling links, loops and links to directories are left out, and all else is found."""
    bundle(tmp_path / "ckpt-1")
    archive(tmp_path / "a.keras")
    (tmp_path / "ckpt-1.meta").symlink_to("ckpt-1.meta")
    (tmp_path / "ckpt-1.data-00000-of-00009").symlink_to("nowhere")
    (tmp_path / "ckpt-1.data-00001-of-00009").symlink_to(tmp_path)
    found = {f.path: f for f in recognise(str(tmp_path)).found}
    assert set(found) == {str(tmp_path / "ckpt-1"), str(tmp_path / "a.keras")}
    one = found[str(tmp_path / "ckpt-1")]
    assert len(one.generation.members) == 2
    assert generation_of(one.path, one.hint) == one.generation


def test_a_prefix_of_links_alone_is_found_only_where_the_files_lie(tmp_path: Path) -> None:
    """`latest.*` that name a checkpoint's files are no second checkpoint, unless asked for."""
    for file in bundle(tmp_path / "ckpt-1"):
        (tmp_path / file.name.replace("ckpt-1", "latest")).symlink_to(file)
    assert names(tmp_path) == {"ckpt-1": Format.TF_CHECKPOINT}
    assert len(generation_of(str(tmp_path / "latest"), Format.TF_CHECKPOINT).members) == 2
