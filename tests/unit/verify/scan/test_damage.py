"""Shards that are newer than their index: damage differs from a save or copy that goes on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.core.request import End, Former
from tests.helpers.bundles import VALUE, write_bundle
from tests.helpers.formats import savedmodel
from tests.helpers.scan import request_for, scanned, write_weights

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
    """Shard and index are of one save: nothing follows that repairs it."""
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


def test_an_earlier_intact_report_shows_a_changed_byte_in_a_large_tensor(tmp_path: Path) -> None:
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


def test_other_damage_of_the_last_tensor_is_shown_by_an_unchanged_index(
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


def write_into(shard: Path, *places: int) -> None:
    """Change 64 bytes at each place, in the file that is there."""
    with shard.open("r+b") as file:
        for at in places:
            file.seek(at)
            piece = file.read(64)
            file.seek(at)
            file.write(bytes(255 - value for value in piece))
    later = (shard.parent / "ckpt-1.index").stat().st_mtime_ns + 10**9
    os.utime(shard, ns=(later, later))


def test_several_damaged_places_are_judged_when_nobody_has_worked_on_them_for_a_while(
    shard: Path,
) -> None:
    """A copy in place would have come past what is whole in front of them."""
    prefix = shard.parent / "ckpt-1"
    former = former_of(prefix)
    write_into(shard, _BYTES + 77, 2 * _BYTES + 77)
    assert scanned(prefix, former).end is End.INCOMPLETE
    assert scanned(prefix, former, idle=True).end is End.DONE
    assert scanned(prefix, former, former, idle=True).end is End.DONE, "there is no other save"
    assert scanned(prefix, idle=True).end is End.INCOMPLETE, "nothing is known of it"


def test_a_copy_in_place_that_stands_still_waits_wherever_it_stands(
    shard: Path, tmp_path: Path
) -> None:
    """What is new is in front, and what is old behind; then the index is still the old one."""
    prefix = tmp_path / "ckpt-1"
    former = former_of(prefix)
    old = shard.read_bytes()
    (tmp_path / "other").mkdir()
    write_bundle(tmp_path / "other" / "ckpt-1", weights(2))
    new = (tmp_path / "other" / shard.name).read_bytes()
    for cut in range(2, len(old) + 1, 4999):
        rewrite(shard, new[:cut] + old[cut:])
        assert scanned(prefix, former).end is End.INCOMPLETE, cut
        assert scanned(prefix, former, idle=True).end is End.INCOMPLETE, cut
    rewrite(shard, new[: len(new) // 2] + bytes(len(new) - len(new) // 2))
    assert scanned(prefix, former, idle=True).end is End.INCOMPLETE


def test_layers_that_training_leaves_alone_do_not_show_that_a_save_is_over(
    shard: Path, tmp_path: Path
) -> None:
    """`a` is in every save: that it is whole says nothing about a copy of the next one."""
    first, second, third = weights(1), weights(2), weights(3)
    frozen = {name: first[name] for name in first if name.startswith("a")}
    (tmp_path / "before").mkdir()
    write_bundle(tmp_path / "before" / "ckpt-1", second | frozen)
    previous = former_of(tmp_path / "before" / "ckpt-1")
    former = former_of(tmp_path / "ckpt-1")
    (tmp_path / "after").mkdir()
    write_bundle(tmp_path / "after" / "ckpt-1", third | frozen)
    rewrite(shard, (tmp_path / "after" / shard.name).read_bytes())
    assert scanned(tmp_path / "ckpt-1", former, previous, idle=True).end is End.INCOMPLETE
    write_bundle(tmp_path / "ckpt-1", first)
    former = former_of(tmp_path / "ckpt-1")
    write_into(shard, 77, 2 * _BYTES + 77)
    assert scanned(tmp_path / "ckpt-1", former, previous, idle=True).end is End.DONE


def test_a_shard_that_was_replaced_as_a_whole_waits_for_its_index(shard: Path) -> None:
    """Writers that use temporary names put another file there: its index may be on its way."""
    former = former_of(shard.parent / "ckpt-1")
    shard.with_name("copy").write_bytes(shard.read_bytes())
    shard.with_name("copy").rename(shard)
    write_into(shard, _BYTES + 77, 2 * _BYTES + 77)
    assert scanned(shard.parent / "ckpt-1", former, idle=True).end is End.INCOMPLETE


@pytest.mark.parametrize("written", [0.0, 0.4, 0.9])
def test_a_shard_that_was_given_its_size_before_its_content_is_still_written(
    shard: Path, written: float
) -> None:
    """As a download in several pieces does, whose index came first."""
    whole = shard.read_bytes()
    before = (shard.parent / "ckpt-1.index").stat().st_mtime_ns - 10**9
    done = int(len(whole) * written)
    shard.write_bytes(whole[:done] + bytes(len(whole) - done))
    os.utime(shard, ns=(before, before))
    assert scanned(shard.parent / "ckpt-1", idle=True).end is End.INCOMPLETE


@pytest.mark.parametrize("sparse", [False, True])
def test_a_file_without_checksums_that_was_given_its_size_first_is_still_written(
    tmp_path: Path, sparse: bool
) -> None:
    """Its superblock promises no more than is there; it is neither broken nor full of zeros."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, {f"dense_{i}": np.ones((64, 64), np.float32) for i in range(9)})
    whole = path.read_bytes()
    for cut in range(4096, len(whole) - 4096, 16384):
        with path.open("wb") as file:
            file.write(whole[:cut])
            if sparse:
                file.truncate(len(whole))
            else:
                file.write(bytes(len(whole) - cut))
        seen = scanned(path)
        if sparse or Outcome.FAIL in {check.outcome for check in seen.checks.values()}:
            assert seen.end is End.INCOMPLETE, cut
    path.write_bytes(whole)
    assert scanned(path).clean


def test_a_file_with_holes_that_was_read_whole_is_not_waited_for_again(tmp_path: Path) -> None:
    """A sparse copy (`cp --sparse=always`) of a file with zeros is nobody's unfinished work."""
    path = tmp_path / "m.weights.h5"
    write_weights(path, {"dense": np.zeros((256, 256), np.float32)})
    whole = path.read_bytes()
    with path.open("wb") as file:
        for at in range(0, len(whole), 4096):
            block = whole[at : at + 4096]
            file.seek(at)
            if block.strip(b"\0"):
                file.write(block)
        file.truncate(len(whole))
    assert path.read_bytes() == whole
    assert scanned(path).end is End.INCOMPLETE
    assert scanned(path, idle=True).end is End.DONE
    known = Former(request_for(path).generation, scanned(path, idle=True).facts)
    assert scanned(path, known).end is End.DONE
