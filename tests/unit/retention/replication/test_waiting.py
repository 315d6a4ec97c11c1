"""What waits for a copy, what goes first, and that nothing is pruned before."""

from __future__ import annotations

from pathlib import Path

from checkpointd.config import ReplicateSettings, RetentionSettings, WatchSettings
from checkpointd.ledger import State, Unreplicated, WallAges
from checkpointd.retention.planning import plan
from checkpointd.retention.policy import policy_text
from checkpointd.retention.policy_change import keeps_no_less
from checkpointd.retention.replication import copying_order, without_copy
from tests.helpers.ledger import entry
from tests.helpers.plans import NOW, kept, policy, reasons_for, series

TO = "s3://backups/runs"
DAY = 86400.0


class _Ledger:
    def __init__(self, seen: dict[str, float]) -> None:
        self._seen = seen

    def replicated(self, watch: str, destination: str) -> dict[str, float]:
        assert (watch, destination) == ("w", TO)
        return self._seen

    def ages(self) -> WallAges:
        return WallAges(NOW)


def _watch(to: str | None = TO, **keys: object) -> WatchSettings:
    retention = RetentionSettings(keep_last=1, **keys)  # type: ignore[arg-type]
    replicate = ReplicateSettings(to=to)
    return WatchSettings(name="w", path=Path("/w"), retention=retention, replicate=replicate)


def test_only_valid_ones_wait_and_only_where_they_are_copied() -> None:
    """What was seen a day ago is as good as now, what was not seen for longer is not."""
    entries = [*series(4), entry(9, state=State.INVALID)]
    paths = [e.path for e in entries]
    ledger = _Ledger({paths[0]: NOW - 10, paths[1]: NOW - 0.9 * DAY, paths[2]: NOW - 2 * DAY})
    found = without_copy(ledger, _watch(), entries)
    assert set(found) == {paths[2], paths[3]}
    assert "last seen 2 d ago" in found[paths[2]]
    assert found[paths[3]] == f"it is not copied to {TO} yet"
    assert without_copy(ledger, _watch(to=None), entries) == {}


def test_nothing_valid_is_removed_without_a_copy() -> None:
    """Whatever would remove it: a rule, its age, the size of all; the reason says where to."""
    entries = series(6)
    waits = {e.path: f"it is not copied to {TO} yet" for e in entries[:2]}
    for keys in ({"keep_last": 1}, {"ttl": 1.0}, {"max_total_bytes": 1, "keep_last": 6}):
        rules = policy(min_age=0.001, **keys)
        copied = kept(plan(entries, rules, NOW))
        assert not {1, 2} & copied
        planned = plan(entries, rules, NOW, without_copy=waits)
        assert kept(planned) == copied | {1, 2}
        assert TO in reasons_for(planned, 1)
        assert TO not in reasons_for(planned, 6)


def test_an_invalid_one_goes_without_a_copy() -> None:
    """It is not copied at all."""
    entries = [entry(9, state=State.INVALID, saved_at=NOW - 50 * DAY, step=0), *series(3)]
    rules = policy(keep_last=3, quarantine_ttl=DAY, min_age=0.001)
    assert 9 not in kept(plan(entries, rules, NOW, without_copy={entries[0].path: "no"}))


def test_the_newest_of_each_series_goes_first_then_the_oldest() -> None:
    """What training would go on from, and then what pruning waits for."""

    def one(identity: int, saved_at: float, *, newest: bool = False) -> Unreplicated:
        return Unreplicated(identity, f"/w/{identity}", "s", 1, saved_at, saved_at, newest)

    waiting = [one(1, 5.0), one(2, 3.0), one(3, 9.0, newest=True), one(4, 8.0, newest=True)]
    assert [o.id for o in copying_order(waiting)] == [3, 4, 2, 1]


def test_copies_that_are_not_asked_for_any_more_are_a_changed_policy() -> None:
    """What they kept is only removed once a person has confirmed that."""
    plain, copied = policy_text(_watch(to=None)), policy_text(_watch())
    elsewhere = policy_text(_watch(to="gs://other/runs"))
    assert keeps_no_less(copied, plain)
    assert keeps_no_less(elsewhere, copied)
    assert not keeps_no_less(plain, copied)
    slower = WatchSettings(
        name="w",
        path=Path("/w"),
        retention=RetentionSettings(keep_last=1),
        replicate=ReplicateSettings(to=TO, rate=5),
    )
    assert policy_text(slower) == copied
