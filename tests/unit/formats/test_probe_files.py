"""What the daemon's look at the edges of single files says."""

from __future__ import annotations

import json
import os
import zipfile
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import Candidate, ProbeState, generation_of, probe
from checkpointd.formats.keras import read_archive
from tests.helpers.formats import Metered, archive, probed, superblock

if TYPE_CHECKING:
    from pathlib import Path

TRUNCATED, MISSING = "structure.truncated", "structure.missing_member"


def test_an_hdf5_file_is_complete_at_the_size_its_superblock_says(tmp_path: Path) -> None:
    """One byte less or more is incomplete; nothing of HDF5 is ever certain."""
    path = tmp_path / "m.h5"
    for size, state in ((100, ProbeState.COMPLETE), (99, ProbeState.INCOMPLETE)):
        path.write_bytes((superblock(100) + bytes(100))[:size])
        result = probed(path)
        assert (result.state, result.format, result.certain) == (state, Format.HDF5, False)
    path.write_bytes((superblock(100) + bytes(100))[:101])
    assert probed(path).reason == TRUNCATED


@pytest.mark.parametrize("library", ["earliest", "v108", "v110", "latest"])
@pytest.mark.parametrize("user_block", [0, 512, 4096])
def test_every_superblock_that_libhdf5_writes_is_read(
    tmp_path: Path, library: str, user_block: int
) -> None:
    """All versions and user blocks; a cut at any length is seen, and so is an open writer."""
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w", libver=library, userblock_size=user_block) as file:
        file["x"] = np.arange(1000)
        file.flush()
        file["y"] = np.arange(5000)
        assert probed(path).state is ProbeState.INCOMPLETE
    whole = path.read_bytes()
    assert probed(path).state is ProbeState.COMPLETE
    for size in {0, 1, 7, 8, 20, 47, 512, 513, 600, 2048, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:size])
        result = probed(path)
        assert (result.state, result.reason) == (ProbeState.INCOMPLETE, TRUNCATED), size
        assert result.format is Format.HDF5_WEIGHTS


def test_an_hdf5_file_that_is_flushed_and_still_open_looks_complete(tmp_path: Path) -> None:
    """That is why it is not certain: the settle time decides."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(1000)
        file.flush()
        result = probed(path)
    assert (result.state, result.certain) == (ProbeState.COMPLETE, False)


def test_a_superblock_that_no_version_of_hdf5_has_is_malformed(tmp_path: Path) -> None:
    """An unknown version or address width is damage."""
    path = tmp_path / "m.h5"
    for at, value in ((8, 9), (9, 77)):
        data = bytearray(superblock(48))
        data[at] = value
        path.write_bytes(data)
        assert probed(path).reason == "structure.malformed"


@pytest.mark.parametrize("name", ["m.h5", "m.weights.h5", "m.keras", "m.hdf5", "m.weights.json"])
@pytest.mark.parametrize("size", [0, 1, 5000])
def test_a_promised_checkpoint_without_a_beginning_is_incomplete(
    tmp_path: Path, name: str, size: int
) -> None:
    """Writers truncate first and write the beginning late: empty and all-zero files are theirs."""
    path = tmp_path / name
    path.write_bytes(bytes(size))
    result = probed(path)
    assert (result.state, result.reason) == (ProbeState.INCOMPLETE, TRUNCATED)
    assert result.format is not Format.UNKNOWN
    assert result.message


NO_MODEL = b"#!/bin/sh\necho this is no checkpoint at all }\n" * 200


@pytest.mark.parametrize("name", ["m.weights.json", "m.txt", "m", "m.pb", "m.zip", "m.keras.dvc"])
def test_other_content_is_unknown_where_the_name_promises_nothing(
    tmp_path: Path, name: str
) -> None:
    """Many programs call their files so."""
    path = tmp_path / name
    path.write_bytes(NO_MODEL)
    assert probed(path).state is ProbeState.UNKNOWN


def test_an_unknown_file_costs_one_small_read_and_an_empty_one_none(tmp_path: Path) -> None:
    """Logs and event files grow all the time beside checkpoints."""
    path = tmp_path / "events.out.tfevents.1"
    for content, cost in ((bytes(1_000_000), 64), (b"", 0)):
        path.write_bytes(content)
        meter = Metered()
        found = Candidate(str(path), Format.UNKNOWN, generation_of(str(path), Format.UNKNOWN))
        assert probe(found, meter).state is ProbeState.UNKNOWN
        assert sum(meter.read.values()) == cost


def test_content_is_recognised_under_any_name(tmp_path: Path) -> None:
    """A `.keras` that is HDF5 is HDF5, and a zip without extension may be a model."""
    (tmp_path / "a.keras").write_bytes(superblock(48))
    archive(tmp_path / "b")
    (tmp_path / "c").write_bytes(superblock(48))
    archive(tmp_path / "d.h5")
    kinds = [probed(tmp_path / name).format for name in ("a.keras", "b", "c", "d.h5")]
    assert kinds == [Format.HDF5, Format.KERAS, Format.HDF5, Format.KERAS]


def test_an_archive_cut_at_any_length_is_incomplete(tmp_path: Path) -> None:
    """Without its end there is no archive; its first member still shows what it was to be."""
    whole = archive(tmp_path / "whole.keras", comment=b"checkpointd-save-id:00ff").read_bytes()
    assert probed(tmp_path / "whole.keras").state is ProbeState.COMPLETE
    for name, least in (("m.keras", 0), ("m", 64)):
        path = tmp_path / name
        for size in range(least, len(whole)):
            path.write_bytes(whole[:size])
            result = probed(path)
            assert (result.state, result.reason) == (ProbeState.INCOMPLETE, TRUNCATED), size
            assert result.format is Format.KERAS


def test_an_archive_inside_a_cut_archive_does_not_pass_for_it(tmp_path: Path) -> None:
    """`model.weights.npz` is a zip too: its end is not the outer one's."""
    inner = archive(tmp_path / "inner.npz", {"w.npy": bytes(500)}).read_bytes()
    members = {"metadata.json": b"{}", "config.json": b"{}", "model.weights.npz": inner}
    path = archive(tmp_path / "m.keras", members)
    assert probed(path).state is ProbeState.COMPLETE
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(inner) + len(inner)])
    assert (probed(path).state, probed(path).reason) == (ProbeState.INCOMPLETE, TRUNCATED)


