"""Which items of the trash are deleted, and in which order; no disk is touched."""

from __future__ import annotations

import pytest

from checkpointd.core.checkpoint import Generation, Member
from checkpointd.ledger import WallAges
from checkpointd.retention.files import Part
from checkpointd.retention.trash import Disk, TrashItem, TrashLimits, forecast, to_delete
from checkpointd.retention.trash.manifest import Manifest, Stage

MIB = 1 << 20
NOW = 1_700_000_000.0
HOUR = 3600.0


def _item(age: float, size: int = MIB, *, policy_changed: bool = False) -> TrashItem:
    name = f"ckpt-{age:g}"
    manifest = Manifest(
        path=name,
        watch="w",
        series="ckpt",
        format="hdf5",
        entry=1,
        generation=Generation((Member("", size, 0, 0, 0, 0),)),
        size_bytes=size,
        at=NOW - age,
        rule="unclaimed",
        reason="",
        parts=(Part(name, 1),),
        policy_changed=policy_changed,
    )
    return TrashItem(name, f"/root/{name}", Stage.DONE, manifest)


def _limits(largest: int = 0, min_free: float = 0) -> TrashLimits:
    return TrashLimits(72 * HOUR, WallAges(NOW), largest, lambda _: min_free)


def test_space_for_two_more_of_the_largest_stays_free() -> None:
    """And a reserve beside them; what is missing is freed oldest first, and no more."""
    items = [_item(hours * HOUR, 10 * MIB) for hours in (1, 2, 3, 4)]
    limits = _limits(largest=10 * MIB, min_free=5 * MIB)
    assert to_delete(items, Disk(100 * MIB, 25 * MIB), limits) == []
    found = to_delete(items, Disk(100 * MIB, 12 * MIB), limits)
    assert [one.path for one in found] == ["/root/ckpt-14400", "/root/ckpt-10800"]
    assert all(one.early for one in found)
    assert "the next 2 checkpoints may need 20" in found[0].reason


def test_what_a_changed_policy_removed_goes_last() -> None:
    """However old it is; and only while the next saves would not fit."""
    changed = [_item(hours * HOUR, 10 * MIB, policy_changed=True) for hours in (20, 21)]
    others = [_item(hours * HOUR, 10 * MIB) for hours in (1, 2)]
    limits = _limits(largest=5 * MIB, min_free=100 * MIB)
    found = to_delete([*changed, *others], Disk(200 * MIB, 11 * MIB), limits)
    assert [one.path for one in found] == ["/root/ckpt-7200", "/root/ckpt-3600"]
    assert to_delete(changed, Disk(200 * MIB, 11 * MIB), limits) == []
    found = to_delete(changed, Disk(200 * MIB, 9 * MIB), limits)
    assert [one.path for one in found] == ["/root/ckpt-75600"]


@pytest.mark.parametrize("policy_changed", [False, True])
def test_what_is_old_enough_goes_in_any_case(policy_changed: bool) -> None:
    """Its space counts for the others."""
    old = _item(73 * HOUR, 10 * MIB, policy_changed=policy_changed)
    young = _item(1 * HOUR, 10 * MIB)
    found = to_delete([young, old], Disk(100 * MIB, 0), _limits(largest=5 * MIB))
    assert [(one.path, one.early) for one in found] == [(old.path, False)]
    assert "longer than trash_ttl = 3d" in found[0].reason


def test_a_clock_that_was_put_back_makes_nothing_expire() -> None:
    """What was removed in the future is not old."""
    assert to_delete([_item(-5 * HOUR)], Disk(100, 100), _limits()) == []


def test_what_the_next_saves_would_delete_is_known_before() -> None:
    """Nothing if there is space, else which ones, or that even all of them are not enough."""
    items = [_item(hours * HOUR, 10 * MIB) for hours in (1, 2, 3)]
    limits = _limits(largest=10 * MIB, min_free=5 * MIB)
    assert _text(items, 60 * MIB, limits) == ""
    text = _text(items, 30 * MIB, limits)
    assert text.startswith("the trash holds 30")
    assert "after them 2 in the trash would be deleted before trash_ttl is over" in text
    assert text.endswith("from /root/ckpt-10800 on")
    assert "keep fewer checkpoints" in _text(items[:1], 10 * MIB, limits)
    assert forecast(items, Disk(100 * MIB, 0), _limits()) is None


def test_in_off_the_trash_does_not_give_way() -> None:
    """And that is said."""
    items = [_item(HOUR, 50 * MIB)]
    limits = _limits(largest=10 * MIB, min_free=5 * MIB)
    found = forecast(items, Disk(100 * MIB, 10 * MIB), limits, is_off=True)
    assert found is not None
    assert found.early == ()
    assert 'while mode = "off"; empty it' in found.text


def _text(items: list[TrashItem], free: int, limits: TrashLimits) -> str:
    found = forecast(items, Disk(100 * MIB, free), limits)
    return found.text if found else "?"
