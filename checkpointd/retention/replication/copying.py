"""Copies one generation to a bucket, and believes nothing that it has not read back.

The file that makes a checkpoint of the others is written last, after all have been compared with
what was verified: so no reader of the bucket takes half of one for a checkpoint. What is there is
only written over if it is ours: an earlier content of a file that is overwritten on the local disk
as well, or what is left of a copy that was not finished.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.buckets import BucketWriter, MarkedObject, ObjectInTheWayError, part_size
from checkpointd.core.urls import parse_url
from checkpointd.ledger import Replica, ReplicaObject
from checkpointd.retention.replication.checksums import Checksums
from checkpointd.retention.replication.source import CopyingStoppedError, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from checkpointd.ledger import Entry
    from checkpointd.retention.replication.source import SourceFile

_LEDGER, _GENERATION = "checkpointd-ledger", "checkpointd-generation"
_NAP_SECONDS = 0.2


class InTheWayError(Exception):
    """Something else is where a copy belongs; the sentence says what to do."""


@dataclass(frozen=True)
class Destination:
    """Where checkpoints of a watch are copied to.

    Attributes:
        watch: its name.
        root: its root.
        to: the URL below which the copies are.
        ledger: the id of the ledger, by which copies are known as ours.
        rate: the most bytes a second; None: no limit.
    """

    watch: str
    root: str
    to: str
    ledger: str
    rate: int | None = None


class Copier:
    """Copies checkpoints to one destination; blocking, to be used from one thread at a time.

    Args:
        destination: where to.
        stopped: returns whether to stop; called after each piece.
        sent: called with the bytes of each piece that was sent.

    Raises:
        OSError: obstore is missing, or what the environment says cannot be used.
    """

    def __init__(
        self,
        destination: Destination,
        stopped: Callable[[], bool] = lambda: False,
        sent: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._destination = destination
        self._prefix = parse_url(destination.to).key
        self._writer = BucketWriter(parse_url(destination.to))
        self._stopped = stopped
        self._sent = sent

    def copy(self, entry: Entry, digest: str) -> Replica:
        """Copy what was verified, and read the copy's checksums back.

        Args:
            entry: the checkpoint.
            digest: of its content, as its report has it.

        Raises:
            NotUnchangedError: it is not on disk as it was verified.
            NotCopiableError: it cannot be copied as it is.
            InTheWayError: something else is where the copy belongs.
            CopyingStoppedError: nobody waits any more.
            OSError: the store refused or does not answer, or what it holds is not what was sent.
        """
        to = self._destination
        source = Source(to.root, entry.checkpoint, entry.generation, self._stopped)
        files = source.files()
        marks = {_LEDGER: to.ledger, _GENERATION: entry.generation.key}
        may_replace = self._may_replace(files, marks)
        objects: list[ReplicaObject] = []
        for file in files:
            if file is files[-1]:
                source.check()
            objects.append(self._put(source, file, marks, may_replace))
        now = time.time()
        return Replica(
            path=entry.path,
            watch=to.watch,
            destination=to.to,
            url=f"{to.to}/{source.path}",
            key=entry.generation.key,
            digest=digest,
            size_bytes=sum(one.size for one in objects),
            objects=tuple(objects),
            at=now,
            seen_at=now,
        )

    def _may_replace(
        self, files: list[SourceFile], marks: dict[str, str]
    ) -> Callable[[MarkedObject], bool]:
        """Which objects that are there may be written over.

        Ours alone: those of the same generation, and any if the checkpoint is one object, or the
        one that would make a checkpoint of the others is not there or is of the same generation.
        """
        is_single = sum(file.member is not None for file in files) == 1
        deciding = None if is_single else self._writer.find(self._key(files[-1].path))
        is_open = is_single or deciding is None or _is_of(deciding, marks)

        def may_replace(existing: MarkedObject) -> bool:
            is_ours = existing.marks.get(_LEDGER) == marks[_LEDGER]
            return is_ours and (is_open or _is_of(existing, marks))

        return may_replace

    def _put(
        self,
        source: Source,
        file: SourceFile,
        marks: dict[str, str],
        may_replace: Callable[[MarkedObject], bool],
    ) -> ReplicaObject:
        key, size = self._key(file.path), source.size(file)
        part = part_size(size)
        existing = self._writer.find(key)
        if existing is not None:
            if existing.size == size:
                sums = Checksums.of(source.pieces(file, part))
                if self._is_same(existing, sums):
                    return _object(existing, sums)
            if not may_replace(existing):
                raise InTheWayError(self._in_the_way(existing, marks))
        try:
            sums = self._send(source, file, part, marks, existing)
        except ObjectInTheWayError:
            existing = self._writer.find(key)
            sums = Checksums.of(source.pieces(file, part))
            if existing is not None and self._is_same(existing, sums):
                return _object(existing, sums)  # the answer to our own request was lost
            if existing is None or may_replace(existing):
                raise InTheWayError(
                    f"{self._url(key)} was written by somebody else while it was copied; it is "
                    "looked at again"
                ) from None
            raise InTheWayError(self._in_the_way(existing, marks)) from None
        stored = self._writer.find(key)
        if stored is None or not self._is_same(stored, sums):
            raise OSError(errno.EIO, "What the store holds is not what was sent", self._url(key))
        return _object(stored, sums)

    def _send(
        self,
        source: Source,
        file: SourceFile,
        part: int,
        marks: dict[str, str],
        over: MarkedObject | None,
    ) -> Checksums:
        sums, key = Checksums(), self._key(file.path)
        with contextlib.closing(source.pieces(file, part)) as pieces:
            paced = self._paced(sums.through(pieces))
            if source.size(file) > part:
                self._writer.put_parts(key, paced, part, marks, over)
            else:
                self._writer.put(key, b"".join(paced), marks, over)
        return sums

    def _paced(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Pass pieces on, no faster than the rate."""
        began, done, rate = time.monotonic(), 0, self._destination.rate
        for piece in pieces:
            yield piece
            done += len(piece)
            self._sent(len(piece))
            while rate and (left := began + done / rate - time.monotonic()) > 0:
                if self._stopped():
                    raise CopyingStoppedError
                time.sleep(min(left, _NAP_SECONDS))

    def _is_same(self, existing: MarkedObject, sums: Checksums) -> bool:
        """Whether an object has a content: by its ETag, else by all of its bytes."""
        if existing.size != sums.size:
            return False
        if sums.is_tag(existing.tag):
            return True
        digest = hashlib.sha256()
        for piece in self._writer.stream(existing):
            if self._stopped():
                raise CopyingStoppedError
            digest.update(piece)
        return digest.hexdigest() == sums.sha256

    def _key(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path

    def _url(self, key: str) -> str:
        return f"{parse_url(self._destination.to).root}/{key}"

    def _in_the_way(self, existing: MarkedObject, marks: dict[str, str]) -> str:
        url = self._url(existing.key)
        if existing.marks.get(_LEDGER) == marks[_LEDGER]:
            return (
                f"{url} belongs to the copy of what was saved at this path before, and a copy of "
                "several objects is not replaced: have the job save under names with a step"
            )
        return (
            f"{url} has another content and is not ours: move it away, or choose another "
            "[watch.replicate] to"
        )


def _is_of(existing: MarkedObject, marks: dict[str, str]) -> bool:
    return all(existing.marks.get(name) == value for name, value in marks.items())


def _object(existing: MarkedObject, sums: Checksums) -> ReplicaObject:
    return ReplicaObject(existing.key, existing.size, existing.tag, existing.version, sums.sha256)