def test_an_archive_without_weights_lacks_a_member(tmp_path: Path) -> None:
    """An exception during the save leaves a well-formed zip with the configuration alone."""
    members = {"metadata.json": b"{}", "config.json": b"{}"}
    result = probed(archive(tmp_path / "m.keras", members))
    assert (result.state, result.reason) == (ProbeState.INCOMPLETE, MISSING)


def test_a_large_directory_and_a_long_comment_do_not_hide_an_archive(tmp_path: Path) -> None:
    """What 4 KiB cannot show is left to a child, and never called broken."""
    members = {"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": b"w"}
    members |= {f"assets/{i:04}.txt": b"" for i in range(500)}
    assert probed(archive(tmp_path / "a.keras", members)).state is ProbeState.COMPLETE
    commented = archive(tmp_path / "b.keras", comment=b"c" * 2000)
    assert probed(commented).state is ProbeState.COMPLETE


def test_an_archive_behind_other_bytes_is_read(tmp_path: Path) -> None:
    """As zipfile reads it, and only under a name that promises one; a cut is seen all the same."""
    whole = archive(tmp_path / "whole.keras", comment=b"checkpointd-save-id:00ff").read_bytes()
    path = tmp_path / "m.keras"
    for stub in (b"x", b"#!/bin/sh\nexit\n" * 50):
        path.write_bytes(stub + whole)
        assert probed(path).state is ProbeState.COMPLETE
        assert len(read_archive(str(path)).members) == 3
    (tmp_path / "m.bin").write_bytes(stub + whole)
    assert probed(tmp_path / "m.bin").state is ProbeState.UNKNOWN
    path.write_bytes(stub + whole[:-30])
    assert probed(path).state is not ProbeState.COMPLETE


def test_a_comment_beyond_a_probe_is_left_to_a_child(tmp_path: Path) -> None:
    """The daemon waits, as its end may not be written yet; a full read finds the end."""
    path = archive(tmp_path / "m.keras", comment=b"c" * 60_000)
    assert (probed(path).state, probed(path).surplus) == (ProbeState.INCOMPLETE, True)
    assert len(read_archive(str(path)).members) == 3


def test_a_zip64_archive_is_read(tmp_path: Path) -> None:
    """Keras writes members with Zip64 fields when it streams them."""
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            with file.open(name, "w", force_zip64=True) as member:
                member.write(b"{}")
    assert probed(path).state is ProbeState.COMPLETE


def sharded(path: Path, shards: int = 2) -> Path:
    """Write a map of weights and its shards."""
    names = [f"m_{i:05}.weights.h5" for i in range(shards)]
    for name in names:
        (path / name).write_bytes(superblock(60) + bytes(12))
    weights = {f"/layers/dense_{i}/vars": names[i % shards] for i in range(4)}
    content = {"metadata": {"total_size": 1}, "weight_map": {**weights, "/both": names}}
    (path / "m.weights.json").write_text(json.dumps(content))
    return path / "m.weights.json"


def test_sharded_weights_are_whole_with_every_shard_that_the_map_names(tmp_path: Path) -> None:
    """A missing or cut shard and a cut map are incomplete; a stale shard does not matter."""
    path = sharded(tmp_path)
    (tmp_path / "m_00007.weights.h5").touch()
    assert probed(path).state is ProbeState.COMPLETE
    shard = tmp_path / "m_00001.weights.h5"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert probed(path).reason == TRUNCATED
    shard.unlink()
    assert probed(path).reason == MISSING
    path.write_bytes(path.read_bytes()[:-4])
    assert probed(path).reason == TRUNCATED


def test_a_map_beyond_4_kib_is_judged_by_its_end(tmp_path: Path) -> None:
    """A large map is complete when it is closed, incomplete when it is cut."""
    path = sharded(tmp_path)
    content = json.loads(path.read_text())
    content["weight_map"] |= {f"/l/{i}": "m_00000.weights.h5" for i in range(500)}
    path.write_text(json.dumps(content, indent=4))
    assert probed(path).state is ProbeState.COMPLETE
    path.write_bytes(path.read_bytes()[:-5])
    assert probed(path).reason == TRUNCATED


def test_a_file_that_went_away_raises_what_the_caller_expects(tmp_path: Path) -> None:
    """FileNotFoundError is for the watcher to take as a change."""
    path = tmp_path / "m.h5"
    path.write_bytes(superblock(48))
    found = Candidate(str(path), Format.HDF5, generation_of(str(path), Format.HDF5))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        probe(found)


def test_a_pipe_in_the_place_of_a_file_never_blocks(tmp_path: Path) -> None:
    """It is opened without waiting for a writer, and refused."""
    path = tmp_path / "m.h5"
    path.write_bytes(superblock(48))
    found = Candidate(str(path), Format.HDF5, generation_of(str(path), Format.HDF5))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="Not a regular file"):
        probe(found)
