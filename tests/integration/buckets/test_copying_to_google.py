"""Copies to gs://, by the requests that Google takes, to a stub that keeps their conditions."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("obstore")

from checkpointd.buckets import BucketClient, BucketWriter
from checkpointd.buckets.writing import PART
from checkpointd.core.format_specs import Format
from checkpointd.core.urls import parse_url
from checkpointd.formats import generation_of
from checkpointd.retention.replication import Copier, Destination, InTheWayError, missing_copies
from tests.helpers import gcs
from tests.helpers.ledger import entry, write_prefix

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.ledger import Replica

TO = f"gs://{gcs.BUCKET}/copies"


pytestmark = pytest.mark.usefixtures("google")


def _copy(root: Path, name: str, kind: Format) -> Replica:
    path = str(root / name)
    made = dataclasses.replace(entry(1, path=path, kind=kind), generation=generation_of(path, kind))
    return Copier(Destination("w", str(root), TO, "one")).copy(made, "digest")


def test_each_object_is_created_replaced_or_left_by_its_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a second copy of the same changes nothing."""
    write_prefix(tmp_path / "ckpt-1", 1000.0)
    replica = _copy(tmp_path, "ckpt-1", Format.TF_CHECKPOINT)
    assert all(one.version for one in replica.objects)
    for one in replica.objects:
        file = tmp_path / one.key.removeprefix("copies/")
        assert gcs.OBJECTS[one.key].data == file.read_bytes()
    again = _copy(tmp_path, "ckpt-1", Format.TF_CHECKPOINT)
    assert [one.version for one in again.objects] == [one.version for one in replica.objects]
    for content in (b"first", b"second"):
        (tmp_path / "best.keras").write_bytes(content)
        best = _copy(tmp_path, "best.keras", Format.KERAS)
        assert gcs.OBJECTS["copies/best.keras"].data == content
    assert not missing_copies(BucketClient(parse_url(TO)), TO, [replica, best])
    put = BucketWriter.put

    def late(self: BucketWriter, key: str, *rest: object) -> None:
        gcs.store(key, b"theirs")
        put(self, key, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(BucketWriter, "put", late)
    for name in ("best.keras", "new.keras"):
        (tmp_path / name).write_bytes(b"third")
        with pytest.raises(InTheWayError, match="is not ours"):
            _copy(tmp_path, name, Format.KERAS)
        assert gcs.OBJECTS[f"copies/{name}"].data == b"theirs"
    assert missing_copies(BucketClient(parse_url(TO)), TO, [best]) == [best.path]


def test_what_came_in_parts_is_read_again(tmp_path: Path) -> None:
    """Google's ETag of it is no MD5 of anything."""
    content = os.urandom(PART + 5)
    (tmp_path / "big.h5").write_bytes(content)
    (one,) = _copy(tmp_path, "big.h5", Format.HDF5).objects
    assert gcs.OBJECTS["copies/big.h5"].parts == 2
    assert (one.size, gcs.OBJECTS[one.key].data) == (len(content), content)
