"""The records in a root of a bucket: copies of its pins, and which ledger it belongs to.

Two small objects in `ROOT/.checkpointd/`, as in a directory, and written only by who removes
checkpoints there. A bucket has no lock: another daemon is noticed by what it writes.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from checkpointd.buckets import BucketWriter, ObjectInTheWayError
from checkpointd.core.urls import parse_url
from checkpointd.formats.names import ROOT_RECORDS
from checkpointd.retention.root import owner, pin_copy
from checkpointd.retention.root.doubts import RootDoubts
from checkpointd.retention.root.importing import import_records
from checkpointd.retention.root.inspection import RootView, doubts_about
from checkpointd.retention.root.record_file import RecordFile, content_of, parse

if TYPE_CHECKING:
    from checkpointd.buckets.client import StoredObject
    from checkpointd.retention.buckets.view import BucketView
    from checkpointd.retention.root.records import RootLedger, RootReader

_NAMES = (pin_copy.NAME, owner.NAME)
_WRITTEN = "Somebody else has written it since"


class BucketRecords:
    """The records in a root of a bucket; used in one thread.

    Args:
        view: the listing of the root, whose bucket is used.
    """

    def __init__(self, view: BucketView) -> None:
        self._view = view
        self._found: dict[str, tuple[StoredObject, RecordFile]] = {}

    def read(self) -> dict[str, RecordFile | None]:
        """The records by name; None for what is not there.

        Raises:
            OSError: they cannot be read.
        """
        return {name: self._read(name) for name in _NAMES}

    def write(self, name: str, body: dict[str, Any]) -> RecordFile:
        """Replace one that was read, unless it holds that already.

        Raises:
            ObjectInTheWayError: somebody else has written it since.
            OSError: it cannot be written.
        """
        before = self._found.get(name)
        if before is not None and before[1].body == body:
            return before[1]
        key, data, client = self._key(name), content_of(body), self._view.client
        writer = BucketWriter(parse_url(self._view.root))
        now = writer.find(key)
        if (None if now is None else now.listed) != (None if before is None else before[0]):
            raise ObjectInTheWayError(errno.EEXIST, _WRITTEN, key)
        writer.put(key, data, {}, now)
        self._found[name] = client.head(key), parse(data)
        return self._found[name][1]

    @property
    def own(self) -> StoredObject | None:
        """One of our records, with which the store's conditional deletes can be tested."""
        record = self._found.get(owner.NAME)
        return None if record is None else record[0]

    def _read(self, name: str) -> RecordFile | None:
        client = self._view.client
        try:
            stored = client.head(self._key(name))
            known = self._found.get(name)
            if known is None or known[0] != stored:
                self._found[name] = stored, parse(client.read(stored, 0, stored.size))
        except FileNotFoundError:
            self._found.pop(name, None)
            return None
        return self._found[name][1]

    def _key(self, name: str) -> str:
        return "/".join(filter(None, (parse_url(self._view.root).key, ROOT_RECORDS, name)))


def view_bucket(watch: str, view: BucketView, records: RootReader) -> RootView:
    """Inspect a root without changing anything, for a preview."""
    try:
        files = BucketRecords(view).read()
    except OSError as error:
        return RootView(RootDoubts(pins=_unreadable(view.root, error)))
    copied = pin_copy.pins_in(view.root, files[pin_copy.NAME])
    known = {pin.key for pin in records.pins_below(view.root)}
    removed = records.removed_pins(pin.identity for pin in copied or ())
    pins = (p for p in copied or () if p.identity not in removed and p.key not in known)
    return RootView(doubts_about(watch, view.root, records, files), tuple(pins))


class BucketKeeper:
    """Inspects the records of a root before each round, and keeps them up to date.

    `problem` is why they could not be written, empty if they could.

    Args:
        watch: the watch's name.
        view: the listing of its root.
        records: the ledger.
    """

    def __init__(self, watch: str, view: BucketView, records: RootLedger) -> None:
        self.problem = ""
        self._watch = watch
        self._root = view.root
        self._records = records
        self._objects = BucketRecords(view)
        self._written = ""

    @property
    def own(self) -> StoredObject | None:
        """An object of ours in the bucket, if there is one."""
        return self._objects.own

    def synchronize(self, *, enforce: bool) -> RootView:
        """Import the root's pins, and with `enforce` write the pins that it lacks."""
        self.problem = ""
        try:
            files = self._objects.read()
        except OSError as error:
            return RootView(RootDoubts(pins=_unreadable(self._root, error)))
        import_records(self._watch, self._root, self._records, files, written=self._written)
        doubts = doubts_about(self._watch, self._root, self._records, files, written=self._written)
        is_in_doubt = doubts.rebuilt or doubts.pins or doubts.locked
        pins = pin_copy.body_of(self._root, self._records.pins_below(self._root))
        if enforce and not is_in_doubt and (files[pin_copy.NAME] or any(pins.values())):
            self._write(pin_copy.NAME, pins)
        return RootView(doubts)

    def sign(self) -> bool:
        """Write which ledger the root belongs to, right before something is removed.

        Returns:
            False if somebody else has written that since the last look.
        """
        body = owner.Owner.of(self._records.identity, self._records.progress).body()
        try:
            self._written = self._objects.write(owner.NAME, body).digest
        except ObjectInTheWayError:
            return False
        except OSError as error:
            self._note(error)
        return True

    def accept(self) -> None:
        """Record that a person accepts the ledger as it is now, so that pruning continues.

        Raises:
            OSError: the records cannot be read.
        """
        files = self._objects.read()
        digests = {name: file.digest for name, file in files.items() if file is not None}
        self._records.accept(self._watch, digests)
        self._written = ""

    def _write(self, name: str, body: dict[str, Any]) -> None:
        try:
            self._objects.write(name, body)
        except OSError as error:
            self._note(error)

    def _note(self, error: OSError) -> None:
        self.problem = (
            f"{self._root}/{ROOT_RECORDS} cannot be written: {error.strerror or error}; pins are "
            "only in the ledger."
        )


def _unreadable(root: str, error: OSError) -> str:
    return f"{root}/{ROOT_RECORDS} cannot be read: {error.strerror or error}."
