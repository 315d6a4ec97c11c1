"""What planning costs with 100 000 known checkpoints: part of `make bench`, never asserted."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from checkpointd.retention import plan
from tests.helpers.ledger import entry
from tests.helpers.plans import NOW, policy

KNOWN = 100_000


def main() -> None:
    """Print the seconds of CPU for one series and for a thousand."""
    rules = policy(
        keep_last=5,
        keep_daily=7,
        keep_best={"n": 3, "metric": "loss", "mode": "min"},
        keep_every_n_steps=1000,
    )
    for series in (1, 1000):
        each = KNOWN // series
        known = [
            entry(
                i * series + s,
                step=i,
                metrics={"loss": 1 / (1 + i)},
                saved_at=NOW - (each - i) * 60 - 7200,
                seen=NOW - (each - i) * 60 - 7199,
                sequence=i * series + s + 1,
                path=f"/w/{s}/ckpt-{i}",
                series=f"{s}/ckpt-{{}}",
            )
            for s in range(series)
            for i in range(each)
        ]
        began = time.process_time()
        made = plan(known, rules, NOW)
        seconds = time.process_time() - began
        print(f"{KNOWN} in {series} series: {seconds:.2f} s, {len(made.removals)} to remove")


if __name__ == "__main__":
    main()
