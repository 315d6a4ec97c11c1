"""Which checkpoint is the newest valid one, and whether the disk still has it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.ledger import Ledger, State
from checkpointd.retention.newest_valid import has_current_verdict, newest_valid
from checkpointd.retention.series_order import order_series
from checkpointd.retention.state_orders import saving_orders_beside
from tests.helpers.ledger import record_verdict, write_file, write_prefix

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


@pytest.mark.parametrize(
    ("times", "listed", "newest"),
    [
        ((3, 2, 1), (1, 2, 3), "ckpt-3"),
        ((3, 2, 1), (3, 2, 1), "ckpt-1"),
        ((3, 2, 1), (1, 2), ""),
        ((1, 2, 3), (1, 2), "ckpt-3"),
        ((1, 2, 3), (3, 1, 2), ""),
        ((1, 2, 3), (1, 3), "ckpt-3"),
    ],
)
def test_a_state_file_settles_or_contradicts_what_is_the_newest(
    tmp_path: Path, times: tuple[int, ...], listed: tuple[int, ...], newest: str
) -> None:
    """It settles what number and time disagree about; one that is behind contradicts nothing."""
    (tmp_path / "state").mkdir()
    ledger = Ledger.open(tmp_path / "state")
    entries = [
        record_verdict(ledger, write_prefix(tmp_path / f"ckpt-{n}", 1000.0 + 600 * time_))
        for n, time_ in zip((1, 2, 3), times, strict=True)
    ]
    ledger.close()
    entries = [
        replace(entry, sequence=1, checkpoint=replace(entry.checkpoint, step=n))
        for n, entry in enumerate(entries, 1)
    ]
    lines = [f'all_model_checkpoint_paths: "ckpt-{n}"' for n in listed]
    state = tmp_path / "checkpoint"
    state.write_text("\n".join([f'model_checkpoint_path: "ckpt-{listed[-1]}"', *lines]))
    os.utime(state, (9000, 9000))
    orders = saving_orders_beside(entries)
    (order,) = order_series(entries, time.time(), saving_orders=orders).values()
    found = newest_valid(order, ())
    assert (os.path.basename(found.entry.path) if found.entry else "") == newest, found.undecided
    assert bool(found.undecided) is not bool(newest)
    if times == (1, 2, 3) and not newest:
        assert str(state) in found.undecided
