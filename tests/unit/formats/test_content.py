"""What is told of content that is not what its name promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import Candidate, ProbeState, generation_of, probe
from tests.helpers.bundles import bundle, table
from tests.helpers.formats import archive, probed, savedmodel
from tests.helpers.protobuf import field

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "structure.not_a_checkpoint"
NO_MODEL = b"#!/bin/sh\necho this is no checkpoint at all }\n" * 200


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"<!DOCTYPE html><html>Quota exceeded</html>", "not_a_checkpoint"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n",
            "not_a_checkpoint",
        ),
        (b'{"metadata": {"total_size": 1.0}, "weight_map": {"/lay', "truncated"),
        (b"", "truncated"),
    ],
)
def test_other_content_in_place_of_a_map_of_shards_is_named(
    content: bytes, word: str, tmp_path: Path
) -> None:
    """A page or a pointer was not cut short, and nobody is going to write on."""
    path = tmp_path / "m.weights.json"
    path.write_bytes(content)
    assert probed(path).reason == f"structure.{word}"


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.hdf5", "m.weights.h5", "M.KERAS"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (NO_MODEL, "a text that begins with '#!/bin/sh'"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>Quota exceeded</html>", "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b'{"error": {"code": 403}}', "a JSON text"),
        (b"404: Not Found", "('404: Not Found'), as a server sends to report an error: download"),
        (b"Invalid username or password.\n", "download the file again"),
        (b"outs:\n- md5: 0123\n  size: 7\n  path: m.h5\n", "dvc pull"),
        (b"/annex/objects/SHA256E-s7--00.h5\n", "git annex get"),
        (b"\x1f\x8b\x08" + bytes(range(200)), "packed by gzip"),
        (bytes(257) + b"ustar\x0000" + bytes(500), "a tar archive"),
        (b"\x80\x04\x95" + bytes(100), "a Python pickle"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch file"),
        (b"\x40\0\0\0\0\0\0\0" + b'{"a":{}}', "a safetensors file"),
        (b"\x1c\0\0\0TFL3" + bytes(100), "a TensorFlow Lite model"),
        (field(1, 8) + field(2, b"tf2onnx") + field(7, b""), "an ONNX model"),
        (field(1, field(1, b"x") + field(2, b"Placeholder")), "a frozen GraphDef"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (b"\xfe\xed" * 50, r"that begins with"),
    ],
)
def test_other_content_under_a_models_name_is_named(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    """No silence, and no talk of a full disk."""
    path = tmp_path / name
    path.write_bytes(content)
    result = probed(path)
    assert (result.state, result.reason) == (ProbeState.INCOMPLETE, OTHER)
    assert said in result.message


def test_what_macos_leaves_beside_a_file_is_no_model(tmp_path: Path) -> None:
    """A disk of another file system is full of them; the same content under a model's own name."""
    for name, state in (("._m.keras", ProbeState.UNKNOWN), ("m.keras", ProbeState.INCOMPLETE)):
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07\x00\x02" + bytes(90))
        result = probed(tmp_path / name)
        assert result.state is state
        assert "AppleDouble" in result.message


def test_a_file_of_zeros_is_no_more_than_not_written(tmp_path: Path) -> None:
    """A crash of the machine leaves one; so does a writer that has just begun."""
    (tmp_path / "m.h5").write_bytes(bytes(5000))
    result = probed(tmp_path / "m.h5")
    assert (result.state, result.reason) == (ProbeState.INCOMPLETE, "structure.truncated")
    assert "zero" in result.message


