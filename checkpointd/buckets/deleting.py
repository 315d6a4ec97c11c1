"""Deletes that a store makes only of what was verified, and that it can undo: the interface.

`s3_deletes` and `gcs_deletes` are the two stores.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from checkpointd.buckets.client import StoredObject


@dataclass(frozen=True)
class BucketSafety:
    """What a store has shown: sentences without an end on what it has not; empty where it has.

    `deletes`: it deletes only what has a given identity. `undo`: it keeps what is deleted, for
    `undo_seconds`; None: until a rule of the bucket that is not known, or for ever. `is_unproven`:
    an object of ours would show whether deletes are conditional.
    """

    deletes: str = ""
    undo: str = ""
    undo_seconds: float | None = None
    is_unproven: bool = False


class Fate(enum.Enum):
    """What has become of an object that was to be deleted."""

    PRESENT = enum.auto()
    """It is there as it was."""

    DELETED = enum.auto()
    """It is deleted, nothing else is there, and the store can bring it back."""

    OTHER = enum.auto()
    """Something else is there, or the store does not have its content any more."""


class DeletingStore(Protocol):
    """One bucket; safe to use from any thread."""

    def safety(self, own: StoredObject | None = None) -> BucketSafety:
        """Find out whether deletes are conditional and can be undone; nothing is written.

        Args:
            own: an object of ours. Where the answer about what does not exist is no proof, the
                store is asked to delete this one, if it has another identity than it has.

        Raises:
            OSError: the store does not answer.
        """
        ...

    def condition_of(self, stored: StoredObject) -> str:
        """Return the identity under which alone an object is deleted.

        Raises:
            ObjectChangedError: it is not the one that was listed any more.
            OSError: the store does not answer, or gives it no identity.
        """
        ...

    def delete(self, key: str, condition: str) -> str:
        """Delete one object if it still has an identity; return by what it is brought back.

        Raises:
            ObjectChangedError: it was written over; it stays.
            FileNotFoundError: it is not there any more.
            OSError: the store refuses or does not answer; it may be deleted or not.
        """
        ...

    def fate_of(self, key: str, condition: str) -> tuple[Fate, str]:
        """Return what has become of an object, and by what it is brought back if it is deleted.

        Raises:
            OSError: the store does not answer.
        """
        ...

    def restore(self, key: str, condition: str, undo: str) -> None:
        """Bring a deleted object back, never over another one.

        Raises:
            FileExistsError: something else is there.
            FileNotFoundError: the store does not have its content any more.
            OSError: the store refuses or does not answer.
        """
        ...
