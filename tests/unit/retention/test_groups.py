"""Several series that are counted together, and what keeps them from it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from checkpointd.retention import plan
from checkpointd.retention.pruning_round import PruningRound
from tests.helpers.ledger import entry
from tests.helpers.plans import NOW, hold_reasons, kept, policy

if TYPE_CHECKING:
    from checkpointd.ledger import Entry


def named(*names: str, tensors: str = "t", model: str = "m") -> list[Entry]:
    """Valid checkpoints without a number in their names, each seen when it was saved."""
    return [
        entry(
            n,
            saved_at=NOW - 90_000 + 100 * n,
            seen=NOW - 90_000 + 100 * n,
            sequence=n,
            series=name,
            path=f"/w/{name}",
            tensors=tensors,
            model=model,
        )
        for n, name in enumerate(names, 1)
    ]


NAMES = ("a/fox.h5", "a/hen.h5", "a/owl.h5", "b/fox.h5", "b/hen.h5")


@pytest.mark.parametrize(
    ("group_by", "stay"),
    [("series", {1, 2, 3, 4, 5}), ("directory", {3, 5}), ("watch", {5})],
)
def test_group_by_counts_series_together(group_by: str, stay: set[int]) -> None:
    """The newest of all that count together stays, and nothing else has to."""
    planned = plan(named(*NAMES), policy(keep_last=1, group_by=group_by), NOW)
    assert (kept(planned), planned.holds) == (stay, ())


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"tensors": "u"}, "tensors_differ"),
        ({"model": "n"}, "models_differ"),
        ({"tensors": ""}, "tensors_unknown"),
    ],
)
def test_models_that_differ_are_not_counted_together(odd: dict[str, Any], reason: str) -> None:
    """They are models side by side: the whole group stays, the other directory is pruned."""
    entries = [*named(*NAMES)[:2], *named(*NAMES, **odd)[2:3], *named(*NAMES)[3:]]
    planned = plan(entries, policy(keep_last=1, group_by="directory"), NOW)
    assert hold_reasons(planned) == {reason}
    assert [hold.series for hold in planned.holds] == ["a/*"]
    assert kept(planned) == {1, 2, 3, 5}


def test_models_of_which_nothing_is_known_are_not_counted_together() -> None:
    """Without any record of tensors, only their names would say that they are one model."""
    planned = plan(named(*NAMES, tensors="", model=""), policy(keep_last=1, group_by="watch"), NOW)
    assert (hold_reasons(planned), planned.removals) == ({"tensors_unknown"}, ())


def test_the_floor_counts_what_is_counted_together() -> None:
    """While removals are carried out, those that stay are the others of the group."""
    planned = plan(named(*NAMES), policy(keep_last=1, group_by="directory"), NOW)
    shared = PruningRound(planned, cast("Any", SimpleNamespace()))
    first = planned.removals[0].entry
    shared.begin(first)
    assert [e.path for e in shared.others(first)] == ["/w/a/owl.h5", "/w/a/hen.h5"]
