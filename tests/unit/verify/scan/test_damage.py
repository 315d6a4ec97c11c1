"""Shards that are newer than their index: damage differs from a save or copy that goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from checkpointd.core.request import End, Former
from tests.helpers.bundles import VALUE, write_bundle
from tests.helpers.formats import savedmodel
from tests.helpers.scan import request_for, scanned

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


def former_of(path: Path) -> Former:
    """What the last report about a path has of it, which is whole."""
    seen = scanned(path)
    assert seen.end is End.DONE
    return Former(request_for(path).generation, seen.facts)


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
    other = bytes(255 - value for value in whole[:64])
    changed = {
        "the last tensor": whole[:-64] + other,
        "two tensors": other + whole[64 : 2 * _BYTES - 64] + other + whole[2 * _BYTES :],
        "a page of zeros": whole[:at] + page + whole[at + len(page) :],
    }
    assert rewrite(shard, changed[part]) is End.INCOMPLETE


@pytest.mark.parametrize(
    "at", [(2 * _BYTES + 77,), (77, _BYTES + 77), (0, _BYTES, 3 * _BYTES - 1)], ids=str
)
def test_single_changed_bits_are_judged_at_once_wherever_they_are(
    shard: Path, at: tuple[int, ...]
) -> None:
    """Training changes every value: what differs from the index in one byte is of its save."""
    assert rewrite(shard, flipped(shard.read_bytes(), *at)) is End.DONE


def test_what_was_read_whole_before_tells_a_changed_byte_in_a_large_tensor(tmp_path: Path) -> None:
    """The checksum of the index alone leaves it open; the one in the last report does not."""
    values = np.random.default_rng(3).normal(size=1 << 20).astype(np.float32)
    write_bundle(tmp_path / "ckpt-1", {f"{name}{VALUE}": values for name in ("a", "b")})
    former = former_of(tmp_path / "ckpt-1")
    shard = tmp_path / "ckpt-1.data-00000-of-00001"
    data = bytearray(shard.read_bytes())
    for offset in (77, len(data) - 77):
        data[offset] ^= 0xFF
    assert rewrite(shard, bytes(data)) is End.INCOMPLETE
    assert scanned(tmp_path / "ckpt-1", former).end is End.DONE


def test_other_damage_of_the_last_tensor_is_told_by_an_index_that_was_there_before(
    shard: Path,
) -> None:
    """It described all of the shard once, so nothing is still being filled in."""
    former = former_of(shard.parent / "ckpt-1")
    whole = shard.read_bytes()
    assert rewrite(shard, whole[:-64] + bytes(255 - value for value in whole[:64])) is (
        End.INCOMPLETE
    )
    assert scanned(shard.parent / "ckpt-1", former).end is End.DONE


@pytest.mark.parametrize("member", ["saved_model.pb", "variables/variables.index"])
def test_a_changed_byte_in_a_small_file_of_a_saved_model_is_judged_at_once(
    tmp_path: Path, member: str
) -> None:
    """Everywhere in it; where its file was replaced, or more has changed, a save may go on."""
    model = tmp_path / "model"
    savedmodel(model)
    former = former_of(model)
    file = model / member
    whole = file.read_bytes()
    for offset in range(0, len(whole), max(1, len(whole) // 20)):
        file.write_bytes(flipped(whole, offset))
        assert scanned(model, former).end is End.DONE, offset
    file.write_bytes(b"\xff" * 8 + whole[8:])
    assert scanned(model, former).end is End.INCOMPLETE
    file.with_name("other").write_bytes(b"\xff" + whole[1:])
    file.with_name("other").rename(file)
    assert scanned(model, former).end is End.INCOMPLETE


def test_a_temporary_file_beside_it_shows_that_somebody_is_at_work(shard: Path) -> None:
    """As rsync leaves beside a member while it brings the next."""
    (shard.parent / ".ckpt-1.index.a1B2c3").write_bytes(b"half")
    assert rewrite(shard, flipped(shard.read_bytes(), _BYTES + 77)) is End.INCOMPLETE
