"""The reading side of archives, graphs and maps of weights: whole, broken and hostile."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.formats import FormatError
from checkpointd.formats.dtypes import dtype_name
from checkpointd.formats.keras import read_archive, read_member
from checkpointd.formats.savedmodel import check_variables, read_graph
from checkpointd.formats.sharded import read_shards
from checkpointd.formats.unpacking import DEFLATED, STORED
from tests.helpers.formats import archive, graph, savedmodel, signature, tensor_info
from tests.helpers.protobuf import field

if TYPE_CHECKING:
    from pathlib import Path


def test_an_archive_is_read_with_the_places_of_its_members(tmp_path: Path) -> None:
    """The bytes at a member's place are its own, stored or deflated."""
    path = tmp_path / "m.keras"
    weights = bytes(range(256)) * 50
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", '{"keras_version": "3"}')
        file.writestr("config.json", '{"a": 1}', compress_type=zipfile.ZIP_DEFLATED)
        file.writestr("model.weights.h5", weights)
        file.comment = b"checkpointd-save-id:ff"
    content = read_archive(str(path))
    assert (content.metadata, content.config) == ({"keras_version": "3"}, {"a": 1})
    member = content.member("model.weights.h5")
    assert member is not None
    assert path.read_bytes()[member.data_offset :][: member.size] == weights
    assert (member.method, member.crc32) == (STORED, zlib.crc32(weights))
    config = content.member("config.json")
    assert config is not None
    assert config.method == DEFLATED
    assert read_member(str(path), config, 100) == b'{"a": 1}'
    with pytest.raises(FormatError, match="more than"):
        read_member(str(path), member, 100)
    assert content.member("gone") is None


def test_a_zip64_archive_is_read(tmp_path: Path) -> None:
    """Sizes come from the extra field where 32 bits hold none."""
    path = archive(tmp_path / "m.keras")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x05\x06")
    count, size, offset = struct.unpack_from("<H2I", data, at + 10)
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
    struct.pack_into("<2H2I", data, at + 8, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    path.write_bytes(data[:at] + end64 + locator + data[at:])
    assert len(read_archive(str(path)).members) == 3
    path.write_bytes(data)
    with pytest.raises(FormatError, match="Zip64"):
        read_archive(str(path))


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"metadata.json": b"{}", "config.json": b"{}"}, "missing_member"),
        ({"metadata.json": b"{}", "model.weights.h5": b""}, "missing_member"),
        ({"metadata.json": b"{}", "config.json": b"[]", "model.weights.h5": b""}, "malformed"),
        ({"metadata.json": b"{}", "config.json": b"{", "model.weights.h5": b""}, "malformed"),
        ({"config.json": b"[" * 100_000, "model.weights.h5": b""}, "malformed"),
    ],
)
def test_an_archive_that_is_no_model_says_why(
    tmp_path: Path, members: dict[str, bytes], word: str
) -> None:
    """A member that is missing or is no JSON has its own word."""
    path = archive(tmp_path / "m.keras", members)
    with pytest.raises(FormatError) as caught:
        read_archive(str(path))
    assert caught.value.word == word


