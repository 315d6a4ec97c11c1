"""Files above 4 GiB: sparse on the disk, of full size to their readers.

Offsets, sizes and checksums that 32 bits do not hold, in every container; and a flipped bit behind
4 GiB is found.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import h5py
import numpy as np
import pytest

from tests.helpers.bundles import OBJECT_GRAPH, entry, write_table
from tests.helpers.cli import checkpointd
from tests.helpers.files import flip_in_place
from tests.helpers.protobuf import field

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.slow, pytest.mark.large, pytest.mark.timeout(300)]

COUNT = (1 << 30) + 3
"""Values of a float32 tensor of more than 4 GiB."""

SIZE = COUNT * 4
LAST = np.arange(3, dtype=np.float32).tobytes()
"""What stands behind 4 GiB: the rest is zero."""


class Sparse(io.FileIO):
    """A file in which blocks of zeros are holes."""

    def write(self, data: Any) -> int:
        """Write, or skip."""
        block = bytes(data)
        if len(block) > 4096 and not block.strip(b"\0"):
            self.seek(len(block), io.SEEK_CUR)
            return len(block)
        return super().write(block)


def weights(path: Path) -> None:
    """A weights file in the layout of Keras 3."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        made = group.create_dataset("0", (COUNT,), "f4", fillvalue=None)
        made[-3:] = np.frombuffer(LAST, np.float32)


def archive(path: Path) -> None:
    """A `.keras` archive with one member of more than 4 GiB."""
    inside = path.with_suffix(".inside")
    weights(inside)
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": []}}
    with Sparse(path, "w+") as target, zipfile.ZipFile(target, "w") as made:
        made.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        made.writestr("config.json", json.dumps(config))
        inner = zipfile.ZipInfo("model.weights.h5")
        with made.open(inner, "w", force_zip64=True) as member, inside.open("rb") as source:
            while block := source.read(1 << 22):
                member.write(block)
    inside.unlink()


def bundle(path: Path) -> None:
    """A TensorFlow checkpoint whose second tensor begins behind 4 GiB."""
    small = np.arange(6, dtype=np.float32).tobytes()
    with Path(f"{path}.data-00000-of-00001").open("wb") as shard:
        shard.seek(SIZE - len(LAST))
        shard.write(LAST + small)
    zeros, crc = bytes(1 << 24), 0
    whole, rest = divmod(SIZE - len(LAST), len(zeros))
    for _ in range(whole):
        crc = google_crc32c.extend(crc, zeros)
    crc = google_crc32c.extend(google_crc32c.extend(crc, zeros[:rest]), LAST)
    write_table(
        Path(f"{path}.index"),
        [
            (b"", field(1, 1)),
            (OBJECT_GRAPH, entry(0, dims=(0,), crc=0)),
            (b"large/.ATTRIBUTES/VARIABLE_VALUE", entry(SIZE, dims=(COUNT,), crc=crc)),
            (
                b"small/.ATTRIBUTES/VARIABLE_VALUE",
                entry(len(small), SIZE, data=small, dims=(2, 3)),
            ),
        ],
    )


@pytest.mark.parametrize(
    ("name", "write", "member"),
    [
        ("m.weights.h5", weights, "m.weights.h5"),
        ("m.keras", archive, "m.keras"),
        ("ckpt-1", bundle, "ckpt-1.data-00000-of-00001"),
    ],
)
def test_what_lies_behind_four_gibibytes_is_read(
    tmp_path: Path, name: str, write: Callable[[Path], None], member: str
) -> None:
    """Whole it is valid; with one bit flipped behind 4 GiB it is not, where there is a checksum."""
    runs = tmp_path / "runs"
    runs.mkdir()
    write(runs / name)
    file = runs / member
    assert file.stat().st_size > 1 << 32
    assert file.stat().st_blocks * 512 < 64 << 20, "it is not sparse"
    config = tmp_path / "config.toml"
    config.write_text(
        "[daemon]\nstate_dir = 'state'\n[[watch]]\nname = 'a'\npath = 'runs'\n"
        "[watch.verify]\nskip = ['load']\n"
    )
    report = _verified(tmp_path, name, config)
    assert report["verdict"] == "valid", report["message"]
    assert "intact" in report["shown"]
    read = next(c for c in report["checks"] if c["name"] == "structure")["details"]
    assert read["tensor_bytes"] >= SIZE
    if name.endswith(".h5"):
        return
    flip_in_place(file, SIZE + 4)
    assert _verified(tmp_path, name, config)["reason"] == "integrity.checksum_mismatch"


def _verified(home: Path, name: str, config: Path) -> dict[str, Any]:
    done = checkpointd(
        "--config", str(config), "verify", "--json", str(home / "runs" / name), home=home
    )
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report
