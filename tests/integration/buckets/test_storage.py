"""Objects of a real S3 server, listed, read and copied as files are."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

pytest.importorskip("obstore")

from typing import TYPE_CHECKING

from checkpointd.buckets import BucketStorage, ObjectChangedError, stage, storage_of
from checkpointd.buckets.client import PAGE
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.formats import ProbeState, locate, probe
from checkpointd.watch.scan import find_checkpoints
from tests.helpers.bundles import bundle
from tests.helpers.watch import write_hdf5, write_keras

if TYPE_CHECKING:
    from tests.helpers.s3 import S3Server

MANY = int(os.environ.get("BUCKET_KEYS", "1100"))


def _put_each_format(server: S3Server, prefix: str, tmp_path: Path) -> None:
    write_hdf5(tmp_path / "a.h5")
    write_keras(tmp_path / "b.keras")
    bundle(tmp_path / "ckpt-1")
    (tmp_path / "notes.txt").write_text("nothing")
    server.put_tree(tmp_path, prefix)


def test_the_code_for_files_decides_about_objects(server: S3Server, tmp_path: Path) -> None:
    """Formats are recognised by the same code, with small reads, and foreign objects are not."""
    _put_each_format(server, "formats/runs", tmp_path)
    root = server.url("formats")
    found = find_checkpoints(root, storage_of(root))
    assert {checkpoint.path.removeprefix(f"{root}/runs/") for checkpoint, _ in found} == {
        "a.h5",
        "b.keras",
        "ckpt-1",
    }
    storage = storage_of(root)
    for path, fmt in (("ckpt-1", Format.TF_CHECKPOINT), ("ckpt-1.index", Format.TF_CHECKPOINT)):
        candidate = locate(f"{root}/runs/{path}", storage)
        assert candidate is not None
        assert (candidate.path, candidate.hint) == (f"{root}/runs/ckpt-1", fmt)
        assert probe(candidate, storage).state is ProbeState.COMPLETE
        assert all(member.tag for member in candidate.generation.members)


def test_a_flat_listing_and_one_by_directories_agree(server: S3Server, tmp_path: Path) -> None:
    """A watch lists once, a command directory by directory: both find the same generations."""
    _put_each_format(server, "agree/runs", tmp_path)
    root = server.url("agree")
    flat = BucketStorage(root)
    flat.refresh(root)
    assert flat.pages == 1
    assert find_checkpoints(root, flat) == find_checkpoints(root, storage_of(root))
    with pytest.raises(FileNotFoundError):
        flat.scandir(f"{root}/missing")
    with pytest.raises(FileNotFoundError):
        flat.stat(f"{root}/runs/missing")


def test_a_listing_takes_one_request_for_each_thousand_keys(server: S3Server) -> None:
    """A listing requests a page for each thousand keys, and one more at the most."""
    root = server.url("many")
    server.put_many(f"many/{i // 100:03d}/{i:05d}.bin" for i in range(MANY))
    storage = BucketStorage(root)
    lists = server.lists()
    began = time.perf_counter()
    storage.refresh(root)
    seconds = time.perf_counter() - began
    logging.getLogger(__name__).warning("%d keys in %.2f s", MANY, seconds)
    requested = server.lists() - lists
    assert requested <= -(-MANY // PAGE) + 1
    assert storage.pages == -(-MANY // PAGE)
    assert len(storage.scandir(root)) == -(-MANY // 100)
    assert seconds < 20


def _staged(server: S3Server, url: str, directory: Path) -> Path:
    storage = BucketStorage(url)
    candidate = locate(url, storage)
    assert candidate is not None
    checkpoint = Checkpoint(url, candidate.hint)
    path, made = stage(storage.client, checkpoint, candidate.generation, str(directory))
    assert [(m.name, m.size) for m in made.members] == [
        (m.name, m.size) for m in candidate.generation.members
    ]
    return Path(path)


def test_a_generation_is_copied_as_it_was_listed(server: S3Server, tmp_path: Path) -> None:
    """The copy has the bytes, the times and the golden record of what was listed."""
    source, copies = tmp_path / "runs", tmp_path / "copies"
    source.mkdir()
    files = bundle(source / "ckpt-1")
    golden = source / "ckpt-1.golden.npz"
    golden.write_bytes(b"record")
    server.put_tree(source, "copied")
    path = _staged(server, server.url("copied/ckpt-1"), copies)
    for file in (*files, golden):
        assert (path.parent / file.name).read_bytes() == file.read_bytes()
    listed = BucketStorage(server.url()).stat(server.url("copied/ckpt-1.index"))
    assert (path.parent / "ckpt-1.index").stat().st_mtime_ns == listed.mtime_ns


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_what_is_written_over_while_it_is_copied_is_not_mixed(
    server: S3Server, tmp_path: Path, moment: str
) -> None:
    """Whichever object is written over, before or after it was copied: there is no copy."""
    source = tmp_path / "runs"
    files = bundle(source / "ckpt-1")
    prefix = f"mixed-{moment}"
    server.put_tree(source, prefix)
    data, index = (f"{prefix}/{file.name}" for file in files)
    changed = {"before": data, "between": index, "after": data}[moment]
    trigger = {"before": ("GET", data), "between": ("GET", index), "after": ("GET", index)}[moment]
    done: list[str] = []

    def write_over(request: str) -> None:
        method, _, path = request.partition(" ")
        if not done and method == trigger[0] and path.endswith(trigger[1]):
            done.append(request)
            server.put(changed, b"another")

    url = server.url(f"{prefix}/ckpt-1")
    storage = BucketStorage(url)
    candidate = locate(url, storage)
    assert candidate is not None
    server.before = write_over
    try:
        with pytest.raises(ObjectChangedError):
            stage(
                storage.client,
                Checkpoint(url, Format.TF_CHECKPOINT),
                candidate.generation,
                str(tmp_path / "copies"),
            )
    finally:
        server.before = lambda _request: None
    assert done


def test_errors_are_sentences(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing bucket, wrong credentials and a store that is down say what is wrong."""
    with pytest.raises(FileNotFoundError, match="There is no such bucket"):
        BucketStorage("s3://missing-bucket").refresh("s3://missing-bucket")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(PermissionError, match="check the credentials"):
        BucketStorage(server.url()).refresh(server.url())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(OSError, match="does not answer"):
        BucketStorage(server.url()).refresh(server.url())
