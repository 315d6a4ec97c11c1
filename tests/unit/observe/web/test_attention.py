"""What a person should look at: the worst first, nothing twice, nothing that is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.observe.web.attention import MAX_SERIES, Rank, headline, todos
from tests.helpers.observe import NOW, bad_series, checkpoint, series, status, watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.observe.series_status import SeriesStatus
    from checkpointd.observe.status import DaemonStatus

HOLD = {"series": "ckpt-{}", "reason": "invalid_streak", "cure": "Look at the job."}
QUIET = checkpoint(60)
SAVES = tuple(NOW - 60 * n for n in range(60, 65))


def tone(state: DaemonStatus, known: Sequence[SeriesStatus] = ()) -> str:
    """What the lamp at the top shows."""
    return headline(state, known, todos(state, known, NOW)).tone


def disk(**changes: Any) -> dict[str, Any]:
    """A watch on a disk of 1 TiB."""
    return watch(filesystem={"device": "0:7", "size_bytes": 1024**4, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "good"),
        ({"ready": False, "problems": []}, "wait"),
        ({"watches": []}, "warn"),
        ({"config_error": "line 3: unknown key"}, "warn"),
        ({"watches": [watch(holds=[HOLD])]}, "warn"),
        ({"watches": [watch(up=False, message="Stale file handle.")]}, "bad"),
        ({"watches": [watch(up=False, counts={}, last_reconcile_at=0.0)]}, "warn"),
        ({"healthy": False, "problems": ["The supervisor has stood still for 5 min."]}, "bad"),
        ({"watches": [disk(full_at=NOW + 40 * 3600)]}, "good"),
        ({"watches": [disk(full_at=NOW + 5 * 3600)]}, "warn"),
        ({"watches": [disk(full_at=NOW + 600)]}, "bad"),
        ({"watches": [disk(next_saves_fit=False)]}, "bad"),
    ],
)
def test_the_lamp_shows_the_worst_thing(changes: dict[str, Any], expected: str) -> None:
    """Green, blue, amber or red: one glance is enough."""
    assert tone(status(**changes)) == expected


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (series(), "good"),
        (bad_series(), "bad"),
        (bad_series(state="inconclusive", reason="load.timeout"), "warn"),
        (bad_series(saved_at=NOW - 8 * 86400, verified_at=NOW - 8 * 86400), "good"),
        (series(newest=QUIET, newest_verified=QUIET, newest_valid=QUIET, saves=SAVES), "wait"),
    ],
)
def test_the_lamp_shows_how_the_series_are(one: SeriesStatus, expected: str) -> None:
    """Only the newest verdict counts, and one of last week is no alarm."""
    assert tone(status(), [one]) == expected


def test_a_missing_directory_does_not_outrank_a_nan() -> None:
    """Severity decides the order: training that is lost, the disk, what is only late."""
    found = todos(
        status(
            config_error="line 3: unknown key",
            watches=[
                watch("nightly", up=False, counts={}, last_reconcile_at=0.0),
                disk(full_at=NOW + 60),
                watch("held", holds=[HOLD]),
            ],
        ),
        [series(newest=QUIET, saves=SAVES), bad_series()],
        NOW,
    )
    assert [todo.rank for todo in found] == [
        Rank.INVALID,
        Rank.DISK_URGENT,
        Rank.CONFIG,
        Rank.WATCH_MISSING,
        Rank.HOLD,
        Rank.QUIET,
    ]


def test_each_entry_says_what_is_wrong_since_when_and_what_helps() -> None:
    """Without another page."""
    (todo,) = todos(status(), [bad_series()], NOW)
    assert todo.what == "resnet / ckpt-{} is invalid"
    assert (todo.why, todo.reason) == ("12 of 40 are NaN.", "finite.nan")
    assert todo.facts == (
        "Not valid since 2 min ago; 2 checkpoints so far.",
        "Newest valid: ckpt-3, step 997, saved 3 min ago.",
    )
    assert "lower the learning rate" in todo.cure
    assert todo.path.startswith("/series/")


def test_a_watch_that_is_down_is_reported_once() -> None:
    """The sentences of the health and of the watch would repeat each other."""
    state = status(
        watches=[watch(up=False, message="Stale file handle.")],
        problems=["Watch resnet is down: Stale file handle."],
    )
    assert len(todos(state, [], NOW)) == 1


def test_a_disk_that_is_too_full_is_reported_once() -> None:
    """Under `enforce` the daemon has a sentence of its own about it; a full disk is called full."""
    full = status(
        watches=[disk(next_saves_fit=False) | {"filesystem_avail_bytes": 0}],
        problems=["Watch resnet: the trash holds 0 B, the disk has 0 B free."],
    )
    (todo,) = todos(full, [], NOW)
    assert todo.what == "The disk of resnet is full"
    tight = status(watches=[disk(next_saves_fit=False) | {"filesystem_avail_bytes": 1024}])
    (todo,) = todos(tight, [], NOW)
    assert todo.what == "The disk of resnet has too little space for the next saves"
    assert "two saves and a reserve" in todo.why


def test_series_of_one_cause_are_one_entry() -> None:
    """A page of the same sentence would hide what else there is."""
    found = todos(status(), [bad_series(f"s{n}-{{}}") for n in range(50)], NOW)
    assert [todo.facts[-1] for todo in found] == ["49 more series of resnet like it."]
    other = bad_series("other", reason="structure.truncated")
    assert len(todos(status(), [bad_series(), other, bad_series(watch="b")], NOW)) == 3


def test_series_that_stopped_saving_end_in_a_line() -> None:
    """Each has its own save interval, and there may be many."""
    quiet = [series(f"s{n}", newest=QUIET, saves=SAVES) for n in range(50)]
    found = todos(status(), quiet, NOW)
    assert len(found) == MAX_SERIES + 1
    assert found[-1].what == "30 more series have stopped saving"
    assert headline(status(), quiet, found).title == "More than 20 series have stopped saving"
    one = quiet[:1]
    message = headline(status(), one, todos(status(), one, NOW))
    assert message.title == "One series has stopped saving"
