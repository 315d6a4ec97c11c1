"""Where checkpoints were moved to, as the ledger keeps it: a watch may leave the config before."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class KnownTrash:
    """The trash of a watch: its directory, the root it belongs to, and the last policy for it.

    `ttl` is in seconds. Nothing expires if `mode` was `off`.
    """

    directory: str
    root: str
    watch: str
    ttl: float
    mode: str


def dump(trash: KnownTrash) -> str:
    """The text of a record."""
    return json.dumps(asdict(trash), sort_keys=True)


def load(text: str) -> KnownTrash | None:
    """The record in a text; None if it is damaged."""
    try:
        trash = KnownTrash(**json.loads(text))
    except (ValueError, TypeError):
        return None
    texts = (trash.directory, trash.root, trash.watch, trash.mode)
    is_sound = all(isinstance(text, str) for text in texts) and trash.root.startswith("/")
    return trash if is_sound and math.isfinite(float(trash.ttl)) else None


@dataclass(frozen=True)
class TrashTtl:
    """For how long items of the trash of a watch stay, in seconds.

    Those that were moved there until `kept_until` (seconds since the epoch) stay for `kept_ttl`,
    because nobody has confirmed yet that `ttl` is shorter now.
    """

    ttl: float
    kept_ttl: float = 0.0
    kept_until: float = 0.0


def dump_ttl(ttl: TrashTtl) -> str:
    """The text of a record."""
    return json.dumps(asdict(ttl), sort_keys=True)


def load_ttl(text: str | None) -> TrashTtl | None:
    """The record in a text; None if there is none, or it is damaged."""
    try:
        ttl = TrashTtl(**json.loads(text or ""))
        numbers = (float(ttl.ttl), float(ttl.kept_ttl), float(ttl.kept_until))
    except (ValueError, TypeError):
        return None
    return ttl if all(map(math.isfinite, numbers)) else None
