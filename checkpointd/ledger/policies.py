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
    """The policy that is carried out for a watch, and the changed one that waits for a person.

    `dropped` are the checkpoints of runs that a person has agreed to remove (`keep_runs`), each by
    its id and its sequence: what is saved or copied there later is asked about again.
    """

    accepted: AcceptedPolicy | None = None
    waiting: AcceptedPolicy | None = None
    dropped: frozenset[tuple[int, int]] = frozenset()


def dump(record: AcceptedPolicy | None) -> str:
    """The text of a record, with its checksum; empty for none."""
    return "" if record is None else _sealed(json.dumps(asdict(record), sort_keys=True))


def dump_dropped(dropped: frozenset[tuple[int, int]]) -> str:
    """The text of the checkpoints of dropped runs, with its checksum; empty for none."""
    return _sealed(json.dumps(sorted(dropped))) if dropped else ""


def load_dropped(text: str | None) -> frozenset[tuple[int, int]]:
    """The checkpoints in a text; none if it is damaged: then a person is asked again."""
    try:
        return frozenset((int(i), int(sequence)) for i, sequence in json.loads(_body(text)))
    except (ValueError, TypeError):
        return frozenset()


def load(text: str | None) -> AcceptedPolicy | None:
    """The record in a text; None if there is none, or it is damaged: then nothing is confirmed."""
    try:
        fields = json.loads(_body(text))
        return AcceptedPolicy(**{**fields, "shown": tuple(fields.get("shown", ()))})
    except (ValueError, TypeError, AttributeError):
        return None


def _sealed(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x} {text}"


def _body(text: str | None) -> str:
    """What was sealed; ValueError if it is not that any more."""
    checksum, _, body = (text or "").partition(" ")
    if int(checksum, 16) != zlib.crc32(body.encode()):
        raise ValueError("a record that is not what was written")
    return body
