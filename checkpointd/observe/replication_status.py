"""The copies of one watch in a bucket, for the status."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReplicationStatus:
    """What of a watch is not copied yet; `to` is empty for a watch that is not copied.

    `waiting` checkpoints of `waiting_bytes` wait, the first of them since `oldest_at` (seconds
    since the epoch; None if none waits). `copying` is the path that is being copied, `failure` why
    the last attempt failed, if it did.
    """

    to: str = ""
    waiting: int = 0
    waiting_bytes: int = 0
    oldest_at: float | None = None
    copying: str = ""
    failure: str = ""
