"""The queue of hooks: what is added with what happened, and leaves when a command has taken it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import HookCounts, Ledger
from checkpointd.ledger.writing import MOST_PENDING
from tests.helpers.ledger import generation, report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = frozenset({"on_verdict", "on_valid", "on_hold", "on_pruned"})
HOLD = {"series": "ckpt-{}", "reason": "all_invalid", "message": "Why.", "cure": "Look."}


def checkpoint(path: str) -> Checkpoint:
    """One of a series of the watch `w`."""
    return Checkpoint(path, Format.TF_CHECKPOINT, "w", "ckpt-{}")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger whose watch `w` has every hook."""
    opened = Ledger.open(tmp_path)
    opened.set_hooks({"w": ALL})
    yield opened
    opened.close()


def events(ledger: Ledger) -> list[tuple[str, str]]:
    """What waits, oldest first."""
    return [(event.event, event.path) for event in ledger.hooks()]


def test_what_happened_and_its_event_are_one_transaction(ledger: Ledger, tmp_path: Path) -> None:
    """A process that opens the ledger after a crash finds both, or neither."""
    ledger.record_report(report(checkpoint("/w/ckpt-1"), generation()))
    ledger.record_report(report(checkpoint("/w/ckpt-2"), generation(), Verdict.INVALID))
    ledger.record_trashed("/w/ckpt-1", rule="keep_last", reason="Old.", item="a")
    ledger.record_trashed("/w/ckpt-1", rule="keep_last", reason="Old.", item="a")
    expected = [
        ("on_verdict", "/w/ckpt-1"),
        ("on_valid", "/w/ckpt-1"),
        ("on_verdict", "/w/ckpt-2"),
        ("on_pruned", "/w/ckpt-1"),
    ]
    assert events(ledger) == expected
    other = Ledger.open(tmp_path, readonly=True)
    assert events(other) == expected
    other.close()
    last = ledger.hooks()[-1]
    facts = {key: last.payload[key] for key in ("event", "rule", "reason", "path", "watch")}
    assert facts == {
        "event": "on_pruned",
        "rule": "keep_last",
        "reason": "Old.",
        "path": "/w/ckpt-1",
        "watch": "w",
    }
    assert len({event.payload["hook_id"] for event in ledger.hooks()}) == 4


def test_only_what_the_config_has_a_hook_for_is_queued(ledger: Ledger) -> None:
    """An event whose hook was taken out of the config leaves the queue."""
    ledger.record_report(report(checkpoint("/w/ckpt-1"), generation()))
    ledger.set_hooks({"w": frozenset({"on_valid"})})
    assert events(ledger) == [("on_valid", "/w/ckpt-1")]
    ledger.record_report(report(checkpoint("/w/ckpt-2"), generation(), Verdict.INVALID))
    assert len(events(ledger)) == 1


def test_what_has_failed_least_often_is_next(ledger: Ledger) -> None:
    """One bad event holds up no other, and is due again at its time."""
    for number in (1, 2):
        found = report(checkpoint(f"/w/ckpt-{number}"), generation(), Verdict.INVALID)
        ledger.record_report(found)
    first = ledger.next_hook("w", 100.0)
    assert first is not None
    ledger.fail_hook(first.id, "it ended with 1", 110.0, given_up=False)
    second = ledger.next_hook("w", 100.0)
    assert second is not None
    assert second.id != first.id
    ledger.finish_hook(second.id)
    assert ledger.next_hook("w", 109.0) is None
    again = ledger.next_hook("w", 110.0)
    assert again is not None
    assert (again.id, again.attempts, again.error) == (first.id, 1, "it ended with 1")
    assert ledger.next_hook("w", -math.pi * 1e6) is not None, "the clock was set back"


def test_what_was_given_up_waits_for_a_person(ledger: Ledger) -> None:
    """`hooks retry` hands it over again."""
    ledger.record_report(report(checkpoint("/w/ckpt-1"), generation(), Verdict.INVALID))
    (event,) = ledger.hooks()
    ledger.fail_hook(event.id, "no", 0.0, given_up=True)
    assert ledger.next_hook("w", 1e12) is None
    assert ledger.hook_counts() == {"w": HookCounts(0, 1)}
    assert (ledger.retry_hooks([event.id + 1]), ledger.retry_hooks()) == (0, 1)
    assert ledger.next_hook("w", 1.0) is not None


def test_the_queue_is_bounded(ledger: Ledger) -> None:
    """A hook that always fails does not fill the disk: the oldest make room."""
    ledger.record_report(report(checkpoint("/w/ckpt-1"), generation(), Verdict.INVALID))
    ledger._connection.execute("BEGIN")
    ledger._connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "INSERT INTO hooks SELECT NULL, watch, event, path, payload, queued_at, 0, 0, error, 0 "
        "FROM hooks, n",
        (MOST_PENDING + 100,),
    )
    ledger._connection.execute("COMMIT")
    ledger.record_report(report(checkpoint("/w/ckpt-9"), generation(), Verdict.INVALID))
    counts = ledger.hook_counts()["w"]
    assert counts.pending == MOST_PENDING
    assert ledger.hooks(given_up=False)[-1].path == "/w/ckpt-9"


def test_a_hold_is_an_event_when_it_begins_and_not_again(ledger: Ledger, tmp_path: Path) -> None:
    """Not with each plan, and not with each start of the daemon."""
    other = {**HOLD, "reason": "clock"}
    assert [ledger.note_holds("w", holds) for holds in ([HOLD], [HOLD], [HOLD, other])] == [1, 0, 1]
    ledger.close()
    again = Ledger.open(tmp_path)
    assert again.note_holds("w", [HOLD, other]) == 0
    assert (again.note_holds("w", []), again.note_holds("w", [HOLD])) == (0, 1)
    assert [event.payload["cure"] for event in again.hooks()] == ["Look."] * 3
    again.close()
