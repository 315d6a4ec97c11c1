"""One generation copied to a bucket of a real S3 server: whole, read back, or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("obstore")

from checkpointd.buckets import BucketClient, BucketWriter
from checkpointd.buckets.writing import PART
from checkpointd.core.format_specs import Format
from checkpointd.core.urls import parse_url
from checkpointd.formats import generation_of
from checkpointd.retention.replication import (
    Copier,
    CopyingStoppedError,
    Destination,
    InTheWayError,
    missing_copies,
)
from checkpointd.retention.trees import NotUnchangedError
from tests.helpers.formats import savedmodel
from tests.helpers.ledger import entry, write_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from checkpointd.ledger import Entry, Replica
    from tests.helpers.s3 import S3Server

BIG = PART * 2 + 12345


class Place:
    """A root, and a prefix of the bucket."""

    def __init__(self, server: S3Server, root: Path, name: str) -> None:
        self.server = server
        self.root = root
        self.to = server.url(name)
        self.key = f"{name}/"
        self.client = BucketClient(parse_url(self.to))

    def entry(self, name: str, kind: Format) -> Entry:
        """What is on disk now, as if it had been verified."""
        path = str(self.root / name)
        made = entry(1, path=path, kind=kind)
        return dataclasses.replace(made, generation=generation_of(path, kind))

    def copier(self, **keys: Any) -> Copier:
        """One that knows its copies by the ledger's id `one`, unless another is given."""
        given = {"ledger": "one", **{k: keys.pop(k) for k in ("ledger", "rate") if k in keys}}
        return Copier(Destination("w", str(self.root), self.to, **given), **keys)

    def copy(self, name: str, kind: Format, **keys: Any) -> Replica:
        """Copy it."""
        return self.copier(**keys).copy(self.entry(name, kind), "digest")

    def objects(self) -> dict[str, int]:
        """The objects there and their sizes, by name."""
        pages = self.client.pages(self.key.rstrip("/"))
        return {o.key.removeprefix(self.key): o.size for page in pages for o in page}

    def content(self, name: str) -> bytes:
        """The bytes of one object."""
        return b"".join(map(bytes, self.client.stream(self.client.head(self.key + name))))

    def requests(self, before: int) -> list[str]:
        """What was written since so many requests: `PUT name`."""
        return [
            f"{verb} {path.partition(self.key)[2]}"
            for verb, _, path in (r.partition(" ") for r in self.server.requests[before:])
            if verb in ("PUT", "POST", "DELETE")
        ]


