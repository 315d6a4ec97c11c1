"""Which checkpoint is the newest valid one, and whether the disk still has it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.ledger import Ledger, State
from checkpointd.retention.newest_valid import has_current_verdict, newest_valid
from checkpointd.retention.series_order import order_series
from tests.helpers.ledger import record_verdict, write_file

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.ledger import Entry


def test_only_what_is_valid_and_on_disk_as_it_was_verified_is_the_newest(tmp_path: Path) -> None:
    """A newer one that was overwritten or has shown too little does not count."""
    (tmp_path / "state").mkdir()
    ledger = Ledger.open(tmp_path / "state")
    first, second, third = (
        record_verdict(ledger, write_file(tmp_path / f"m-{n}.h5", 1000.0 + n)) for n in range(3)
    )
    ledger.close()
    (order,) = order_series([first, second, third], time.time()).values()

    def found(*required: str) -> Entry | None:
        return newest_valid(order, required).entry

    assert found("loads") == third
    (tmp_path / "m-2.h5").write_bytes(b"another save")
    assert found() == second
    assert not has_current_verdict(third)
    (tmp_path / "m-1.h5").unlink()
    assert found() == first
    assert found("resumes") is None
    assert has_current_verdict(first)
    assert not has_current_verdict(replace(first, state=State.PENDING))
    assert not has_current_verdict(None)
