"""Tensor bundles with valid checksums and an index that lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.helpers import bundles
from tests.helpers.attacks.table import BOMB, MALFORMED, TRUNCATED, attack
from tests.helpers.bundles import VALUE, write_bundle, write_table
from tests.helpers.protobuf import field, varint

if TYPE_CHECKING:
    from tests.helpers.attacks.table import Site

READER = "reader"
"""`tf.train.load_checkpoint`, and every tensor in it."""
DATA = np.arange(12, dtype="<f4").tobytes()
NEGATIVE = (1 << 64) - 4


def entry(dims: tuple[int, ...] = (12,), offset: int = 0, size: int = 48, shard: int = 0) -> bytes:
    """An entry of the index whose checksum holds for the data."""
    return bundles.entry(size, offset, shard, DATA, dims=dims)


def write(path: Path, *entries: bytes, header: bytes = field(1, 1)) -> None:
    """A bundle of one shard with these entries."""
    Path(f"{path}.data-00000-of-00001").write_bytes(DATA)
    pairs = [(f"layer{n}/kernel{VALUE}".encode(), e) for n, e in enumerate(entries)]
    write_table(Path(f"{path}.index"), [(b"", header), *pairs])


def _all() -> None:
    for name, reasons, entries in (
        ("index_negative_dim", (MALFORMED, BOMB), (entry((NEGATIVE,)),)),
        ("index_negative_pair", (MALFORMED, BOMB), (entry((NEGATIVE, (1 << 64) - 3)),)),
        ("index_huge_dims", (MALFORMED, BOMB), (entry((1 << 62, 1 << 62)),)),
        ("index_beyond_shard", (TRUNCATED, MALFORMED), (entry(offset=1 << 40),)),
        ("index_huge_size", (TRUNCATED, MALFORMED), (entry((1 << 38,), size=1 << 40),)),
        ("index_overlap", ("integrity.not_readable",), (entry(), entry())),
        ("index_other_shard", (MALFORMED, TRUNCATED), (entry(shard=7),)),
        ("index_no_proto", (MALFORMED, TRUNCATED), (b"\xff" * 30,)),
        ("index_short_proto", (MALFORMED, TRUNCATED), (entry()[:-3],)),
    ):

        def make(site: Site, path: Path, entries: tuple[bytes, ...] = entries) -> None:
            del site
            write(path, *entries)

        cve = "CVE-2021-41203" if "negative" not in name else "huntr, unfixed"
        attack(name, "", *reasons, cve=cve, oracle=READER)(make)


_all()


@attack("index_many_shards", "", MALFORMED, "structure.missing_member", oracle=READER)
def index_many_shards(site: Site, path: Path) -> None:
    """A header that names a thousand million shards."""
    del site
    write(path, entry(), header=field(1, 1_000_000_000))


@attack("index_broken_block", "", MALFORMED, TRUNCATED, oracle=READER)
def index_broken_block(site: Site, path: Path) -> None:
    """An index whose footer leads nowhere."""
    del site
    write_bundle(path, {f"layer/kernel{VALUE}": np.arange(12, dtype="float32")})
    index = Path(f"{path}.index")
    data = bytearray(index.read_bytes())
    data[-48:-8] = varint((1 << 63) - 1) * 4 + bytes(4)
    index.write_bytes(bytes(data))
