"""Archives that climb out of their directory, unfold without end, or say two things at once."""

from __future__ import annotations

import io
import json
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from tests.helpers.attacks.keras_configs import UNSAFE, archive, good_config
from tests.helpers.attacks.table import BOMB, CODE, FOREIGN, MALFORMED, TRAVERSAL, attack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.attacks.table import Site

CHECKSUM = "integrity.checksum_mismatch"
ZEROS = bytes(1 << 20)


def parts(site: Site) -> dict[str, bytes]:
    """The good model's members."""
    with zipfile.ZipFile(io.BytesIO(site.good("good.keras"))) as good:
        return {name: good.read(name) for name in good.namelist()}


def zeros(megabytes: int) -> tuple[bytes, int]:
    """A raw deflate stream of zeros, and their CRC32: one block of it, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(megabytes):
        crc = zlib.crc32(ZEROS, crc)
    return block * megabytes + packer.flush(), crc


def deflated(path: Path, name: str, megabytes: int) -> None:
    """Add a member of zeros to an archive: stored first, then declared to be compressed."""
    packed, crc = zeros(megabytes)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(name, packed)
        at = file.getinfo(name).header_offset
    data = bytearray(path.read_bytes())
    sizes = (crc, len(packed), megabytes << 20)
    struct.pack_into("<H", data, at + 8, 8)
    struct.pack_into("<3I", data, at + 14, *sizes)
    central = data.rindex(b"PK\x01\x02")
    struct.pack_into("<H", data, central + 10, 8)
    struct.pack_into("<3I", data, central + 16, *sizes)
    path.write_bytes(data)


@attack("zip_bomb_asset", ".keras", BOMB, CHECKSUM, cve="keras #23010", oracle=UNSAFE)
def zip_bomb_asset(site: Site, path: Path) -> None:
    """An asset of 3 GiB in 3 MB."""
    archive(path, site, good_config(site))
    deflated(path, "assets/layer/vocabulary.txt", 3072)


@attack("zip_bomb_weights", ".keras", BOMB, MALFORMED, cve="keras #23101", oracle=UNSAFE)
def zip_bomb_weights(site: Site, path: Path) -> None:
    """Weights that unfold to 3 GiB."""
    made = parts(site)
    del made["model.weights.h5"]
    with zipfile.ZipFile(path, "w") as file:
        for name, data in made.items():
            file.writestr(name, data)
    deflated(path, "model.weights.h5", 3072)


@attack("zip_bomb_config", ".keras", BOMB, MALFORMED, cve="keras #23010", oracle=UNSAFE)
def zip_bomb_config(site: Site, path: Path) -> None:
    """A configuration that unfolds to 1 GiB."""
    made = parts(site)
    del made["config.json"]
    with zipfile.ZipFile(path, "w") as file:
        for name, data in made.items():
            file.writestr(name, data)
    deflated(path, "config.json", 1024)


@attack("zip_nested_json", ".keras", MALFORMED, BOMB, oracle=UNSAFE)
def zip_nested_json(site: Site, path: Path) -> None:
    """A configuration nested a hundred thousand deep."""
    archive(path, site, {}, **{"config.json": b'{"a":' * 100_000 + b"1" + b"}" * 100_000})


@attack("zip_nested_names", ".keras", MALFORMED, BOMB, CODE, "load.load_error", oracle=UNSAFE)
def zip_nested_names(site: Site, path: Path) -> None:
    """Models in models, as deep as a parser of JSON goes."""
    deep = b'{"class_name":"Sequential","config":{"layers":[' * 230
    archive(path, site, {}, **{"config.json": deep + b"1" + b"]}}" * 230})


@attack("zip_two_configs", ".keras", TRAVERSAL, CODE, MALFORMED, BOMB)
def zip_two_configs(site: Site, path: Path) -> None:
    """Two configurations: which one counts depends on the reader."""
    archive(path, site, good_config(site))
    with zipfile.ZipFile(path, "a") as file:
        data = bytearray(json.dumps(good_config(site)).encode())
        file.writestr("config.jsoN", bytes(data))
    raw = path.read_bytes().replace(b"config.jsoN", b"config.json")
    path.write_bytes(raw)


def _members() -> None:
    for name, member, reasons in (
        ("zip_climbs", "../../markers/zip_climbs", (TRAVERSAL,)),
        ("zip_absolute", "/tmp/zip_absolute", (TRAVERSAL,)),  # noqa: S108 - the attack's
        ("zip_backslashes", "..\\..\\markers\\zip_backslashes", (TRAVERSAL,)),
    ):

        def write(site: Site, path: Path, member: str = member) -> None:
            archive(path, site, good_config(site), **{member: b"x"})

        attack(name, ".keras", *reasons, cve="CVE-2025-12638", oracle=UNSAFE)(write)


_members()


@attack("zip_symlink", ".keras", TRAVERSAL, FOREIGN, cve="GHSA-hqp4-2352-xf5r", oracle=UNSAFE)
def zip_symlink(site: Site, path: Path) -> None:
    """A member that is a symbolic link to a foreign file."""
    archive(path, site, good_config(site))
    link = zipfile.ZipInfo("assets/layer/link")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(link, site.canary)


@attack("zip_overlap", ".keras", BOMB, MALFORMED, TRAVERSAL)
def zip_overlap(site: Site, path: Path) -> None:
    """Fifty members whose bytes are the same ones."""
    archive(path, site, good_config(site))
    deflated(path, "assets/layer/00.txt", 64)
    data = path.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    size, start = struct.unpack_from("<2I", data, end + 12)
    directory = data[start : start + size]
    last = directory[directory.rindex(b"PK\x01\x02") :]
    more = b"".join(last.replace(b"00.txt", f"{n:02d}.txt".encode()) for n in range(1, 51))
    tail = bytearray(data[end:])
    count = struct.unpack_from("<H", tail, 10)[0] + 50
    struct.pack_into("<2HI", tail, 8, count, count, size + len(more))
    path.write_bytes(data[: start + size] + more + bytes(tail))


@attack("npz_bomb", ".keras", BOMB, MALFORMED, cve="keras #23016", oracle=UNSAFE)
def npz_bomb(site: Site, path: Path) -> None:
    """Weights in numpy's archive, that unfold to 2 GiB."""
    inner = path.with_suffix(".npz")
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("small.npy", b"\x93NUMPY\x01\x00")
    deflated(inner, "layers/dense/vars.npy", 2048)
    made = parts(site)
    del made["model.weights.h5"]
    with zipfile.ZipFile(path, "w") as file:
        for name, data in {**made, "model.weights.npz": inner.read_bytes()}.items():
            file.writestr(name, data)
    inner.unlink()
