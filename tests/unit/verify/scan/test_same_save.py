"""Shards that are newer than their index: damage differs from a save or copy that goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from checkpointd.core.request import End
from tests.helpers.bundles import write_bundle
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = 4096
_BYTES = 4 * _SIZE


def weights(seed: int) -> dict[str, np.ndarray]:
    """Three tensors, each of four pages."""
    random = np.random.default_rng(seed)
    return {
        f"{name}/.ATTRIBUTES/VARIABLE_VALUE": random.normal(size=_SIZE).astype(np.float32)
        for name in ("a", "b", "c")
    }


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """The shard of a whole bundle."""
    write_bundle(tmp_path / "ckpt-1", weights(1))
    return tmp_path / "ckpt-1.data-00000-of-00001"


def rewrite(shard: Path, data: bytes) -> End:
    """Replace the shard, later than the index was written; return how a verification ends."""
    assert len(data) == shard.stat().st_size
    shard.write_bytes(data)
    later = (shard.parent / "ckpt-1.index").stat().st_mtime_ns + 10**9
    os.utime(shard, ns=(later, later))
    return scanned(shard.parent / "ckpt-1").end


def flipped(data: bytes, *at: int) -> bytes:
    """Change single bytes."""
    changed = bytearray(data)
    for offset in at:
        changed[offset] ^= 0x10
    return bytes(changed)


def test_one_damaged_tensor_among_whole_ones_is_judged_at_once(shard: Path) -> None:
    """Shard and index are of one save: nothing follows that mends it."""
    assert rewrite(shard, flipped(shard.read_bytes(), _BYTES + 77)) is End.DONE


def test_the_shard_of_another_save_waits_for_its_index(shard: Path, tmp_path: Path) -> None:
    """A writer was stopped between the two."""
    (tmp_path / "other").mkdir()
    write_bundle(tmp_path / "other" / "ckpt-1", weights(2))
    other = (tmp_path / "other" / shard.name).read_bytes()
    assert rewrite(shard, other) is End.INCOMPLETE


@pytest.mark.parametrize("part", ["the last tensor", "two tensors", "a page of zeros"])
def test_what_a_copy_in_place_may_still_fill_in_waits(shard: Path, part: str) -> None:
    """It has not come to the end yet, or has reserved what it has not written."""
    whole = shard.read_bytes()
    page = bytes(_SIZE)
    at = -(-_BYTES // _SIZE) * _SIZE
    changed = {
        "the last tensor": flipped(whole, 2 * _BYTES + 77),
        "two tensors": flipped(whole, 77, _BYTES + 77),
        "a page of zeros": whole[:at] + page + whole[at + len(page) :],
    }
    assert rewrite(shard, changed[part]) is End.INCOMPLETE


def test_a_temporary_file_beside_it_shows_that_somebody_is_at_work(shard: Path) -> None:
    """As rsync leaves beside a member while it brings the next."""
    (shard.parent / ".ckpt-1.index.a1B2c3").write_bytes(b"half")
    assert rewrite(shard, flipped(shard.read_bytes(), _BYTES + 77)) is End.INCOMPLETE
