"""Templates of the config: only step, epoch, batch and metrics vary within a series."""

from __future__ import annotations

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.series.labels import ParsedName
from checkpointd.series.names import parse_name


@pytest.mark.parametrize(
    ("template", "name", "expected"),
    [
        (
            "{trial}/checkpoint_{step:06d}/model.keras",
            "trial_00002/checkpoint_000007/model.keras",
            ParsedName("trial_00002/checkpoint_{}/model.keras", "000007", 7),
        ),
        (
            "{trial:05d}/checkpoint_{step:06d}.keras",
            "00002/checkpoint_000007.keras",
            ParsedName("00002/checkpoint_{}.keras", "000007", 7),
        ),
        (
            "forecast_step_{horizon}_epoch_{epoch:02d}.keras",
            "forecast_step_3_epoch_07.keras",
            ParsedName("forecast_step_3_epoch_{}.keras", "07", 7),
        ),
        (
            "fold{fold:d}-{epoch:02d}-{val_loss:.2f}.h5",
            "k/fold3-07-0.31.h5",
            ParsedName("k/fold3-{}-{}.h5", "07", 7, {"val_loss": 0.31}),
        ),
        (
            "{run}_epoch_{epoch}.keras",
            "20260101-120000_epoch_07.keras",
            ParsedName("20260101-120000_epoch_{}.keras", "07", 7),
        ),
        (
            "{name}-v{version}-epoch_{epoch}.keras",
            "churn-v3-epoch_07.keras",
            ParsedName("churn-v3-epoch_{}.keras", "07", 7),
        ),
        (
            "lr{lr:.3f}_{epoch}_{batch}.h5",
            "lr0.001_3_200.h5",
            ParsedName("lr0.001_{}_{}.h5", "3-200", 3),
        ),
        (
            "{learning_rate:.0e}-{epoch}-{error_rate:.2f}.h5",
            "1e-03-7-0.25.h5",
            ParsedName("1e-03-{}-{}.h5", "7", 7, {"error_rate": 0.25}),
        ),
        (
            "{loss}_{epoch}.h5",
            "focal_3.h5",
            ParsedName("focal_{}.h5", "3", 3),
        ),
        (
            "{epoch}-{my_quality:.3f}.h5",
            "3-0.125.h5",
            ParsedName("{}-{}.h5", "3", 3, {"my_quality": 0.125}),
        ),
        ("{epoch}-{reward}.h5", "3-12.h5", ParsedName("{}-{}.h5", "3", 3, {"reward": 12.0})),
        ("{epoch}-{units}.h5", "3-12.h5", ParsedName("{}-12.h5", "3", 3)),
        ("model_{model}.h5", "model_12.h5", ParsedName("model_12.h5")),
        ("churn_{version}.h5", "churn_12.h5", ParsedName("churn_{}.h5", "12")),
        ("m_{date}.h5", "m_2026-01-01.h5", ParsedName("m_{}.h5", "2026-01-01")),
        (
            "{shop}_{model}-{acc:.2f}.h5",
            "a_3-0.91.h5",
            ParsedName("a_3-{}.h5", "0.91", None, {"acc": 0.91}),
        ),
    ],
)
def test_only_counters_and_metrics_vary_within_a_series(
    template: str, name: str, expected: ParsedName
) -> None:
    """Every other field of a template stays in the label of the series, with its value."""
    assert parse_name(name, Format.KERAS, (template,)) == expected


def test_the_first_template_that_matches_counts() -> None:
    """Several templates are tried in order; a name that none matches is parsed by itself."""
    templates = ("a_{epoch}.h5", "a_{tag}.h5", "b_{model}_{step}.h5")
    assert parse_name("a_7.h5", Format.HDF5, templates).series == "a_{}.h5"
    assert parse_name("a_x.h5", Format.HDF5, templates).series == "a_x.h5"
    assert parse_name("b_1_2.h5", Format.HDF5, templates).series == "b_1_{}.h5"
    assert parse_name("c_epoch_3.h5", Format.HDF5, templates).series == "c_epoch_{}.h5"