@pytest.mark.parametrize("name", ["model.ckpt-7", "export-00000-of-00001", "net-1000"])
def test_a_checkpoint_of_the_first_format_is_recognised_by_name_and_footer(
    tmp_path: Path, name: str
) -> None:
    """It is none by its footer alone: other programs' tables end like it."""
    for other, expected in ((name, ProbeState.COMPLETE), ("000005.ldb", ProbeState.UNKNOWN)):
        (tmp_path / other).write_bytes(table([(b"", b"")]))
        assert probed(tmp_path / other).state is expected
    found = Candidate(
        str(tmp_path / name),
        Format.TF_CHECKPOINT,
        generation_of(str(tmp_path / name), Format.TF_CHECKPOINT),
    )
    assert probe(found).format is Format.TF_CHECKPOINT


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"a.txt": b"a"}, "other files ('a.txt')"),
        ({}, "other files (none)"),
        ({"m/config.json": b"", "m/model.weights.h5": b""}, "one folder too deep, in 'm/'"),
        ({"m/data.pkl": b"", "m/data/0": b""}, "a PyTorch file"),
        ({"arr_0.npy": b""}, "a NumPy archive"),
        ({"x/best.keras": b""}, "around 'x/best.keras'"),
        ({"1/saved_model.pb": b"", "1/variables/v": b""}, "around '1/saved_model.pb'"),
    ],
)
@pytest.mark.parametrize("ending", [".keras", ".h5", ""])
def test_another_zip_archive_is_named(
    tmp_path: Path, members: dict[str, bytes], said: str, ending: str
) -> None:
    """Where the name promises no model it is none of ours."""
    result = probed(archive(tmp_path / f"m{ending}", members))
    if not ending:
        assert result.state is ProbeState.UNKNOWN
        return
    assert (result.state, result.reason) == (ProbeState.INCOMPLETE, OTHER)
    assert said in result.message


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"
PAGE = b"<html>login</html>"


@pytest.mark.parametrize(
    ("name", "content", "is_told"),
    [
        ("faiss.index", POINTER, True),
        ("faiss.index", PAGE, True),
        ("faiss.index", b"a text of the user's", False),
        ("ckpt-1.index", b"a text of the user's", True),
        ("cp-0007.index", b"", True),
        ("recap.index", b"", False),
        ("data.index", table([(b"a", b"b")]), True),
    ],
)
def test_an_index_alone_is_judged_where_it_was_a_checkpoints(
    tmp_path: Path, name: str, content: bytes, is_told: bool
) -> None:
    """By what stands in its place, by its prefix, or as a table of TensorFlow's."""
    (tmp_path / name).write_bytes(content)
    assert (probed(tmp_path / name).state is ProbeState.INCOMPLETE) == is_told


@pytest.mark.parametrize("content", [POINTER, PAGE])
def test_a_part_of_a_bundle_that_was_not_fetched_is_named(tmp_path: Path, content: bytes) -> None:
    """Nothing was cut short: the index, a shard, the same in a SavedModel, and its graph."""
    files = [*bundle(tmp_path / "c"), *savedmodel(tmp_path / "m")]
    for file in files:
        if file.name in ("vocabulary.txt", "fingerprint.pb"):
            continue
        whole = file.read_bytes()
        file.write_bytes(PAGE if ".data-" in file.name else content)  # these shards are tiny
        result = probed(tmp_path / file.relative_to(tmp_path).parts[0].partition(".")[0])
        assert (result.state, result.reason) == (ProbeState.INCOMPLETE, OTHER), file
        assert "cut short" not in result.message
        file.write_bytes(whole)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (field(1, field(1, b"x") + field(2, b"Placeholder")) * 2000, "a frozen GraphDef"),
        (field(1, 8) + field(2, b"tf2onnx") + field(7, b"x" * 90), "an ONNX model"),
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (field(4, b"x"), "holds no graph"),
        (b"\x3e\xff" * 50, "is no protocol buffer"),
        (bytes(600), "bytes of zero"),
    ],
)
def test_another_graph_in_place_of_a_savedmodels_is_named(
    tmp_path: Path, content: bytes, said: str
) -> None:
    """A frozen graph is whole, and no SavedModel; what is damaged is not called cut short."""
    savedmodel(tmp_path / "m")
    (tmp_path / "m" / "saved_model.pb").write_bytes(content)
    result = probed(tmp_path / "m")
    assert result.state is ProbeState.INCOMPLETE
    assert (result.reason == OTHER) == (content[:1] not in (b"\x3e", b"\0"))
    assert said in result.message


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.weights.json", "ckpt-1.index"])
@pytest.mark.parametrize(
    "secret", [b"root:$y$j9T$abc:19000:0:99999:7:::\n", b'{"token": "root:$y"}\n']
)
def test_text_behind_a_symbolic_link_is_not_quoted(
    name: str, secret: bytes, tmp_path: Path
) -> None:
    """Whoever may write to the directory could read what only the daemon may read."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "shadow").write_bytes(secret)
    path = tmp_path / "watched" / name
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere" / "shadow")
    (tmp_path / "watched" / "ckpt-1.data-00000-of-00001").write_bytes(b"x")
    result = probed(path.with_suffix("") if name.endswith(".index") else path)
    assert "root" not in result.message
