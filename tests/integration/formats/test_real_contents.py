"""Indexes, archives and graphs that TensorFlow, Keras 3 and tf_keras wrote, read by our readers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import (
    Candidate,
    generation_of,
    locate,
    probe,
)
from checkpointd.formats.keras import read_archive
from checkpointd.formats.savedmodel import check_variables, read_graph
from checkpointd.formats.sharded import read_shards
from checkpointd.formats.tf_checkpoint import is_model, read_index, shard_path
from checkpointd.formats.unpacking import STORED
from tests.helpers.formats import probed

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")

google_crc32c = pytest.importorskip("google_crc32c")


def test_the_index_of_a_real_checkpoint_names_every_tensor_with_its_checksum(
    written: Path,
) -> None:
    """Names, shapes and types as TensorFlow's own reader gives them; bytes as stored."""
    import tensorflow as tf

    for name in ("manager/ckpt-1", "k2_weights", "saver-3", "k3_export/variables/variables"):
        prefix = str(written / name)
        index = read_index(prefix, google_crc32c.value)
        reader = tf.train.load_checkpoint(prefix)
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        assert {e.name: list(e.shape) for e in index.entries} == shapes
        assert {e.name: e.dtype for e in index.entries} == {n: t.name for n, t in types.items()}
        assert is_model(index)
        for entry in index.entries:
            shard = Path(shard_path(prefix, entry.shard, index.num_shards)).read_bytes()
            data = shard[entry.offset : entry.offset + entry.size]
            assert len(data) == entry.size
            if entry.dtype != "string":
                assert google_crc32c.value(data) == entry.crc32c, entry.name


def test_the_cache_of_tf_data_is_no_model(written: Path) -> None:
    """Its keys are pairs of numbers."""
    assert not is_model(read_index(str(written / "cache")))


def test_a_partitioned_variable_is_read_with_its_slices(tmp_path: Path) -> None:
    """TF 1's partitioner stores one tensor in pieces, each in an entry of its own."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", [6, 2], partitioner=v1.fixed_size_partitioner(3))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "m"))
    index = read_index(str(tmp_path / "m"), google_crc32c.value)
    (whole,) = [e for e in index.entries if e.name == "w"]
    assert whole.shape == (6, 2)
    assert sorted(whole.slices) == [((at, 2), (0, 2)) for at in (0, 2, 4)]
    pieces = [e for e in index.entries if e.name.startswith("\0")]
    assert [(p.size, p.shape) for p in pieces] == [(16, (2, 2))] * 3
    assert probed(tmp_path / "m").certain


@pytest.mark.parametrize("name", ["k3.keras", "k2.keras"])
def test_a_real_archive_is_read_as_pythons_zipfile_reads_it(written: Path, name: str) -> None:
    """Members, checksums, and the bytes at each place."""
    path = written / name
    content = read_archive(str(path))
    data = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        assert [m.name for m in content.members] == file.namelist()
        for info, member in zip(file.infolist(), content.members, strict=True):
            assert (member.size, member.crc32) == (info.file_size, info.CRC)
            assert member.method == STORED
            assert data[member.data_offset :][: member.size] == file.read(info)
    assert content.metadata["keras_version"]
    assert content.config["class_name"] == "Sequential"


def test_signatures_and_writers_of_real_graphs_are_read(written: Path) -> None:
    """As TensorFlow's own parser reads them."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    roots = {}
    names = ("k3_export", "k3_saved", "k2_save", "k2_saved", "tf1", "tf1_bare", "empty_module")
    for name in names:
        info = read_graph(str(written / name))
        parsed = saved_model_pb2.SavedModel.FromString(
            (written / name / "saved_model.pb").read_bytes()
        ).meta_graphs[0]
        assert info.tensorflow_version == tf.__version__
        assert info.tag_sets == (("serve",),)
        assert info.has_object_graph == parsed.HasField("object_graph_def")
        assert info.has_saver == parsed.HasField("saver_def")
        expected = {
            key: {
                side: sorted(
                    [k, tf.as_dtype(t.dtype).name, [None if d.size < 0 else d.size for d in dims]]
                    for k, t in getattr(signature, side).items()
                    for dims in [t.tensor_shape.dim]
                )
                for side in ("inputs", "outputs")
            }
            for key, signature in parsed.signature_def.items()
            if not key.startswith("__saved_model_")
        }
        assert info.signatures == expected
        present = {m.name for m in generation_of(str(written / name), Format.SAVEDMODEL).members}
        assert check_variables(info, present) is None
        roots[name] = info.root
    assert roots == {
        "k3_export": "_generic_user_object",
        "k3_saved": "_generic_user_object",
        "k2_save": "_tf_keras_sequential",
        "k2_saved": "_tf_keras_sequential",
        "tf1": "",
        "tf1_bare": "",
        "empty_module": "_generic_user_object",
    }


def test_a_real_map_of_weights_names_its_shards(written: Path) -> None:
    """Several of them, each whole; one less is a missing member."""
    path = written / "sharded" / "m.weights.json"
    shards = read_shards(str(path))
    assert len(shards) > 1
    assert {p.name for p in path.parent.iterdir()} == {path.name, *shards}
    found = locate(str(path))
    assert found is not None
    without = Candidate(
        found.path, found.hint, type(found.generation)(found.generation.members[:-1])
    )
    assert probe(without).reason == "structure.missing_member"