@pytest.mark.parametrize("metadata", [None, b"{", b"[" * 100_000, b"[]"])
def test_an_archive_needs_no_metadata(tmp_path: Path, metadata: bytes | None) -> None:
    """Keras writes who wrote it, and never reads that."""
    members = {"config.json": b'{"a": 1}', "model.weights.h5": b""}
    members |= {"metadata.json": metadata} if metadata is not None else {}
    content = read_archive(str(archive(tmp_path / "m.keras", members)))
    assert (content.config, content.metadata) == ({"a": 1}, {})


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_method_of_pythons_zipfile_is_unpacked(tmp_path: Path, method: int) -> None:
    """And none of them beyond what a member declares; broken ones are malformed."""
    path = tmp_path / "m.keras"
    config = json.dumps({str(i): [i] * 50 for i in range(5000)}).encode()
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("config.json", config)
        file.writestr("model.weights.h5", b"")
    assert len(read_archive(str(path)).config) == 5000
    member = read_archive(str(path)).member("config.json")
    assert member is not None
    whole = path.read_bytes()
    start, end = member.data_offset, member.data_offset + member.compressed_size
    for at in (start, start + 4, (start + end) // 2):
        data = bytearray(whole)
        data[at : at + 8] = bytes(b ^ 0xFF for b in data[at : at + 8])
        path.write_bytes(data)
        with contextlib.suppress(FormatError):
            assert len(read_member(str(path), member, 1 << 30)) == member.size
    path.write_bytes(whole)
    with pytest.raises(FormatError, match=r"another size|does not unpack"):
        read_member(str(path), dataclasses.replace(member, size=1000), 1 << 30)


def test_a_method_that_this_python_does_not_know_is_no_fault_of_the_archive(tmp_path: Path) -> None:
    """Python 3.14 knows method 93; what is not unpacked is not looked through, nor loaded."""
    path = archive(tmp_path / "m.keras")
    data = bytearray(path.read_bytes())
    for name in (b"config.json",):
        struct.pack_into("<H", data, data.index(name) - 22, 93)
        struct.pack_into("<H", data, data.rindex(name) - 36, 93)
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_archive(str(path))
    assert caught.value.word == "environment"


@given(data=st.data())
def test_a_damaged_archive_gives_an_error_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Of any flip and any cut a FormatError comes, or an archive."""
    path = archive(tmp_path_factory.getbasetemp() / "damaged.keras")
    whole = bytearray(path.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(FormatError):
        assert read_archive(str(path)).members


def test_a_bomb_in_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    """A member that unpacks to more than it declares is refused at its declared size."""
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", b"{}" + b" " * 50_000_000)
        file.writestr("metadata.json", "{}")
        file.writestr("model.weights.h5", "")
    data = bytearray(path.read_bytes())
    for at in (22, data.index(b"PK\x01\x02") + 24):  # its own header, and the directory
        struct.pack_into("<I", data, at, 100)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="another size"):
        read_archive(str(path))


def test_the_signatures_and_the_writer_of_a_graph_are_read(tmp_path: Path) -> None:
    """Open dimensions are None, an open rank too; TensorFlow's own init signature is left out."""
    serve = signature("serving_default", {"x": tensor_info(1, [-1, 3])}, {"y": tensor_info(9, [])})
    other = signature("a", {}, {"z": tensor_info(7, None)})
    hidden = signature("__saved_model_init_op", {}, {"op": tensor_info(1, [])})
    savedmodel(tmp_path / "m")
    path = tmp_path / "m" / "saved_model.pb"
    path.write_bytes(graph(signatures=[serve, other, hidden], assets=["v.txt"]))
    info = read_graph(str(tmp_path / "m"))
    assert info.signatures == {
        "a": {"inputs": [], "outputs": [["z", "string", None]]},
        "serving_default": {
            "inputs": [["x", "float32", [None, 3]]],
            "outputs": [["y", "int64", []]],
        },
    }
    assert (info.tensorflow_version, info.tag_sets) == ("2.21.0", (("serve",),))
    assert (info.has_object_graph, info.has_saver, info.assets) == (True, True, ("v.txt",))
    assert info.root == "_generic_user_object"
    assert json.dumps(info.signatures)


def test_the_signatures_are_those_of_the_graph_that_is_served(tmp_path: Path) -> None:
    """TF 1 stores one for training beside it."""
    both = b"".join(
        graph("", saver=tag == "serve", tags=(tag,), signatures=[signature(tag, {}, {})])[2:]
        for tag in ("train", "serve")
    )
    (tmp_path / "saved_model.pb").write_bytes(both)
    info = read_graph(str(tmp_path))
    assert info.tag_sets == (("train",), ("serve",))
    assert (list(info.signatures), info.has_object_graph) == (["serve"], False)
    assert check_variables(info, {"/saved_model.pb"}) is not None
    assert check_variables(info, {"/variables/variables.index"}) is None


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "missing_member"),
        (b"", "truncated"),
        (graph()[:-1], "truncated"),
        (field(1, 1), "malformed"),
        (b"\xff" * 50, "malformed"),
    ],
    ids=["missing", "empty", "cut", "without a graph", "no message"],
)
def test_a_graph_that_cannot_be_read_says_why(
    tmp_path: Path, content: bytes | None, word: str
) -> None:
    """Missing, empty, cut, without a graph, or no message at all."""
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_graph(str(tmp_path))
    assert caught.value.word == word


@pytest.mark.parametrize("name", ["../x.h5", "a/b.h5", "", "..", 7])
def test_a_map_of_weights_names_files_beside_it_alone(tmp_path: Path, name: object) -> None:
    """Nothing outside its directory is ever opened for it."""
    path = tmp_path / "m.weights.json"
    path.write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(FormatError) as caught:
        read_shards(str(path))
    assert caught.value.word == "malformed"


def test_element_types_have_numpys_names() -> None:
    """Reference types of TF 1 are named like their values, new ones by their number."""
    assert [dtype_name(n) for n in (1, 14, 19, 101, 999)] == [
        "float32",
        "bfloat16",
        "float16",
        "float32",
        "dtype_899",
    ]
