"""The scan side over what the real writers write, whole and spoiled in every way."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from checkpointd import training
from checkpointd.core.check_result import Outcome
from checkpointd.core.format_specs import Format
from checkpointd.core.request import End
from checkpointd.formats import member_path
from checkpointd.verify.scan.inspect import inspect
from tests.helpers.files import flip
from tests.helpers.models import batch, functional, sequential
from tests.helpers.scan import request_for, scanned, seeded

if TYPE_CHECKING:
    import random

pytestmark = [
    pytest.mark.slow,
    # Keras warns that HDF5 is legacy, and TensorFlow 1's API that it is old: both are tested.
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning"),
]

SAVED = [
    "keras3/export",
    "keras3/tf_save",
    "keras3/m.keras",
    "keras3/unzipped",
    "keras3/m.h5",
    "keras3/m.weights.h5",
    "keras3/ckpt/ckpt-1",
    "keras2/saved",
    "keras2/m.keras",
    "keras2/m.h5",
    "keras2/m.weights.h5",
    "keras2/legacy_weights.h5",
    "keras2/ckpt/ckpt-1",
    "keras2/w",
    "tf1/saved",
    "tf1/model.ckpt-1",
]
FORMATS = {"export": Format.SAVEDMODEL, "tf_save": Format.SAVEDMODEL, "saved": Format.SAVEDMODEL}
FORMATS |= {
    "unzipped": Format.KERAS,
    "m.keras": Format.KERAS,
    "m.h5": Format.HDF5,
    "m.weights.h5": Format.HDF5_WEIGHTS,
}
FORMATS |= {"legacy_weights.h5": Format.HDF5_WEIGHTS}
PARAMETERS = 3 * 5 + 5 + 4 * 5 + 5 * 2 + 2


@pytest.mark.parametrize("name", SAVED)
def test_what_a_real_writer_wrote_passes(saved: Path, name: str) -> None:
    """Every format of every generation of Keras and TensorFlow passes all scan checks."""
    result = scanned(saved / name)
    assert result.clean, result
    assert result.facts.format is FORMATS.get(Path(name).name, Format.TF_CHECKPOINT)
    expected = 6 if name.startswith("tf1") else PARAMETERS
    seeds = 2 * ("export" in name)  # the dropout's random state is exported as a variable
    assert result.facts.parameter_count in (expected, expected + seeds, expected + 2)
    assert inspect(str(saved / name), result.facts.format)["problem"] == ""


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        ("keras3/m.keras", f"keras {keras.__version__}"),
        ("keras3/m.h5", f"keras {keras.__version__}"),
        ("keras2/m.h5", f"keras {tf_keras.__version__}"),
        ("keras2/saved", f"tensorflow {tf.__version__}"),
    ],
)
def test_the_writer_is_named(saved: Path, name: str, writer: str) -> None:
    """The report names the library that wrote a checkpoint."""
    assert scanned(saved / name).facts.writer == writer


@pytest.mark.parametrize("name", SAVED)
def test_the_optimizers_variables_are_distinguished_from_the_weights(
    saved: Path, name: str
) -> None:
    """Adam keeps two moments of each trainable weight, whatever the format calls them."""
    kind = scanned(saved / name).facts.format
    tensors = inspect(str(saved / name), kind)["tensors"]
    moments = [t for t in tensors if t["role"] == "optimizer" and t["shape"] == [5, 2]]
    if name.startswith("tf1"):
        moments = [t for t in tensors if t["role"] == "optimizer" and t["shape"] == [3, 2]]
    weights_only = name in ("keras3/export", "keras2/legacy_weights.h5")
    assert len(moments) == (0 if weights_only else 2)


@pytest.mark.parametrize("name", SAVED)
def test_a_truncated_member_is_never_taken_for_whole(copy: Path, name: str) -> None:
    """Cut anywhere, a checkpoint is incomplete or fails its structure, for every member."""
    rng = seeded()
    for member in members(copy / name):
        whole = member.read_bytes()
        for cut in {0, 1, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(3))}:
            if not 0 <= cut < len(whole):
                continue
            member.write_bytes(whole[:cut])
            result = scanned(copy / name)
            assert not result.clean, (member.name, cut)
            assert result.checks["structure"].outcome is Outcome.FAIL or result.reasons, cut
        member.write_bytes(whole)


def members(path: Path) -> list[Path]:
    """The files of a checkpoint, without those that nothing depends on."""
    request = request_for(path)
    return [
        Path(member_path(request.checkpoint.path, m.name))
        for m in request.generation.members
        if m.size and not m.name.endswith(("fingerprint.pb", "keras_metadata.pb", ".meta"))
    ]


def test_a_truncated_graph_beside_a_checkpoint_of_tensorflow_1_is_found(copy: Path) -> None:
    """Without its `.meta` whole, a program of TensorFlow 1 cannot import the graph."""
    meta = copy / "tf1/model.ckpt-1.meta"
    whole = meta.read_bytes()
    for cut in (0, len(whole) // 2, len(whole) - 1):
        meta.write_bytes(whole[:cut])
        assert scanned(copy / "tf1/model.ckpt-1").reasons == ["structure.truncated"]


@pytest.mark.parametrize("name", [n for n in SAVED if not n.endswith(".h5")])
def test_a_flipped_bit_in_the_weights_is_found_wherever_it_is(copy: Path, name: str) -> None:
    """In a bundle's shard and in a zip's member, any bit of any tensor is covered."""
    rng = seeded()
    kind = scanned(copy / name).facts.format
    for member in members(copy / name):
        if not member.name.endswith((".keras", "-of-00001")):
            continue
        for offset in places(member, kind, rng):
            flip(member, offset, bit := rng.randrange(8))
            result = scanned(copy / name)
            assert not result.clean, (member.name, offset, bit)
            assert result.reasons[0].split(".")[0] in ("structure", "integrity")
            flip(member, offset, bit)
    assert scanned(copy / name).clean


@pytest.mark.parametrize("name", ["keras3/m.keras", "keras2/m.keras"])
def test_a_flipped_bit_that_looks_like_an_attack_is_reported_as_a_flipped_bit(
    copy: Path, name: str
) -> None:
    """Values of terabytes are a bomb; in an archive whose CRC32 differs, nobody has made one."""
    path = copy / name
    # The layout message of the kernel of 3 times 5: version, class, address and size.
    layout = re.search(rb"\x03\x01.{8}\x3c\0{7}", path.read_bytes(), re.DOTALL)
    assert layout
    flip(path, layout.end() - 2, 3)
    assert scanned(path).reasons == ["integrity.checksum_mismatch", "safety.bomb"]


def places(member: Path, kind: Format, rng: random.Random) -> list[int]:
    """Where to flip bits: anywhere in a shard; in the weights' data inside an archive."""
    size = member.stat().st_size
    if kind is not Format.KERAS:
        return [rng.randrange(size) for _ in range(12)]
    start = member.read_bytes().index(b"\x89HDF")
    end = member.read_bytes().index(b"PK\x01\x02")
    return [rng.randrange(start, end) for _ in range(12)]


