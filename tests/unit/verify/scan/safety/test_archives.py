"""Archives and maps of shards: names that lead out, entries that deceive, contents that explode."""

from __future__ import annotations

import io
import json
import stat
import struct
import zipfile
import zlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.formats import FormatError
from checkpointd.formats.keras import read_archive
from tests.helpers.formats import archive
from tests.helpers.scan import scanned, write_weights

if TYPE_CHECKING:
    from pathlib import Path

METADATA = b'{"keras_version": "3.15.1"}'
CONFIG = b'{"class_name": "Sequential", "config": {"name": "m", "layers": []}}'
BASE = {"metadata.json": METADATA, "config.json": CONFIG}


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    """A sound file of weights."""
    write_weights(tmp_path / "w.h5", {"dense": np.ones((4, 3), np.float32)})
    return (tmp_path / "w.h5").read_bytes()


@pytest.mark.parametrize(
    "name",
    ["../x", "assets/../../x", "/etc/x", "C:/x", "assets\\..\\x", "\\x", "c:\\x", "assets/x\0y"],
)
def test_a_name_that_leads_out_of_the_archive_is_a_traversal(
    tmp_path: Path, weights: bytes, name: str
) -> None:
    """Told with the name; what lies in the archive is intact all the same."""
    stand_in = name.replace("\0", "~").replace("\\", "^")
    path = archive(tmp_path / "m.keras", {**BASE, "model.weights.h5": weights, stand_in: b"x"})
    data = path.read_bytes().replace(stand_in.encode(), name.encode())  # zipfile mends such names
    path.write_bytes(data)
    seen = scanned(path)
    assert seen.checks["integrity"].outcome is Outcome.PASS, seen.checks["integrity"]
    assert seen.checks["safety"].reason == "safety.traversal"
    assert seen.checks["safety"].message.isprintable()


def test_a_symbolic_link_in_an_archive_is_a_traversal(tmp_path: Path, weights: bytes) -> None:
    """Unpacked, it would stand for whatever it points at."""
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        for name, data in {**BASE, "model.weights.h5": weights}.items():
            file.writestr(name, data)
        file.writestr(link, "/etc/passwd")
    seen = scanned(tmp_path / "m.keras")
    assert seen.checks["safety"].reason == "safety.traversal"
    assert "symbolic link" in seen.checks["safety"].message


def test_assets_in_directories_are_in_order(tmp_path: Path, weights: bytes) -> None:
    """Directories, dots in names, long paths, and a comment."""
    # PowerShell packs with backslashes
    names = (
        "assets/",
        "assets\\layers\\v.txt",
        "assets/layers/",
        "assets/layers/a..b/v.txt",
        "assets/.x",
        "assets/C:x",
    )
    members = {**BASE, "model.weights.h5": weights, **dict.fromkeys(names, b"")}
    seen = scanned(archive(tmp_path / "m.keras", members, b"checkpointd-save-id:ff"))
    assert seen.clean, seen.checks


@pytest.mark.parametrize("double", ["config.json", "./config.json", "assets/../config.json"])
def test_two_entries_with_one_name_are_malformed(
    tmp_path: Path, weights: bytes, double: str
) -> None:
    """One reader takes the first, the other the last: nobody knows what was checked.

    Keras reads the last; a writer that adds a second one warns.
    """
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        for name, data in {**BASE, "model.weights.h5": weights}.items():
            file.writestr(name, data)
        file.writestr(double, CONFIG)
    with pytest.raises(FormatError, match="twice"):
        read_archive(str(path))


def directory_at(data: bytes, name: bytes) -> int:
    """Where the directory's entry of a name begins."""
    return data.rindex(name) - 46


@pytest.mark.parametrize("at", [10, 16, 20, 24])
def test_a_header_that_contradicts_the_directory_is_malformed(
    tmp_path: Path, weights: bytes, at: int
) -> None:
    """Method, checksum or sizes differ: two readers see two archives.

    Python's zipfile reads by the directory alone; no writer makes such an archive.
    """
    path = archive(tmp_path / "m.keras", {**BASE, "model.weights.h5": weights})
    data = bytearray(path.read_bytes())
    data[directory_at(data, b"config.json") + at] ^= 8
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"contradicts|reaches"):
        read_archive(str(path))


def test_entries_that_share_bytes_are_malformed(tmp_path: Path, weights: bytes) -> None:
    """Quoted within each other, a few bytes unpack to any number of them."""
    inner = archive(tmp_path / "inner.zip", {"quoted": b"xyz"}).read_bytes()
    members = {**BASE, "model.weights.h5": weights, "quoting": inner, "quoted": b"xyz"}
    path = archive(tmp_path / "m.keras", members)
    data = bytearray(path.read_bytes())
    inside = data.index(inner)
    struct.pack_into("<I", data, directory_at(data, b"quoted") + 42, inside)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="share bytes"):
        read_archive(str(path))


