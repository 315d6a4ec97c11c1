"""Finds doubts about a root by comparing its records, the ledger and the trash."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.formats.names import ROOT_RECORDS
from checkpointd.retention.files import opened_root
from checkpointd.retention.root import owner, pin_copy, trash_place
from checkpointd.retention.root.doubts import RootDoubts
from checkpointd.retention.root.record_file import RecordFile, opened_records, read
from checkpointd.retention.trash import unknown_items

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.ledger import Entry, Pin
    from checkpointd.retention.root.records import RootReader
    from checkpointd.retention.trash import TrashPlace


@dataclass(frozen=True)
class RootView:
    """What was found: doubts, and the pins and tags that their copy has beyond the ledger."""

    doubts: RootDoubts
    pins: tuple[Pin, ...] = ()

    def marked(self, entries: Iterable[Entry]) -> list[Entry]:
        """Entries of the ledger, with those pins and tags."""
        if not self.pins:
            return list(entries)
        tags: dict[str, set[str]] = {}
        for pin in self.pins:
            tags.setdefault(pin.path, set()).add(pin.tag)
        return [
            replace(e, pinned=e.pinned or "" in new, tags=e.tags | (new - {""}))
            if (new := tags.get(e.path))
            else e
            for e in entries
        ]


def view_root(watch: str, place: TrashPlace, records: RootReader) -> RootView:
    """Inspect a root without changing anything, for a preview."""
    root = place.root
    try:
        files = read_records(root)
    except OSError as error:
        return RootView(RootDoubts(pins=unreadable(root, error)))
    copied = pin_copy.pins_in(root, files[pin_copy.NAME])
    known = {pin.key for pin in records.pins_below(root)}
    removed = records.removed_pins(pin.identity for pin in copied or ())
    pins = (p for p in copied or () if p.identity not in removed and p.key not in known)
    trash = trash_doubt(place, records)
    return RootView(doubts_about(watch, root, records, files, trash=trash), tuple(pins))


def read_records(root: str) -> dict[str, RecordFile | None]:
    """The files of a root's records by name; None for what is not there.

    Raises:
        OSError: they are there and cannot be read.
    """
    files: dict[str, RecordFile | None] = dict.fromkeys(
        (pin_copy.NAME, owner.NAME, trash_place.NAME)
    )
    with opened_root(root) as root_fd:
        try:
            with opened_records(root_fd) as records_fd:
                return {name: read(records_fd, name) for name in files}
        except FileNotFoundError:
            return files


def doubts_about(
    watch: str,
    root: str,
    records: RootReader,
    files: dict[str, RecordFile | None],
    *,
    trash: str = "",
    holder: str = "",
    written: str = "",
) -> RootDoubts:
    """Put together every doubt about a root, on a disk or in a bucket."""
    rebuilt, locked = rebuilt_text(watch, records), ""
    record = files[owner.NAME]
    accepted = ("", written, records.accepted(watch, owner.NAME))
    if record is not None and record.digest not in accepted:
        other, locked = owner.doubts_of(f"{root}/{ROOT_RECORDS}", record, records.identity, written)
        rebuilt = rebuilt or other
    copy = files[pin_copy.NAME]
    is_damaged = copy is not None and pin_copy.pins_in(root, copy) is None
    pins = ""
    if copy is not None and is_damaged and copy.digest != records.accepted(watch, pin_copy.NAME):
        pins = f"The copy of the pins in {root}/{ROOT_RECORDS}/{pin_copy.NAME} is damaged."
    return RootDoubts(
        rebuilt=rebuilt,
        put_back=put_back_text(watch, records),
        pins=pins,
        trash=trash,
        locked=holder or locked,
    )


def rebuilt_text(watch: str, records: RootReader) -> str:
    """Why not everything that was known before is known to the ledger; empty if it is."""
    if not records.unconfirmed(watch):
        return ""
    waiting = records.unverified_since_lost(watch)
    text = "The ledger was lost and created again, so not everything from before is known"
    return text + (f"; checkpoints without a verdict: {waiting}." if waiting else ".")


def put_back_text(watch: str, records: RootReader) -> str:
    """Why verdicts of the ledger may be older than what is there; empty if they are not."""
    unread = records.unread(watch)
    if not unread:
        return ""
    return f"An older ledger was put back; checkpoints still to be read again: {unread}."


def trash_doubt(place: TrashPlace, records: RootReader) -> str:
    """Why what is in a trash may not be this ledger's; empty if it is."""
    try:
        count = len(unknown_items(place, records))
    except OSError as error:
        return f"The trash of {place.root} cannot be read: {error.strerror}."
    if not count:
        return ""
    return f"In the trash of {place.root} are checkpoints that another ledger put there: {count}."


def unreadable(root: str, error: OSError) -> str:
    """A sentence about records that cannot be read."""
    return f"{root}/{ROOT_RECORDS} cannot be read: {error.strerror}."
