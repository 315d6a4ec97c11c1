"""Names with a counter and a date behind it: which of them get a note."""

from __future__ import annotations

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.series.dated_saves import dated_saves
from checkpointd.series.names import parse_name


def _labels(names: list[str], *templates: str) -> list[str]:
    return sorted({parse_name(name, Format.HDF5, templates).series for name in names})


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (
            [f"r/m_epoch_{n}_2026110{n}_110000.weights.h5" for n in range(1, 6)],
            "m_epoch_{epoch}_{saved}.weights.h5",
        ),
        ([f"ckpt-{n}-2026-11-0{n}.h5" for n in range(1, 6)], "ckpt-{step}-{saved}.h5"),
        (
            [f"net2_step{n}00_20261101-1{n}3000.keras" for n in range(5)],
            "net2_step{step}_{saved}.keras",
        ),
    ],
)
def test_a_date_behind_a_counter_gets_one_note_with_both_templates(
    names: list[str], template: str
) -> None:
    """With either nothing is left in doubt; by the first all are saves of one series."""
    (note,) = dated_saves(_labels(names))
    assert f'"{template}"' in note
    assert "never removed" in note
    settled = note.rpartition('"')[0].rpartition('"')[2]
    for one in (template, settled):
        assert dated_saves(_labels(names, one), [one]) == []
    assert len(_labels(names, template)) == 1
    assert len(_labels(names, settled)) == len(names)
    steps = {parse_name(name, Format.HDF5, [template]).step for name in names}
    assert len(steps - {None}) == len(names)


@pytest.mark.parametrize(
    "names",
    [
        [f"20261101-0{n}0000_epoch_{n}.h5" for n in range(5)],
        [f"m_epoch_{n}_2026110{n}.h5" for n in range(3)],
        [f"m_{n}_2026110{n}.h5" for n in range(5)],
        [f"fold_{n}_2026110{n}.h5" for n in range(5)],
    ],
)
def test_other_names_get_none(names: list[str]) -> None:
    """A run's date before the counter, few names, and numbers that count nothing."""
    assert dated_saves(_labels(names)) == []
