"""Names with several numbers, each a series of its own: which of them are asked about."""

from __future__ import annotations

from itertools import product

import pytest

from checkpointd.series.unread import unread_numbers

TENS = (10, 20, 30, 40)


def grid(form: str, *values: range | tuple[int, ...]) -> list[str]:
    """The names of a form, with each combination of values."""
    return [form.format(*each) for each in product(*values)]


@pytest.mark.parametrize(
    ("names", "label", "template"),
    [
        (grid("net_{}_{}.keras", range(3), TENS), "net_{}_{}.keras", "net_{model}_{step}.keras"),
        ([f"a-{n}.{n}0-x_{n}_{n}.h5" for n in range(5)], None, ""),
        (
            [f"net_{n}_{n * 500}.weights.h5" for n in range(1, 6)],
            "net_{}_{}.weights.h5",
            "net_{epoch}_{batch}.weights.h5",
        ),
        (
            grid("r/run{}_model_{}.h5", range(2), TENS),
            "r/run{}_model_{}.h5",
            "{run}_model_{step}.h5",
        ),
        (grid("a_{}_{}_{}.h5", range(2), range(2), TENS), "a_{}_{}_{}.h5", "{model_2}_{step}.h5"),
    ],
)
def test_numbers_that_no_word_explains_are_asked_about(
    names: list[str], label: str | None, template: str
) -> None:
    """One doubt for all of them, with the template for each way to read them."""
    found = unread_numbers(names)
    assert [one.label for one in found] == ([label] if label else [])
    assert all(template in one.doubt.cure for one in found)


@pytest.mark.parametrize(
    "names",
    [
        grid("model_seed{}_fold{}.keras", range(5), range(5)),
        grid("model_s{}_f{}.keras", range(5), range(5)),
        grid("lstm_{}_units_{}.keras", range(3), (32, 64, 128)),
        grid("fold{}_model_{}.keras", range(5), range(5)),
        grid("trial_{}_seed_{}.keras", range(3), TENS),
        grid("net_2026-{}-{}.keras", (10, 11), (10, 11, 12)),
        grid("net_{}_0.{}.keras", range(3), TENS),
        grid("run_{}/net_{{}}.keras", range(5)),
        grid("net_7_{}.keras", TENS),
        ["net_1_10.keras", "net_1_20.keras", "net_2_10.keras"],
    ],
)
def test_models_with_names_of_their_own_are_no_doubt(names: list[str]) -> None:
    """Folds, seeds, units, dates, one number alone, and what counts already."""
    assert unread_numbers(names) == []


def test_what_a_template_matches_is_no_doubt_and_directories_are_one() -> None:
    """The same names in many directories are one question, and an answered one is not asked."""
    names = grid("{}/net_{}_{}.keras", range(9), range(2), TENS)
    (found,) = unread_numbers(names, ["other_{step}.h5"])
    assert "add " in found.doubt.cure
    assert unread_numbers(names, ["net_{model}_{number}.keras"]) == []
