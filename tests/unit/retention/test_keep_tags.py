"""What people have tagged stays, and a tag that fits nothing removes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpointd.ledger import State
from checkpointd.retention import plan
from tests.helpers.ledger import entry
from tests.helpers.plans import HOUR, NOW, hold_reasons, kept, policy, reasons_for, series

if TYPE_CHECKING:
    from checkpointd.ledger import Entry


def _tagged(entries: list[Entry], tags: dict[int, str]) -> list[Entry]:
    """Entries of which some carry tags, by id; several have commas between."""
    return [
        replace(e, tags=frozenset(tags[e.id].split(","))) if e.id in tags else e for e in entries
    ]


def test_all_tags_of_one_entry_keep() -> None:
    """Other tags beside them make no difference; a tag alone keeps nothing."""
    entries = _tagged(series(8), {1: "prod", 2: "eval,x,prod", 3: "paper", 4: "eval", 5: "x"})
    planned = plan(entries, policy(keep_last=1, keep_tags=["prod,eval", "paper"]), NOW)
    assert kept(planned) == {2, 3, 8}
    assert reasons_for(planned, 2) == "it is tagged prod and eval (keep_tags)"
    assert reasons_for(planned, 3) == "it is tagged paper (keep_tags)"
    assert kept(plan(entries, policy(keep_last=1), NOW)) == {8}


def test_tagged_ones_take_no_slot() -> None:
    """The other rules keep as many as without it."""
    entries = _tagged(series(6), {1: "prod", 6: "prod"})
    assert kept(plan(entries, policy(keep_last=2, keep_tags=["prod"]), NOW)) == {1, 5, 6}


def test_a_tag_outranks_age_and_size() -> None:
    """A person has chosen it: it neither expires nor goes for want of space."""
    entries = _tagged(series(8), {2: "prod"})
    asked = policy(keep_last=8, keep_tags=["prod"], ttl="3h")
    assert kept(plan(entries, asked, NOW)) == {2, 6, 7, 8}
    small = policy(keep_last=8, keep_tags=["prod"], max_total_bytes=1)
    assert kept(plan(entries, small, NOW)) == {2, 8}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["papper"], "No checkpoint of the watch is tagged 'papper', which keep_tags names."),
        (["prod", "papper"], "'papper'"),
        (["prod,papper"], "'papper'"),
        (["prod,eval"], "No checkpoint of the watch carries all tags of an entry of keep_tags."),
    ],
)
def test_a_tag_that_nothing_carries_holds_every_series(asked: list[str], message: str) -> None:
    """It may be misspelt, and then what was meant would go."""
    others = [replace(e, id=e.id + 20) for e in series(4, series="other-{}")]
    entries = [*_tagged(series(4), {1: "prod", 2: "eval", 3: "paper"}), *others]
    planned = plan(entries, policy(keep_last=1, keep_tags=asked), NOW)
    assert (planned.removals, hold_reasons(planned)) == ((), {"tag_missing"})
    assert {hold.series for hold in planned.holds} == {"ckpt-{}", "other-{}"}
    assert all(message in hold.message and hold.cure for hold in planned.holds)


def test_one_that_carries_the_tag_anywhere_in_the_watch_is_enough() -> None:
    """Whatever its series and state, also if it is gone: the tag is not misspelt."""
    gone = replace(entry(30, state=State.GONE, series="other-{}"), tags=frozenset({"prod"}))
    planned = plan([*series(4), gone], policy(keep_last=1, keep_tags=["prod"]), NOW)
    assert (kept(planned), hold_reasons(planned)) == ({4}, set())


_LETTERS = st.sampled_from("abc")
_ENTRIES = st.lists(st.lists(_LETTERS, min_size=1, max_size=2, unique=True), min_size=1, max_size=3)


@settings(max_examples=150, database=None)
@given(
    st.lists(st.frozensets(_LETTERS, max_size=3), min_size=1, max_size=8),
    _ENTRIES,
    st.integers(1, 4),
    st.none() | st.integers(1, 6),
)
def test_a_plan_is_that_of_an_obvious_model(
    tags: list[frozenset[str]], asked: list[list[str]], last: int, hours: int | None
) -> None:
    """Held if a tag is nowhere or no entry fits; else the newest, the tagged, the floor stay."""
    entries = [replace(e, tags=t) for e, t in zip(series(len(tags)), tags, strict=True)]
    keys = {"keep_last": last, "keep_tags": [",".join(one) for one in asked]}
    planned = plan(entries, policy(**keys, **({"ttl": f"{hours}h"} if hours else {})), NOW)
    fits = {e.id for e in entries if any(set(one) <= e.tags for one in asked)}
    nowhere = {tag for one in asked for tag in one} - {tag for e in entries for tag in e.tags}
    if nowhere or not fits:
        assert (planned.removals, hold_reasons(planned)) == ((), {"tag_missing"})
        return
    newest = {e.id for e in entries[-last:]}
    young = {e.id for e in entries if not hours or e.saved_at >= NOW - hours * HOUR}
    assert kept(planned) == fits | (newest & young) | {entries[-1].id}
