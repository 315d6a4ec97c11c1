"""Which retention policies were accepted for a watch, as the ledger keeps them."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class AcceptedPolicy:
    """A policy that may be carried out, or is to be once a person has confirmed it.

    `policy` is its canonical text. `since` is the sequence of the last generation that had been
    seen when the policy came: it applies to later ones without being confirmed. None: a person has
    confirmed it for all. `at` is when that was, or when it came (seconds since the epoch). `shown`
    are the sequences of what the person saw leave, and was not old enough yet.
    """

    policy: str
    since: int | None
    at: float
    shown: tuple[int, ...] = ()


@dataclass(frozen=True)
class PolicyRecords:
    """The policy that is carried out for a watch, and the changed one that waits for a person."""

    accepted: AcceptedPolicy | None = None
    waiting: AcceptedPolicy | None = None


def dump(record: AcceptedPolicy | None) -> str:
    """The text of a record, with its checksum; empty for none."""
    if record is None:
        return ""
    text = json.dumps(asdict(record), sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x} {text}"


def load(text: str | None) -> AcceptedPolicy | None:
    """The record in a text; None if there is none, or it is damaged: then nothing is confirmed."""
    checksum, _, body = (text or "").partition(" ")
    try:
        if int(checksum, 16) != zlib.crc32(body.encode()):
            return None
        fields = json.loads(body)
        return AcceptedPolicy(**{**fields, "shown": tuple(fields.get("shown", ()))})
    except (ValueError, TypeError, AttributeError):
        return None