@pytest.mark.parametrize("name", ["keras3/ckpt/ckpt-1", "keras3/export", "tf1/model.ckpt-1"])
def test_a_flipped_bit_in_an_index_is_found(copy: Path, name: str) -> None:
    """The blocks of the index have checksums, and what they leave out has a fingerprint."""
    rng = seeded()
    index = next(m for m in members(copy / name) if m.name.endswith(".index"))
    for _ in range(12):
        offset, bit = rng.randrange(index.stat().st_size - 48), rng.randrange(8)
        flip(index, offset, bit)
        assert not scanned(copy / name).clean, (offset, bit)
        flip(index, offset, bit)


@pytest.mark.parametrize("name", ["keras3/export", "keras3/tf_save", "keras2/saved"])
def test_a_flipped_bit_in_a_graph_is_found(copy: Path, name: str) -> None:
    """TensorFlow loads most of them without an error: the fingerprint differs."""
    rng = seeded()
    graph = copy / name / "saved_model.pb"
    for _ in range(25):
        offset, bit = rng.randrange(graph.stat().st_size), rng.randrange(8)
        flip(graph, offset, bit)
        assert not scanned(copy / name).clean, (offset, bit)
        flip(graph, offset, bit)
    assert scanned(copy / name).clean


class Nested(tf.Module):
    """Maps wherever a graph may have them: dictionaries, functions within functions, a table."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = {"q": tf.Variable(1.0), "b": [tf.Variable(2.0)]}
        keys = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2])
        self.table = tf.lookup.StaticHashTable(keys, -1)

    @tf.function
    def deep(self, x: Any, *, training: bool = False, **more: Any) -> Any:
        """A loop and a branch over nested dictionaries."""
        y = tf.while_loop(lambda y: tf.reduce_sum(y) < 3, lambda y: [y + 1], [x["in"]])[0]
        y = tf.cond(tf.reduce_sum(y) > 0, lambda: y + self.weights["q"], lambda: -y)
        return {"z": y, "a": {"k": x["other"]["deep"], "b": (y, y)}}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(self, words: Any) -> Any:
        """Two outputs by name."""
        found = self.table.lookup(words)
        return {"zz": found, "a": found + 1}


def test_the_fingerprint_of_a_graph_with_maps_in_maps_is_recomputed(tmp_path: Path) -> None:
    """Python writes such maps in no order, C++ hashes them sorted: both come to the same."""
    module = Nested()
    spec = tf.TensorSpec([None])
    module.deep.get_concrete_function(
        {"in": spec, "other": {"deep": spec, "c": tf.TensorSpec([])}}, training=True, extra=spec
    )
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serve": module.serve})
    options = tf.saved_model.SaveOptions(
        save_debug_info=True, function_aliases={"z": module.serve, "a": module.deep}
    )
    tf.saved_model.save(module, str(tmp_path / "2"), options=options)
    tf.saved_model.save(tf.saved_model.load(str(tmp_path / "1")), str(tmp_path / "3"))
    for library in (keras, tf_keras):
        tf.saved_model.save(functional(library), str(tmp_path / library.__name__))
    for name in ("1", "2", "3", "keras", "tf_keras"):
        result = scanned(tmp_path / name)
        assert result.clean, (name, result)
        fingerprints = result.checks["integrity"].details["fingerprints"]
        assert fingerprints == ["checkpoint_hash", "saved_model_checksum"], name


@pytest.mark.parametrize("name", ["keras3/export", "keras3/tf_save", "keras2/saved"])
def test_the_variables_of_another_save_are_found(copy: Path, name: str, tmp_path: Path) -> None:
    """TensorFlow loads such a mixture without a word and predicts with wrong numbers."""
    other = sequential(keras, trained=False)
    if name.endswith("export"):
        other.export(tmp_path / "other", verbose=False)
    elif name.endswith("tf_save"):
        tf.saved_model.save(other, str(tmp_path / "other"))
    else:
        sequential(tf_keras, trained=False).save(tmp_path / "other")
    shutil.rmtree(copy / name / "variables")
    shutil.copytree(tmp_path / "other/variables", copy / name / "variables")
    assert "integrity.mixed_versions" in scanned(copy / name).reasons


@pytest.mark.parametrize("library", [keras, tf_keras])
@pytest.mark.parametrize("way", ["m.keras", "m.h5", "m.weights.h5", "ckpt-7", "exported"])
def test_the_golden_records_digests_hold_and_catch_a_flipped_bit(
    tmp_path: Path, library: Any, way: str
) -> None:
    """What `checkpointd.training` recorded is what is stored, in every format."""
    path = tmp_path / way
    model = sequential(library)
    kind = {"ckpt-7": "tf_checkpoint", "exported": "savedmodel"}.get(way)
    training.save(model, str(path), format=kind, golden=batch(), step=7)
    result = scanned(path)
    assert result.clean, result
    assert (result.facts.has_golden, result.facts.step) == (True, 7)
    assert result.checks["integrity"].details["golden_digests"] >= 4
    if way in ("m.h5", "m.weights.h5"):
        kernel = model.layers[0].kernel.numpy().tobytes()
        flip(path, path.read_bytes().index(kernel) + 7)
        assert scanned(path).reasons == ["integrity.digest_mismatch"]


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("keras3/export", "saved_model.pb"),
        ("keras3/export", "variables/variables.index"),
        ("keras3/export", "variables/variables.data-00000-of-00001"),
        ("keras3/ckpt/ckpt-1", "../ckpt-1.index"),
        ("keras3/ckpt/ckpt-1", "../ckpt-1.data-00000-of-00001"),
    ],
)
def test_a_missing_member_is_named(copy: Path, name: str, member: str) -> None:
    """The message names what was not copied, with the reason of the structure check."""
    gone = (copy / name).parent / member[3:] if member.startswith("..") else copy / name / member
    gone.unlink()
    result = scanned(copy / name)
    assert result.end is End.INCOMPLETE
    assert result.checks["structure"].reason == "structure.missing_member"


def test_reading_leaves_the_trainer_alone(saved: Path, tmp_path: Path) -> None:
    """No lock is held and nothing is left beside what was read."""
    shutil.copytree(saved / "keras3", tmp_path / "run")
    before = sorted(p.name for p in (tmp_path / "run").rglob("*"))
    target = tmp_path / "run/m.weights.h5"
    request = request_for(target)
    from checkpointd.verify.scan.scan_stage import scan

    def rewrite(_: object) -> None:
        with h5py.File(target, "w") as file:
            file["layers/dense/vars/0"] = np.ones(3)

    end, _, _ = scan(request, rewrite)
    assert end is End.SUPERSEDED
    assert sorted(p.name for p in (tmp_path / "run").rglob("*")) == before
