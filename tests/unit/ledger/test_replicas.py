"""Copies in the ledger: of which content they are, and when they count."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.report import Facts
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import ChangeKind, Ledger, Replica, ReplicaObject
from tests.helpers.ledger import report, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TO = "s3://backups/runs"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger of its own."""
    (tmp_path / "state").mkdir()
    opened = Ledger.open(tmp_path / "state")
    yield opened
    opened.close()


def _save(
    ledger: Ledger, path: Path, at: float, digest: str = "d", verdict: Verdict = Verdict.VALID
) -> Replica:
    """Save and verify; return the copy that there would be."""
    made = report(*write_file(path, at), verdict, facts=Facts(digest=digest), finished_at=at + 1)
    entry = ledger.record_report(made)
    parts = (ReplicaObject(path.name, 7, "tag", "", "ab" * 32),)
    url = f"{TO}/{path.name}"
    return Replica(str(path), "w", TO, url, entry.generation.key, digest, 7, parts, at + 2, at + 2)


def test_what_is_copied_is_known_after_a_restart(ledger: Ledger, tmp_path: Path) -> None:
    """With all that is known of its objects; only valid ones wait, the newest is marked."""
    first, second = (_save(ledger, tmp_path / f"m-{i}.h5", 1000.0 * i) for i in (1, 2))
    _save(ledger, tmp_path / "m-3.h5", 3000.0, verdict=Verdict.INVALID)
    assert [(w.path, w.newest) for w in ledger.unreplicated("w", TO)] == [
        (first.path, False),
        (second.path, True),
    ]
    assert ledger.unreplicated("w", TO)[0].verified_at == 1001.0
    ledger.take_changes()
    ledger.record_replica(first)
    assert [(c.kind, c.series) for c in ledger.take_changes()] == [
        (ChangeKind.REPLICATED, "m-{}.h5")
    ]
    again = Ledger.open(tmp_path / "state", readonly=True)
    assert again.replica(first.path) == first
    assert again.replicated("w", TO) == {first.path: first.seen_at}
    assert [w.path for w in again.unreplicated("w", TO)] == [second.path]
    assert again.replicas("w", TO) == [first]
    assert again.copy_urls() == again.copy_urls("w") == {first.path: first.url}
    assert not again.copy_urls("v")
    again.close()


def test_a_copy_counts_for_its_content_and_its_destination_alone(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Not for another save, another digest of the same size and time, or another URL."""
    path = tmp_path / "m-1.h5"
    copy = _save(ledger, path, 1000.0)
    ledger.record_replica(copy)
    assert ledger.replicated("w", TO)
    assert not ledger.replicated("w", f"{TO}/other")
    assert not ledger.replicated("v", TO)
    _save(ledger, path, 1000.0, digest="another")
    assert not ledger.replicated("w", TO)
    _save(ledger, path, 2000.0)
    assert not ledger.replicated("w", TO)
    assert ledger.replica(str(path)) == copy
    ledger.record_replica(_save(ledger, path, 2000.0))
    assert ledger.replicated("w", TO)


def test_what_is_missing_in_the_bucket_waits_again(ledger: Ledger, tmp_path: Path) -> None:
    """And the others were seen."""
    first, second = (_save(ledger, tmp_path / f"m-{i}.h5", 1000.0 * i) for i in (1, 2))
    for copy in (first, second):
        ledger.record_replica(copy)
    ledger.record_replicas_seen("w", TO, [first.path], 9000.0)
    assert ledger.replicated("w", TO) == {second.path: 9000.0}
    assert [w.path for w in ledger.unreplicated("w", TO)] == [first.path]
    assert ledger.replicas("w", TO) == [dataclasses.replace(second, seen_at=9000.0)]


def test_since_when_a_destination_is_used_is_remembered(ledger: Ledger) -> None:
    """Until it is another one."""
    since = ledger.replicating_since("w", TO)
    assert ledger.replicating_since("w", TO) == since
    assert ledger.replicating_since("w", "gs://other") >= since
