"""Names with one number or a date, each a series of its own: which of them get a note."""

from __future__ import annotations

import pytest

from checkpointd.series.lone_numbers import lone_numbers


@pytest.mark.parametrize(
    ("names", "template"),
    [
        ([f"model_2026010{day}.keras" for day in range(1, 6)], "model_{date}.keras"),
        ([f"model_2026-01-0{day}.keras" for day in range(1, 6)], "model_{date}.keras"),
        ([f"m-20260101-1{hour}3000.h5" for hour in range(5)], "m-{date}.h5"),
        ([f"2026_01_0{day}.weights.h5" for day in range(1, 6)], "{date}.weights.h5"),
        ([f"net-{n}.h5" for n in range(5, 9)], "net-{step}.h5"),
        ([f"r/net-{n}00.h5" for n in range(5, 9)], "net-{step}.h5"),
        ([f"{a}/net-{n}.h5" for a in "xyz" for n in range(5, 9)], "net-{step}.h5"),
        ([f"v2/unet3_{n}.keras" for n in range(4)], "_{step}.keras"),
        ([f"iter_{n}00k.h5" for n in range(1, 8)], "iter_{step}k.h5"),
    ],
)
def test_a_number_or_a_date_alone_gets_one_note_with_both_templates(
    names: list[str], template: str
) -> None:
    """What counts saves, and what names models."""
    (note,) = lone_numbers(names)
    assert f'{template}"' in note
    assert "never removed" in note
    (added,) = lone_numbers(names, ["other_{step}.h5"])
    assert "add " in added
    settled = note.rpartition('"')[0].rpartition('"')[2]
    assert lone_numbers(names, [settled]) == []


@pytest.mark.parametrize(
    "names",
    [
        [f"resnet{n}.h5" for n in (18, 34, 50, 101)],
        [f"lstm_{n}.keras" for n in (32, 64, 128, 256)],
        [f"fold_{n}.keras" for n in range(5)],
        [f"model_seed{n}.keras" for n in range(5)],
        [f"net_{n}x.h5" for n in range(5)],
        [f"net-{n}.h5" for n in range(3)],
        ["net-{}.h5", "a.h5", "b.h5", "c.h5", "d.h5"],
        [f"net_{a}_{b}.h5" for a, b in ((1, 10), (2, 20), (3, 30), (4, 40))],
    ],
)
def test_models_of_their_own_get_none(names: list[str]) -> None:
    """Sizes, folds, few names, several numbers that vary, and what counts already."""
    assert lone_numbers(names) == []
