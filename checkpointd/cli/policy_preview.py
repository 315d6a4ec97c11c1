"""What the policies of a config file would remove, by the existing ledger."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.config import Config, WatchSettings
    from checkpointd.ledger import Ledger

_MOST_SECONDS = 10.0


def previews(config: Config) -> list[tuple[str, str]]:
    """Each watch with known checkpoints, and a sentence about what it would remove.

    A disk that does not answer is not waited for.
    """
    sentences: list[tuple[str, str]] = []
    thread = threading.Thread(target=lambda: sentences.extend(_previews(config)), daemon=True)
    thread.start()
    thread.join(_MOST_SECONDS)
    if thread.is_alive():
        known = {name for name, _ in sentences}
        late = next((w.name for w in config.watch if w.name not in known), "")
        return [*sentences, (late, "Not known: its disk or the ledger is slow.")]
    return sentences


def _previews(config: Config) -> Iterator[tuple[str, str]]:
    from checkpointd.ledger import Ledger, LedgerError

    try:
        ledger = Ledger.open(config.state_dir, readonly=True)
    except LedgerError:
        return
    try:
        for watch in config.watch:
            line = _preview(ledger, watch)
            if line:
                yield watch.name, line
    except LedgerError:
        return
    finally:
        ledger.close()


def _preview(ledger: Ledger, watch: WatchSettings) -> str:
    from checkpointd.retention.confirmation import confirm_plan
    from checkpointd.retention.summary import preview_text
    from checkpointd.retention.trash_holds import with_trash_holds
    from checkpointd.retention.watch_plan import plan_watch

    if not ledger.entries(watch.name, limit=1):
        return ""
    if watch.bucket:
        from checkpointd.cli.offline_buckets import plan_of_bucket

        return preview_text(plan_of_bucket(ledger, watch))
    planned = confirm_plan(ledger, watch, plan_watch(ledger, watch, time.time()))
    return preview_text(with_trash_holds(planned, ledger, watch))