@pytest.fixture
def place(server: S3Server, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A place of its own for each test."""
    name = hashlib.md5(request.node.name.encode(), usedforsecurity=False).hexdigest()[:8]
    yield Place(server, tmp_path, name)
    server.before = lambda _request: None


def _on(verb: str, ending: str, action: Callable[[], None]) -> Callable[[str], None]:
    """Do something once, before the first request of a kind is passed on."""
    done: list[str] = []

    def before(request: str) -> None:
        method, _, path = request.partition(" ")
        if not done and method == verb and path.partition("?")[0].endswith(ending):
            done.append(request)
            action()

    return before


def test_every_format_arrives_whole_and_in_an_order_that_no_reader_mistakes(place: Place) -> None:
    """With its golden record; a second copy of the same sends nothing."""
    write_prefix(place.root / "a/ckpt-1", 1000.0)
    savedmodel(place.root / "export")
    (place.root / "export/empty").touch()
    (place.root / "m.h5").write_bytes(b"")
    (place.root / "checkpoint").write_text("ckpt-1")
    wanted = (
        ("a/ckpt-1", Format.TF_CHECKPOINT, "a/ckpt-1.index"),
        ("export", Format.SAVEDMODEL, "export/saved_model.pb"),
        ("m.h5", Format.HDF5, "m.h5"),
    )
    for name, kind, last in wanted:
        before = len(place.server.requests)
        replica = place.copy(name, kind)
        sent = place.requests(before)
        assert sent[-1] == f"PUT {last}"
        assert len(sent) == len(replica.objects)
        assert replica.url == f"{place.to}/{name}"
        for one in replica.objects:
            file = place.root / one.key.removeprefix(place.key)
            assert one.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
            assert place.content(one.key.removeprefix(place.key)) == file.read_bytes()
        before = len(place.server.requests)
        again = place.copy(name, kind)
        assert [one.tag for one in again.objects] == [one.tag for one in replica.objects]
        assert not place.requests(before)
    assert "checkpoint" not in place.objects()
    assert "a/ckpt-1.golden.npz" in place.objects()


def test_a_large_file_is_sent_in_parts_and_read_back(place: Place) -> None:
    """No more than the rate, without a whole object until the end, never over something else."""
    path = place.root / "big.h5"
    content = os.urandom(BIG)
    path.write_bytes(content)
    began = time.monotonic()
    replica = place.copy("big.h5", Format.HDF5, rate=20 << 20)
    assert time.monotonic() - began > 0.7
    (one,) = replica.objects
    assert one.tag.endswith("-3")
    assert place.content("big.h5") == content
    before = len(place.server.requests)
    place.copy("big.h5", Format.HDF5)
    assert not place.requests(before)
    path.rename(place.root / "other.h5")
    place.server.before = _on("POST", "other.h5", lambda: None)
    calls: list[int] = []
    with pytest.raises(CopyingStoppedError):
        place.copy("other.h5", Format.HDF5, stopped=lambda: len(calls) > 1, sent=calls.append)
    assert "other.h5" not in place.objects()

    def appears(count: int) -> None:
        calls.append(count)
        place.server.put(f"{place.key}other.h5", b"somebody else's")

    with pytest.raises(InTheWayError, match="is not ours"):
        place.copy("other.h5", Format.HDF5, sent=appears)
    assert place.content("other.h5") == b"somebody else's"


@pytest.mark.parametrize("name", ["ckpt-1.data-00001-of-00002", "ckpt-1.index"])
def test_an_object_of_others_stays(place: Place, name: str) -> None:
    """Found before, or written between the look and our own request: it is named, and kept."""
    write_prefix(place.root / "ckpt-1", 1000.0)
    theirs = (place.root / name).read_bytes()[::-1]
    place.server.before = _on("PUT", name, lambda: place.server.put(place.key + name, theirs))
    for _ in range(2):
        with pytest.raises(InTheWayError, match=f"{name} has another content and is not ours"):
            place.copy("ckpt-1", Format.TF_CHECKPOINT)
    assert place.content(name) == theirs
    with pytest.raises(InTheWayError):
        place.copy("ckpt-1", Format.TF_CHECKPOINT, ledger="another")


def test_what_is_saved_again_during_the_copy_is_never_mixed(place: Place) -> None:
    """The index never comes; the next content replaces what is left of the copy."""
    write_prefix(place.root / "ckpt-1", 1000.0)
    first = f"{place.key}ckpt-1.data-00001-of-00002"

    def save_again() -> None:
        for file in place.root.iterdir():
            file.write_bytes(file.read_bytes() + b" again")

    place.server.before = _on("PUT", first, save_again)
    with pytest.raises(NotUnchangedError):
        place.copy("ckpt-1", Format.TF_CHECKPOINT)
    assert "ckpt-1.index" not in place.objects()
    assert place.objects()
    replica = place.copy("ckpt-1", Format.TF_CHECKPOINT)
    assert all(
        place.content(name) == (place.root / name).read_bytes()
        for name in ("ckpt-1.index", "ckpt-1.data-00000-of-00002", "ckpt-1.golden.npz")
    )
    save_again()
    with pytest.raises(InTheWayError, match="save under names with a step"):
        place.copy("ckpt-1", Format.TF_CHECKPOINT)
    assert not missing_copies(place.client, place.to, [replica])


def test_one_file_that_is_written_over_is_replaced(place: Place) -> None:
    """As one object, and only if the one that is there is the copy of what was before."""
    path = place.root / "best.keras"
    for content in (b"first", b"second, longer", os.urandom(BIG), b"small again"):
        path.write_bytes(content)
        replica = place.copy("best.keras", Format.KERAS)
        assert place.content("best.keras") == content
    assert not missing_copies(place.client, place.to, [replica])
    path.write_bytes(b"the next")
    key = f"{place.key}best.keras"
    place.server.before = _on("PUT", "best.keras", lambda: place.server.put(key, b"theirs"))
    with pytest.raises(InTheWayError):
        place.copy("best.keras", Format.KERAS)
    assert place.content("best.keras") == b"theirs"
    assert missing_copies(place.client, place.to, [replica]) == [str(path)]


def test_what_the_store_did_not_keep_is_not_believed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that answers that all is well and holds other bytes, whatever its ETag looks like."""
    (place.root / "m.h5").write_bytes(b"the weights")
    put = BucketWriter.put

    def flipped(self: BucketWriter, key: str, data: bytes, *rest: Any) -> None:
        put(self, key, bytes([data[0] ^ 1]) + data[1:], *rest)

    monkeypatch.setattr(BucketWriter, "put", flipped)
    with pytest.raises(OSError, match="not what was sent"):
        place.copy("m.h5", Format.HDF5)
    monkeypatch.undo()
    place.copy("m.h5", Format.HDF5)
    assert place.content("m.h5") == b"the weights"


def test_a_store_that_refuses_conditions_is_looked_at_right_before(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As older ones do (ceph/s3-tests#218): still nothing of others is written over."""
    import obstore

    put = obstore.put

    def refuses(store: Any, key: str, data: bytes, **keys: Any) -> Any:
        if keys.pop("mode", "overwrite") != "overwrite":
            refused.append(key)
            raise OSError("Server returned non-2xx status code: 501 Not Implemented")
        return put(store, key, data, **keys)

    refused: list[str] = []
    monkeypatch.setattr(obstore, "put", refuses)
    path = place.root / "best.keras"
    for content in (b"first", b"second"):
        path.write_bytes(content)
        place.copy("best.keras", Format.KERAS)
        assert place.content("best.keras") == content
    path.write_bytes(b"third")
    find = BucketWriter.find

    def late(self: BucketWriter, key: str) -> Any:
        if len(refused) == 3:
            put(self._store, key, b"theirs")
            refused.append("")
        return find(self, key)

    monkeypatch.setattr(BucketWriter, "find", late)
    with pytest.raises(InTheWayError):
        place.copy("best.keras", Format.KERAS)
    assert place.content("best.keras") == b"theirs"


def test_bytes_are_read_again_where_the_tag_proves_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with encryption by a key of one's own: the SHA-256 of what comes back decides."""
    (place.root / "m.h5").write_bytes(b"the weights")
    find = BucketWriter.find

    def odd(self: BucketWriter, key: str) -> Any:
        found = find(self, key)
        return found and dataclasses.replace(found, tag="ab" * 16)

    monkeypatch.setattr(BucketWriter, "find", odd)
    monkeypatch.setattr(BucketWriter, "stream", lambda _self, _found: iter([b"the weights"]))
    assert place.copy("m.h5", Format.HDF5).objects[0].size == 11
    (place.root / "n.h5").write_bytes(b"the Weights")
    with pytest.raises(OSError, match="not what was sent"):
        place.copy("n.h5", Format.HDF5)
