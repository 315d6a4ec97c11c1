"""Recognition against files that TensorFlow, Keras 3 and tf_keras wrote themselves."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.formats import (
    Candidate,
    ProbeState,
    generation_of,
    locate,
    probe,
    recognise,
)
from checkpointd.formats.names import is_temporary_directory, is_temporary_file, is_temporary_member
from tests.helpers import models
from tests.helpers.files import set_times
from tests.helpers.formats import probed

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")

google_crc32c = pytest.importorskip("google_crc32c")

TEMPORARY = ("/variables_temp/", ".tempstate", ".tmp")
"""What the path of a file has while TensorFlow has not put it in its place."""


def walk(directory: Path) -> Iterator[Candidate]:
    """Give every candidate below a directory."""
    result = recognise(str(directory))
    yield from result.found
    for path in result.descend:
        yield from walk(Path(path))


def copied(written: Path, name: str, tmp_path: Path) -> Path:
    """Copy a SavedModel file by file, times included, and give the copy."""
    for found in walk(written / name):
        for member in found.generation.members:
            target = Path(str(tmp_path / name) + member.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Path(found.path + member.name).read_bytes())
            os.utime(target, ns=(member.mtime_ns, member.mtime_ns))
    return tmp_path / name


def test_what_real_writers_leave_is_recognised_and_complete(written: Path) -> None:
    """Each save is one candidate of its format, certain exactly where the format proves it."""
    seen = {}
    for found in walk(written):
        result = probed(found.path)
        name = Path(found.path).relative_to(written).as_posix()
        seen[name] = (result.state, str(result.format), result.certain)
        assert locate(found.path) == found
        assert generation_of(found.path, found.hint) == found.generation
    whole = ProbeState.COMPLETE
    assert seen == {
        "k3_export": (whole, "savedmodel", True),
        "k3_saved": (whole, "savedmodel", True),
        "k2_save": (whole, "savedmodel", True),
        "k2_saved": (whole, "savedmodel", False),
        "empty_module": (whole, "savedmodel", True),
        "tf1": (whole, "savedmodel", False),
        "tf1_bare": (whole, "savedmodel", False),
        "k3.keras": (whole, "keras", False),
        "k2.keras": (whole, "keras", False),
        "k3.h5": (whole, "hdf5", False),
        "k2.h5": (whole, "hdf5", False),
        "k3.weights.h5": (whole, "hdf5_weights", False),
        "k2.weights.h5": (whole, "hdf5_weights", False),
        "k2_weights": (whole, "tf_checkpoint", True),
        "saver-3": (whole, "tf_checkpoint", True),
        "manager/ckpt-1": (whole, "tf_checkpoint", True),
        "sharded/m.weights.json": (whole, "hdf5_weights", False),
        "cache": (ProbeState.UNKNOWN, "tf_checkpoint", False),
    }


@pytest.mark.parametrize("name", ["k3.keras", "k2.keras", "k3.h5", "k2.h5", "k3.weights.h5"])
def test_a_real_file_cut_anywhere_is_truncated(written: Path, tmp_path: Path, name: str) -> None:
    """At its beginning, its end, and at forty lengths between."""
    whole = (written / name).read_bytes()
    path = tmp_path / name
    lengths = {*range(10), *range(0, len(whole), len(whole) // 40), len(whole) - 1}
    for size in sorted(lengths):
        path.write_bytes(whole[:size])
        result = probed(path)
        assert (result.state, result.reason) == (
            ProbeState.INCOMPLETE,
            "structure.truncated",
        ), size


@pytest.mark.parametrize("name", ["manager/ckpt-1", "saver-3", "k2_weights"])
def test_a_real_index_and_real_shards_cut_anywhere_are_truncated(
    written: Path, tmp_path: Path, name: str
) -> None:
    """Neither is ever taken for a whole one."""
    files = []
    for end in (".data-00000-of-00001", ".index"):
        files.append(tmp_path / f"c{end}")
        files[-1].write_bytes(Path(f"{written / name}{end}").read_bytes())
    set_times(files)
    assert probed(tmp_path / "c").certain
    for file in files:
        whole = file.read_bytes()
        for size in {*range(5), *range(0, len(whole), len(whole) // 20 + 1), len(whole) - 1}:
            file.write_bytes(whole[:size])
            assert probed(tmp_path / "c").reason == "structure.truncated", (file.name, size)
        file.write_bytes(whole)


@pytest.mark.parametrize("name", ["k3_export", "k3_saved", "k2_save"])
def test_a_real_savedmodel_without_one_of_its_files_is_not_certain(
    written: Path, tmp_path: Path, name: str
) -> None:
    """Its graph and its variables make it incomplete, its marks cost the settle time."""
    model = copied(written, name, tmp_path)
    assert probed(model).certain
    for file in [f for f in model.rglob("*") if f.is_file()]:
        times = file.stat()
        content = file.read_bytes()
        file.unlink()
        result = probed(model)
        mark = file.name in {"fingerprint.pb", "keras_metadata.pb"}
        assert result.state is (ProbeState.COMPLETE if mark else ProbeState.INCOMPLETE), file.name
        assert result.reason == ("" if mark else "structure.missing_member")
        assert not result.certain
        file.write_bytes(content)
        os.utime(file, ns=(times.st_mtime_ns, times.st_mtime_ns))
    assert probed(model).certain


def test_a_real_graph_cut_anywhere_is_truncated(written: Path, tmp_path: Path) -> None:
    """TensorFlow writes it whole, a copy may not."""
    model = copied(written, "k3_export", tmp_path)
    graph = model / "saved_model.pb"
    whole = graph.read_bytes()
    for size in {*range(6), *range(0, len(whole), len(whole) // 40), len(whole) - 1}:
        graph.write_bytes(whole[:size])
        assert probed(model).reason == "structure.truncated", size


def test_every_state_that_a_savedmodel_passes_through_is_incomplete_or_uncertain(
    tmp_path: Path,
) -> None:
    """While tf_keras saves, no observer ever takes less than the whole for certain."""
    import tf_keras

    model = models.sequential(tf_keras, trained=False)
    seen: list[tuple[tuple[str, ...], ProbeState, bool]] = []
    done = threading.Event()

    def observe() -> None:
        while not done.is_set():
            for found in walk(tmp_path):
                try:
                    result = probe(found)
                except FileNotFoundError:
                    continue
                parts = tuple(member.name for member in found.generation.members)
                seen.append((parts, result.state, result.certain))

    observer = threading.Thread(target=observe)
    observer.start()
    for _ in range(3):
        model.save(str(tmp_path / "m"))
    done.set()
    observer.join()
    assert seen
    assert probed(tmp_path / "m").certain
    for parts, state, certain in seen:
        temporary = tuple(part for part in parts if any(mark in part for mark in TEMPORARY))
        assert temporary in {(), parts}
        if state is ProbeState.COMPLETE:
            assert not temporary
            assert "/saved_model.pb" in parts
        if certain:
            assert {"/fingerprint.pb", "/keras_metadata.pb"} <= set(parts)


def test_every_temporary_name_that_a_real_writer_uses_is_ignored(tmp_path: Path) -> None:
    """Names that vanish during saves are none that recognise would give."""
    import tensorflow as tf

    variable = tf.Variable(tf.zeros([1_000_000]))
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(v=variable), str(tmp_path), 50)
    seen: set[str] = set()
    done = threading.Event()

    def observe() -> None:
        while not done.is_set():
            for directory, _, files in os.walk(tmp_path):  # what vanishes meanwhile is skipped
                seen.update(str(Path(directory, file).relative_to(tmp_path)) for file in files)

    observer = threading.Thread(target=observe)
    observer.start()
    for _ in range(20):
        manager.save()
    done.set()
    observer.join()
    assert seen
    kept = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    for name in seen - kept:
        path = Path(name)
        assert is_temporary_file(path.name, path.parent.name), name
        assert is_temporary_member(path.name, path.parent.name), name
    assert not any(is_temporary_file(name, "") for name in kept)
    assert not is_temporary_directory("ckpt-1_temp")


def test_a_save_that_raised_leaves_an_archive_without_weights(tmp_path: Path) -> None:
    """Keras's own save, failing in a layer: the zip is well-formed, and incomplete."""
    import keras

    class Broken(keras.layers.Layer):
        """A layer whose weights cannot be saved."""

        def save_own_variables(self, store: Any) -> None:
            """Fail as a full disk does."""
            raise OSError(28, "No space left on device")

    model = keras.Sequential([keras.layers.Input((3,)), Broken()])
    path = tmp_path / "m.keras"
    with pytest.raises(OSError, match="No space"):
        model.save(path)
    result = probed(path)
    assert result.state is ProbeState.INCOMPLETE
    assert result.reason in {"structure.missing_member", "structure.truncated"}
