"""Which changes of a policy are sure to keep all that was kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checkpointd.config import RetentionSettings, WatchSettings
from checkpointd.retention import plan
from checkpointd.retention.policy import policy_text
from checkpointd.retention.policy_change import keeps_no_less
from tests.helpers.ledger import entry
from tests.helpers.plans import HOUR, NOW, kept

if TYPE_CHECKING:
    from collections.abc import Callable

BEST = {"n": 2, "metric": "loss", "mode": "min"}

_VALUES: dict[str, Callable[[int], Any]] = {
    "keep_last": int,
    "keep_daily": int,
    "keep_hourly": int,
    "keep_within": lambda n: f"{10 * n}h",
    "keep_within_daily": lambda n: f"{20 * n}h",
    "keep_every": lambda n: f"{10 * n}h",
    "keep_best": lambda n: {**BEST, "n": n},
    "keep_steps": lambda n: [10 * i for i in range(n)],
    "keep_tags": lambda n: [f"t{i}" for i in range(n)],
    "keep_min_valid": int,
    "ttl": lambda n: f"{30 * n}h",
    "min_age": lambda n: f"{n}h",
}


_POLICIES = st.dictionaries(st.sampled_from(sorted(_VALUES)), st.integers(1, 8), max_size=3).map(
    lambda chosen: {key: _VALUES[key](n) for key, n in chosen.items()}
)


def _text(**keys: Any) -> str:
    rules = RetentionSettings(**keys)
    return policy_text(WatchSettings(name="w", path=Path("/w"), retention=rules))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"keep_last": 3}, {"keep_last": 5}),
        ({"keep_last": 3}, {"keep_last": 3, "keep_daily": 7}),
        ({"keep_last": 3, "keep_steps": [1]}, {"keep_last": 3, "keep_steps": [2, 1]}),
        ({"keep_last": 3, "keep_best": BEST}, {"keep_last": 3, "keep_best": {**BEST, "n": 3}}),
        ({"keep_last": 3, "keep_tags": ["a"]}, {"keep_last": 3, "keep_tags": ["b", "a"]}),
        ({"keep_last": 3, "ttl": "1d"}, {"keep_last": 3, "ttl": "2d"}),
        ({"keep_last": 3, "ttl": "1d"}, {"keep_last": 3}),
        ({"keep_last": 1}, {"keep_last": 1, "keep_min_valid": 5, "min_age": "2h"}),
        ({"keep_last": 1, "links": ["/a"]}, {"keep_last": 1, "links": ["/b", "/a"]}),
    ],
)
def test_more_is_more(old: dict[str, Any], new: dict[str, Any]) -> None:
    """And the way back is not."""
    assert keeps_no_less(_text(**new), _text(**old))
    assert not keeps_no_less(_text(**old), _text(**new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"keep_last": 3, "keep_every": "1d"}, {"keep_last": 3, "keep_every": "2d"}),
        ({"keep_last": 3, "keep_every": "2d"}, {"keep_last": 3, "keep_every": "1d"}),
        ({"ttl": "1d"}, {"ttl": "1d", "keep_last": 100}),
        ({"keep_last": 1}, {"keep_last": 1, "keep_steps": [3]}),
        ({"keep_last": 3}, {"keep_last": 3, "require": ["loads"]}),
        (
            {"keep_last": 3, "keep_best": BEST},
            {"keep_last": 3, "keep_best": {**BEST, "mode": "max"}},
        ),
    ],
)
def test_what_is_not_certain_is_no_more(old: dict[str, Any], new: dict[str, Any]) -> None:
    """A rule that takes the place of the floor included."""
    assert not keeps_no_less(_text(**new), _text(**old))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_what_is_called_more_keeps_a_superset_of_any_series(data: st.DataObject) -> None:
    """With the plan itself as the judge."""
    old = data.draw(_POLICIES)
    new = {**old, **data.draw(_POLICIES)}
    assume(keeps_no_less(_text(**new), _text(**old)))
    hours = data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=25, unique=True))
    entries = [
        entry(i, step=i * 10, saved_at=NOW - hour * HOUR, metrics={"loss": i % 7})
        for i, hour in enumerate(sorted(hours, reverse=True))
    ]
    before, after = (kept(plan(entries, RetentionSettings(**keys), NOW)) for keys in (old, new))
    assert before <= after
