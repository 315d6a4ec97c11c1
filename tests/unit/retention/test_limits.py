"""What goes for want of space, and what waits until space is wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.ledger import State
from checkpointd.retention import plan
from checkpointd.retention.limits import FileSystem
from tests.helpers.ledger import entry, generation
from tests.helpers.limit_models import compare_limits
from tests.helpers.plans import NOW, kept, policy, reasons_for, series

if TYPE_CHECKING:
    from checkpointd.ledger import Entry

GIB = 1 << 30


def _large(count: int, **keys: Any) -> list[Entry]:
    return [replace(e, generation=generation(e.saved_at, GIB)) for e in series(count, **keys)]


def test_both_choose_what_their_models_choose() -> None:
    """A few cases; the integration test has 10 000 of each."""
    compare_limits(40)


def test_the_oldest_go_though_a_rule_of_number_keeps_them() -> None:
    """The limit is a limit; the reason names both sizes."""
    planned = plan(_large(8), policy(keep_last=7, max_total_bytes="4GiB"), NOW)
    assert kept(planned) == {5, 6, 7, 8}
    assert "7.0 GiB, more than max_total_bytes = 4.0 GiB" in reasons_for(planned, 4)
    assert {d.rule for d in planned.removals} == {"unclaimed", "max_total_bytes"}
    assert planned.unmet == ""


def test_without_other_rules_the_oldest_go() -> None:
    """The limit alone is a policy."""
    planned = plan(_large(8), policy(max_total_bytes="3GiB"), NOW)
    assert kept(planned) == {6, 7, 8}
    assert kept(plan(_large(8), policy(max_total_bytes="30GiB"), NOW)) == set(range(1, 9))


def test_what_is_chosen_one_by_one_outranks_the_limit() -> None:
    """Pins, the best, listed steps, the newest and the floor; the sentence counts them."""
    entries = _large(8, metrics={"loss": 1.0})
    entries[0] = replace(entries[0], pinned=True)
    asked = policy(
        keep_last=8,
        keep_steps=[2],
        keep_best=[{"n": 1, "metric": "loss", "mode": "min"}],
        max_total_bytes="1GiB",
    )
    planned = plan(entries, asked, NOW)
    assert kept(planned) == {1, 2, 8}
    assert planned.unmet.startswith(
        "max_total_bytes = 1.0 GiB is not met: 3.0 GiB stay. These must stay: 1 by "
    )
    assert "1 by pinned" in planned.unmet
    floor = plan(_large(4), policy(keep_last=4, keep_min_valid=3, max_total_bytes="1GiB"), NOW)
    assert kept(floor) == {2, 3, 4}


def test_what_is_not_valid_displaces_nothing() -> None:
    """Garbage or a backlog of new saves must not push good ones out."""
    bad = [
        replace(
            entry(20 + i, state=state, step=20 + i, saved_at=NOW - 60 + i),
            generation=generation(NOW - 60 + i, 9 * GIB),
        )
        for i, state in enumerate([State.INVALID, State.PENDING])
    ]
    planned = plan([*_large(3), *bad], policy(keep_last=3, max_total_bytes="5GiB"), NOW)
    assert planned.removals == ()
    assert "18.0 GiB of it have no valid verdict" in planned.unmet


def test_a_series_on_hold_is_not_paid_for_by_the_others() -> None:
    """Its size is in doubt as well."""
    other = _large(4, series="b-{}")
    doubtful = [
        replace(
            entry(20 + i, step=i, saved_at=NOW - 60 + i, tensors=str(i)),
            generation=generation(NOW - 60 + i, GIB),
        )
        for i in range(3)
    ]
    planned = plan([*other, *doubtful], policy(keep_last=4, max_total_bytes="2GiB"), NOW)
    assert planned.removals == ()
    assert "on hold" in planned.unmet


def test_nothing_goes_before_the_file_system_is_full_enough() -> None:
    """Then as much as is needed, the oldest first; the trash counts as free."""
    asked = policy(keep_last=1, prune_defer="80%")
    entries = _large(6)
    cases = [
        (FileSystem(79 * GIB, 21 * GIB), 0),
        (FileSystem(82 * GIB, 18 * GIB), 2),
        (FileSystem(82 * GIB, 18 * GIB, trash=2 * GIB), 0),
        (FileSystem(99 * GIB, 1 * GIB), 5),
        (None, 0),
    ]
    for found, count in cases:
        planned = plan(entries, asked, NOW, filesystem=found)
        assert [d.entry.id for d in planned.removals] == list(range(1, count + 1))
    full = plan(entries, asked, NOW, filesystem=FileSystem(79 * GIB, 21 * GIB))
    assert "prune_defer = 80%" in reasons_for(full, 1)
    assert "cannot be found out" in reasons_for(plan(entries, asked, NOW), 1)
