"""Names and contents of what is written for consumers that cannot query the daemon: pure.

A verdict file lists the members of the content that was verified, with their sizes and times, so
that a consumer can check whether it still applies.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from checkpointd.core.format_specs import spec_of
from checkpointd.ledger import State
from checkpointd.ledger.facts import ABSENT
from checkpointd.retention.eligibility import has_shown
from checkpointd.retention.newest_valid import newest_valid
from checkpointd.retention.series_order import order_series
from checkpointd.retention.state_orders import saving_orders_beside

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.config.locate import OrderBy
    from checkpointd.core.report import Report
    from checkpointd.ledger import Entry

FORMAT_VERSION = 1
"""Raised when a reader of the version before could not understand a verdict file."""

LINK = "latest-valid"
"""The name of a link; the file's suffix follows, because Keras chooses its reader by it."""

STATE_FILE = "checkpoint"
"""TensorFlow's name for the file that names the latest checkpoint of a directory."""

_LONGEST = 240
_ENDINGS = (".weights.h5", ".weights.json", ".keras", ".h5", ".hdf5")


@dataclass(frozen=True)
class Link:
    """A link to the newest valid checkpoint of one series.

    `directory` and `name` are file names; `target` is a path, and with `is_prefix` no file.
    """

    directory: str
    name: str
    target: str
    is_prefix: bool

    @property
    def state(self) -> bytes:
        """The contents of the `checkpoint` state file for a prefix, as TensorFlow reads it."""
        quoted = "".join(
            chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}"  # noqa: PLR2004 - printable ASCII
            for byte in os.fsencode(self.target)
        )
        return f'model_checkpoint_path: "{quoted}"\n'.encode("ascii")


@dataclass(frozen=True)
class Links:
    """The links of a watch.

    `undecided` are the directories of series of which it is not known which is the newest, with
    the paths of all that are valid: a link to one of them stays as it is.
    """

    certain: tuple[Link, ...]
    undecided: Mapping[str, frozenset[str]]


def file_name(name: str, safe: str = "", ending: str = "") -> str:
    """Make one file name of a path or a label: its bytes, percent-encoded as in a URL.

    What would be too long for a file system is replaced by its SHA-256.
    """
    encoded = quote(os.fsencode(name), safe=safe)
    if len(encoded) + len(ending) > _LONGEST:
        encoded = hashlib.sha256(os.fsencode(name)).hexdigest()
    return encoded + ending


def verdict_name(root: str, path: str) -> str:
    """The name of the verdict file of a checkpoint: of its path below the watch's root."""
    return file_name(os.path.relpath(path, root), ending=".json")


def token(entry: Entry) -> str:
    """Return a text that identifies a verdict: the content that was verified, and when."""
    return f"{entry.generation.key} {entry.report.finished_at if entry.report else ''}"


def token_of(document: Mapping[str, Any]) -> str:
    """Return the token of a verdict file that was written before.

    Raises:
        KeyError, TypeError: checkpointd did not write it.
    """
    return f"{document['generation']['key']} {document['verified_at']}"


def verdicts(entries: Iterable[Entry]) -> list[Entry]:
    """The entries whose verdict is about what is at their path now."""
    gone = {*ABSENT, State.UNKNOWN}
    return [e for e in entries if e.report is not None and e.state not in gone]


def document(entry: Entry, report: Report) -> bytes:
    """The contents of a verdict file."""
    public = report.to_public()
    content = {
        "format_version": FORMAT_VERSION,
        "path": entry.checkpoint.path,
        "watch": entry.checkpoint.watch,
        **{key: public[key] for key in ("format", "series", "step", "size_bytes")},
        "metrics": {
            name: value if math.isfinite(value) else None for name, value in entry.metrics.items()
        },
        **{key: public[key] for key in ("verdict", "reason", "message", "shown")},
        "environment": public["environment"],
        "saved_at": entry.saved_at,
        "verified_at": report.finished_at,
        "generation": {
            "key": entry.generation.key,
            "members": [
                {"name": member.name, "size": member.size, "mtime_ns": member.mtime_ns}
                for member in entry.generation.members
            ],
        },
    }
    return (json.dumps(content, indent=1) + "\n").encode("ascii")


def links(
    entries: Iterable[Entry], require: frozenset[str], now: float, by: OrderBy = "witnesses"
) -> Links:
    """Return a link to the newest valid checkpoint of each series; compares each with the disk.

    Args:
        entries: all entries of a watch.
        require: what the report must have shown.
        now: seconds since the epoch.
        by: what decides which is newer, as in `[watch.retention]`.
    """
    present = [entry for entry in entries if entry.state not in ABSENT]
    newest_links, undecided = [], dict[str, frozenset[str]]()
    listed = saving_orders_beside(present)
    for (_, label), order in order_series(present, now, by=by, saving_orders=listed).items():
        newest = newest_valid(order, require)
        directory = file_name(label, safe="{} ")
        if newest.undecided:
            valid = (e for e in order.newest_first if has_shown(e, require))
            undecided[directory] = frozenset(e.path for e in valid)
        elif newest.entry is not None:
            path, format_ = newest.entry.checkpoint.path, newest.entry.checkpoint.format
            spec = spec_of(format_)
            has_ending = spec is not None and spec.endings and not os.path.isdir(path)
            ending = _ending(path) if has_ending else ""
            newest_links.append(Link(directory, LINK + ending, path, bool(spec and spec.is_prefix)))
    return Links(tuple(newest_links), undecided)


def _ending(path: str) -> str:
    lower = path.lower()
    last = os.path.splitext(os.path.basename(path))[1]
    return next((ending for ending in _ENDINGS if lower.endswith(ending)), last)
