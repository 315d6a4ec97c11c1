"""What puts a series on hold, and what does not."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.ledger import State
from checkpointd.retention import References, RetentionPlan, plan
from checkpointd.retention.references import UnreadableStateFile
from checkpointd.retention.root import RootDoubts
from checkpointd.series.names import parse_name
from tests.helpers.ledger import entry
from tests.helpers.plans import HOUR, NOW, hold_reasons, policy, reasons_for, series


def test_a_failed_listing_and_a_lost_ledger_hold_everything() -> None:
    """What was not seen whole is not pruned."""
    listed = plan(series(4), policy(keep_last=1), NOW, listing="'/w/x' cannot be listed")
    assert (listed.removals, hold_reasons(listed)) == ((), {"listing_failed"})
    rebuilt = plan(series(4), policy(keep_last=1), NOW, root=RootDoubts(rebuilt="It was lost."))
    assert (rebuilt.removals, hold_reasons(rebuilt)) == ((), {"ledger_rebuilt"})
    assert "on hold" in reasons_for(rebuilt, 1)
    assert all(h.message and h.cure for h in (*listed.holds, *rebuilt.holds))


def test_tensors_that_differ_hold() -> None:
    """Two models under one name are not versions of each other."""
    entries = [*series(3, tensors="a"), entry(4, step=4, saved_at=NOW - 1, tensors="b")]
    assert hold_reasons(plan(entries, policy(keep_last=1), NOW)) == {"tensors_differ"}
    invalid = entry(4, state=State.INVALID, step=4, saved_at=NOW - 1, tensors="b")
    planned = plan([*series(3, tensors="a"), invalid], policy(keep_last=1), NOW)
    assert (hold_reasons(planned), planned.removals) == ({"tensors_differ"}, ())


def test_tensors_that_are_not_known_hold() -> None:
    """Of one without a digest it is not certain that it is a version of the others."""
    entries = [*series(3, tensors="a"), entry(4, step=4, saved_at=NOW - 1)]
    planned = plan(entries, policy(keep_last=1), NOW)
    assert (hold_reasons(planned), planned.removals) == ({"tensors_unknown"}, ())
    assert hold_reasons(plan(series(4), policy(keep_last=1), NOW)) == set()


def test_models_that_differ_hold() -> None:
    """Two models whose tensors look alike, one with another activation, are two models."""
    entries = [
        *series(3, tensors="a", model="m"),
        entry(4, step=4, saved_at=NOW - 1, tensors="a", model="n"),
    ]
    planned = plan(entries, policy(keep_last=1), NOW)
    assert (hold_reasons(planned), planned.removals) == ({"models_differ"}, ())
    without = [*entries[:3], entry(4, step=4, saved_at=NOW - 1, tensors="a")]
    assert hold_reasons(plan(without, policy(keep_last=1), NOW)) == set()


def test_names_that_leave_it_open_hold_until_a_template_says_it() -> None:
    """The hold names both templates; with either of them the series is pruned as it says."""
    entries = [
        entry(n, step=n, saved_at=NOW - 9000 + n, series="step_{}.h5", path=f"/w/step_{n}.h5")
        for n in range(1, 5)
    ]
    planned = plan(entries, policy(keep_last=1), NOW)
    assert (hold_reasons(planned), planned.removals) == ({"steps_unclear"}, ())
    [hold] = planned.holds
    assert 'version = "step_{step}.h5"' in hold.cure
    assert "step_{model}.h5" in hold.cure
    settled = plan(entries, policy(keep_last=1), NOW, templates=("step_{step}.h5",))
    assert (len(settled.removals), settled.holds) == (3, ())


def test_names_with_several_numbers_hold_once_until_a_template_says_which_counts() -> None:
    """Each is a series of one, which no rule touches, until a template says what varies."""

    def planned(names: list[str], *templates: str) -> RetentionPlan:
        entries = []
        for i, name in enumerate(names):
            parsed = parse_name(name, Format.KERAS, templates)
            at = NOW - (len(names) - i) * HOUR
            one = entry(i, path=f"/w/{name}", series=parsed.series, step=parsed.step, saved_at=at)
            checkpoint = replace(one.checkpoint, version=parsed.version)
            entries.append(replace(one, checkpoint=checkpoint))
        return plan(entries, policy(keep_last=3), NOW, templates=templates)

    names = [f"net_{a}_{b}.keras" for a in (1, 2, 3) for b in (10, 20, 30, 40)]
    (hold,) = planned(names).holds
    assert (hold.reason, hold.series) == ("numbers_unread", "net_{}_{}.keras")
    assert "The 12 checkpoints 'net_1_10.keras', 'net_1_20.keras', …" in hold.message
    saves, one_job, models = re.findall(r'"([^"]+)"', hold.cure)
    for template, series_left, removed in ((saves, 3, 3), (one_job, 1, 9), (models, 12, 0)):
        settled = planned(names, template)
        assert settled.holds == ()
        assert len({d.entry.checkpoint.series for d in settled.decisions}) == series_left
        assert len(settled.removals) == removed


def test_a_streak_of_invalid_ones_holds() -> None:
    """A trainer that writes garbage must not push the last good ones out."""
    bad = [entry(10 + i, state=State.INVALID, step=10 + i, saved_at=NOW - 60 + i) for i in range(3)]
    assert hold_reasons(plan([*series(4), *bad[:2]], policy(keep_last=1), NOW)) == set()
    planned = plan([*series(4), *bad], policy(keep_last=1), NOW)
    assert (planned.removals, hold_reasons(planned)) == ((), {"invalid_streak"})
    later = plan([*series(4), *bad], policy(keep_last=1, hold_after=4), NOW)
    assert (len(later.removals), hold_reasons(later)) == (3, set())
    soon = plan([*series(4), *bad[:1]], policy(keep_last=1, hold_after=1), NOW)
    assert hold_reasons(soon) == {"invalid_streak"}
    assert soon.holds[0].message.startswith("The newest one is invalid (hold_after = 1)")


def test_a_pile_of_unverified_ones_holds() -> None:
    """When verdicts do not come, nobody knows what the newest good one is."""
    waiting = [
        entry(20 + i, state=State.PENDING, step=20 + i, saved_at=NOW - 60 + i) for i in range(11)
    ]
    assert hold_reasons(plan([*series(4), *waiting[1:]], policy(keep_last=1), NOW)) == set()
    assert hold_reasons(plan([*series(4), *waiting], policy(keep_last=1), NOW)) == {"unverified"}


def test_a_hold_of_one_series_does_not_stop_another() -> None:
    """Doubt is as narrow as it can be."""
    other = [
        entry(20 + i, step=i, saved_at=NOW - 60 + i, series="b-{}", tensors=str(i // 2))
        for i in range(4)
    ]
    planned = plan([*series(4), *other], policy(keep_last=1), NOW)
    assert {d.entry.id for d in planned.removals} == {1, 2, 3}
    assert {h.series for h in planned.holds} == {"b-{}"}


def test_a_state_file_that_cannot_be_read_holds_the_tensorflow_checkpoints_below_it() -> None:
    """Files of other formats are in no state file."""
    torn = References(unreadable=(UnreadableStateFile("/w/checkpoint", "it is empty"),))
    entries = [
        entry(i, step=i, saved_at=NOW - (9 - i) * HOUR, kind=Format.TF_CHECKPOINT)
        for i in range(1, 5)
    ]
    planned = plan(entries, policy(keep_last=1), NOW, torn)
    assert hold_reasons(planned) == {"state_file_unreadable"}
    assert planned.removals == ()
    assert "'/w/checkpoint'" in planned.holds[0].message
    assert "delete it" in planned.holds[0].cure
    assert hold_reasons(plan(series(4), policy(keep_last=1), NOW, torn)) == set()
    elsewhere = References(unreadable=(UnreadableStateFile("/w/run/checkpoint", "it is empty"),))
    assert hold_reasons(plan(entries, policy(keep_last=1), NOW, elsewhere)) == set()


def test_directories_of_links_that_cannot_be_searched_hold_everything() -> None:
    """Whatever is in use may be named there."""
    unknown = References(link_errors=("'/srv/models' does not exist",))
    planned = plan(series(4), policy(keep_last=1), NOW, unknown)
    assert hold_reasons(planned) == {"links_unreadable"}
    assert planned.removals == ()


@pytest.mark.parametrize(
    ("rule", "metrics", "reason"),
    [
        ({"metric": "val_acc", "mode": "max"}, {"val_accuracy": 0.5}, "metric_missing"),
        ({"metric": "val_loss", "mode": "max"}, {"val_loss": 0.5}, "metric_direction"),
        ({"metric": "val_loss", "mode": "min"}, {"val_loss": math.nan}, "metric_not_finite"),
    ],
)
def test_a_metric_that_cannot_be_compared_holds(
    rule: dict[str, Any], metrics: dict[str, float], reason: str
) -> None:
    """Also what other rules would remove: nobody knows what the best is."""
    entries = [entry(i, step=i, saved_at=NOW - 9000 + i, metrics=metrics) for i in range(1, 7)]
    planned = plan(entries, policy(keep_last=1, keep_best=[{"n": 2, **rule}]), NOW)
    assert (planned.removals, hold_reasons(planned)) == ((), {reason})
    assert all(hold.message.endswith(".") and hold.cure for hold in planned.holds)


def test_steps_that_nothing_has_hold() -> None:
    """A rule by steps cannot be evaluated without them."""
    entries = [entry(i, saved_at=NOW - 9000 + i) for i in range(1, 7)]
    planned = plan(entries, policy(keep_last=1, keep_steps=[2]), NOW)
    assert (planned.removals, hold_reasons(planned)) == ((), {"steps_missing"})