def test_what_follows_the_end_of_an_archive_is_malformed(tmp_path: Path, weights: bytes) -> None:
    """A second archive behind it is what another reader would see; zeros of a disk are none."""
    path = archive(tmp_path / "m.keras", {**BASE, "model.weights.h5": weights})
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(100))
    assert len(read_archive(str(path)).members) == 3
    path.write_bytes(whole + b"more")  # zipfile takes the same archive, and there is no other
    assert len(read_archive(str(path)).members) == 3
    path.write_bytes(whole + struct.pack("<4s4H2IH", b"PK\x05\x06", *[0] * 7) + b"more")
    with pytest.raises(FormatError, match="goes on"):
        read_archive(str(path))
    second = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 500)
    path.write_bytes(whole + second)
    with pytest.raises(FormatError) as caught:
        read_archive(str(path))
    assert caught.value.word == "truncated"


@pytest.fixture(scope="module")
def packed() -> bytes:
    """300 MiB of zeros, deflated."""
    return zlib.compress(bytes(300 << 20), 1)[2:-4]


@pytest.mark.parametrize("name", ["model.weights.h5", "assets/v.txt", "assets/inner.zip"])
def test_a_member_that_unpacks_without_end_is_a_bomb(
    tmp_path: Path, weights: bytes, packed: bytes, name: str
) -> None:
    """Told by the sizes in the directory; nothing is unpacked, nothing is read."""
    members = {**BASE, "model.weights.h5": weights, name: packed}
    path = archive(tmp_path / "m.keras", members)
    data = bytearray(path.read_bytes())
    entry = directory_at(data, name.encode())
    local = struct.unpack_from("<I", data, entry + 42)[0]
    for method, size in ((entry + 10, entry + 24), (local + 8, local + 22)):
        struct.pack_into("<H", data, method, 8)
        struct.pack_into("<I", data, size, 300 << 20)
    path.write_bytes(data)
    seen = scanned(path)
    assert seen.checks["safety"].reason == "safety.bomb"
    assert seen.checks["integrity"].outcome is Outcome.SKIP


def test_a_scratch_disk_that_is_nearly_full_is_not_filled(
    tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compressed archive is unpacked to be read; it is nobody's fault where there is no room."""
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in {**BASE, "model.weights.h5": weights}.items():
            file.writestr(name, data)
    assert scanned(tmp_path / "m.keras").clean
    full = SimpleNamespace(free=len(weights))
    monkeypatch.setattr("shutil.disk_usage", lambda _place: full)
    seen = scanned(tmp_path / "m.keras")
    assert seen.checks["structure"].reason == "structure.unreadable"
    assert "No space left" in seen.checks["structure"].message


def npz(shape: tuple[int, ...], data: bytes = b"", kind: str = "<f4") -> bytes:
    """A file of arrays that declares a shape."""
    out, head = io.BytesIO(), io.BytesIO()
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, header)
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("__root__.npy", head.getvalue() + data)
    return out.getvalue()


def test_weights_as_arrays_are_judged_by_what_they_declare(tmp_path: Path) -> None:
    """Keras without h5py writes an `.npz`; a header that declares gigabytes is a bomb."""
    good = {**BASE, "model.weights.npz": npz((2, 2), bytes(16))}
    assert scanned(archive(tmp_path / "a.keras", good)).checks["safety"].outcome is Outcome.PASS
    bomb = {**BASE, "model.weights.npz": npz((1 << 20, 1 << 12))}
    seen = scanned(archive(tmp_path / "b.keras", bomb))
    assert seen.checks["safety"].reason == "safety.bomb"
    for content in (npz((2,), kind="|O"), b"no archive"):
        path = archive(tmp_path / "c.keras", {**BASE, "model.weights.npz": content})
        assert scanned(path).checks["structure"].reason == "structure.malformed"


@pytest.mark.parametrize("name", ["../../etc/x.h5", "/etc/x.h5", "..", "a\\b.h5"])
def test_a_map_that_names_a_shard_elsewhere_is_a_traversal(
    tmp_path: Path, weights: bytes, name: str
) -> None:
    """Beside it, and in an archive; the file that is named is never opened."""
    mapped = json.dumps(
        {"weight_map": {"/layers/dense/vars": "m_00000.weights.h5", "/b/vars": [name]}}
    )
    (tmp_path / "m.weights.json").write_text(mapped)
    (tmp_path / "m_00000.weights.h5").write_bytes(weights)
    seen = scanned(tmp_path / "m.weights.json")
    assert seen.checks["safety"].reason == "safety.traversal", seen
    assert repr(name) in seen.checks["safety"].message
    members = {**BASE, "model.weights.json": mapped.encode(), "m_00000.weights.h5": weights}
    inside = scanned(archive(tmp_path / "m.keras", members))
    assert inside.checks["safety"].reason == "safety.traversal"


def test_a_sound_map_of_shards_is_in_order(tmp_path: Path, weights: bytes) -> None:
    """Names of files beside it."""
    mapped = json.dumps({"weight_map": {"/layers/dense/vars": "m_00000.weights.h5"}})
    (tmp_path / "m.weights.json").write_text(mapped)
    (tmp_path / "m_00000.weights.h5").write_bytes(weights)
    seen = scanned(tmp_path / "m.weights.json")
    assert seen.clean, seen.checks


def test_the_file_of_weights_inside_is_searched_whatever_it_looks_like(tmp_path: Path) -> None:
    """Without a single weight of its own it still may lead into another file."""
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/other.h5", "/layers")
    members = {**BASE, "model.weights.h5": (tmp_path / "w.h5").read_bytes()}
    seen = scanned(archive(tmp_path / "m.keras", members))
    assert seen.checks["safety"].reason == "safety.foreign_reference"
