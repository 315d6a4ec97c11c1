"""Names: what is a version of what."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core.format_specs import FORMATS, Format
from checkpointd.series.labels import ParsedName
from checkpointd.series.names import parse_name
from checkpointd.series.templates import compile_template

H5, SM, TF = Format.HDF5, Format.SAVEDMODEL, Format.TF_CHECKPOINT


@pytest.mark.parametrize(
    ("relative", "format_", "expected"),
    [
        ("ckpt-7", TF, ParsedName("ckpt-{}", "7", 7)),
        ("runs/a/ckpt-0120", TF, ParsedName("runs/a/ckpt-{}", "0120", 120)),
        ("model.ckpt-1000", TF, ParsedName("model.ckpt-{}", "1000", 1000)),
        ("serve/7", SM, ParsedName("serve/{}", "7")),
        ("00000123", SM, ParsedName("{}", "00000123")),
        ("1700000000", SM, ParsedName("{}", "1700000000")),
        ("model_epoch_07.h5", H5, ParsedName("model_epoch_{}.h5", "07", 7)),
        ("model_Epoch07.weights.h5", H5, ParsedName("model_Epoch{}.weights.h5", "07", 7)),
        ("step=1000.keras", Format.KERAS, ParsedName("step={}.keras", "1000", 1000)),
        ("epoch=3-step=450", TF, ParsedName("epoch={}-step={}", "3-450", 450)),
        ("epoch_07.ckpt", TF, ParsedName("epoch_{}.ckpt", "07", 7)),
        ("v3", SM, ParsedName("v{}", "3")),
        ("m/version_3", SM, ParsedName("m/version_{}", "3")),
        ("model_20260101-120000", SM, ParsedName("model_{}", "20260101-120000")),
        (
            "2026-01-01T12:30:05Z.keras",
            Format.KERAS,
            ParsedName("{}.keras", "2026-01-01T12:30:05Z"),
        ),
        ("m_2026-01-01T12-30.h5", H5, ParsedName("m_{}.h5", "2026-01-01T12-30")),
        ("m-1700000000.h5", H5, ParsedName("m-{}.h5", "1700000000")),
        ("ckpt_20261127_100000.h5", H5, ParsedName("ckpt_{}.h5", "20261127_100000")),
        ("ckpt-2026-11-27_10-00-00", TF, ParsedName("ckpt-{}", "2026-11-27_10-00-00")),
        ("ckpt_3_20261127_100000.h5", H5, ParsedName("ckpt_{}_20261127_100000.h5", "3", 3)),
        ("ckpt-20261127", TF, ParsedName("ckpt-{}", "20261127", 20261127)),
        ("ckpt_5_12_2048.h5", H5, ParsedName("ckpt_{}_12_2048.h5", "5", 5)),
    ],
)
def test_a_name_with_a_counter_is_a_version_of_a_series(
    relative: str, format_: Format, expected: ParsedName
) -> None:
    """Each kind of versioned name gives the series, the version and, where it is one, the step."""
    assert parse_name(relative, format_) == expected


@pytest.mark.parametrize(
    "relative",
    [
        "fold_3.h5",
        "resnet50.h5",
        "mobilenet_v2.h5",
        "inception_v3",
        "best_model.h5",
        "7.h5",
        "ckpt-best",
        "onestep2.h5",
        "epochs10.h5",
        "epoch_1.5.h5",
        "model_99999999-999999.h5",
        "backpt-7",
        "step3a.h5",
        "ckpt-2026-11-27.h5",
        "weights.2026-11-27.h5",
        "checkpoint_27-11-2026.h5",
    ],
)
def test_any_other_name_is_a_series_of_its_own(relative: str) -> None:
    """Nothing is guessed: a wrong guess would let one model replace another."""
    assert parse_name(relative, H5) == ParsedName(relative)


@pytest.mark.parametrize(
    ("template", "relative", "expected"),
    [
        (
            "model_epoch_{epoch:02d}-{val_loss:.2f}.h5",
            "a/model_epoch_07-0.31.h5",
            ParsedName("a/model_epoch_{}-{}.h5", "07", 7, {"val_loss": 0.31}),
        ),
        (
            "weights.{epoch:02d}-{val_loss:.2f}.keras",
            "weights.123-1e-05.keras",
            ParsedName("weights.{}-{}.keras", "123", 123, {"val_loss": 1e-05}),
        ),
        ("cp-{epoch:04d}.ckpt", "cp-0010.ckpt", ParsedName("cp-{}.ckpt", "0010", 10)),
        (
            "{epoch}/m-{epoch}.h5",
            "12/m-12.h5",
            ParsedName("{}/m-{}.h5", "12", 12),
        ),
        (
            "best-{acc:.3f}.h5",
            "best-0.912.h5",
            ParsedName("best-{}.h5", "0.912", None, {"acc": 0.912}),
        ),
        (
            "{epoch:02d}-{val_loss:.2f}.h5",
            "03-nan.h5",
            ParsedName("{}-{}.h5", "03", 3),
        ),
        ("{tag}-{step:d}.h5", "night-30.h5", ParsedName("night-{}.h5", "30", 30)),
        ("cp-{epoch:04d}", "model_epoch_3.h5", ParsedName("model_epoch_{}.h5", "3", 3)),
    ],
)
def test_a_template_gives_step_and_metrics(
    template: str, relative: str, expected: ParsedName
) -> None:
    """A `version` template in Keras's syntax is read backwards; other names are taken as ever."""
    assert parse_name(relative, H5, (template,)) == expected


def test_a_template_named_twice_must_agree_with_itself() -> None:
    """A field that occurs twice in a template has one value."""
    assert parse_name("12/m-13.h5", H5, ("{epoch}/m-{epoch}.h5",)) == ParsedName("12/m-13.h5")


@pytest.mark.parametrize("template", ["model_{epoch", "model.h5", "model_{}.h5"])
def test_an_invalid_template_is_refused_with_a_message(template: str) -> None:
    """One that names no field, or is not a format string."""
    with pytest.raises(ValueError, match="version: "):
        compile_template(template)


def test_braces_in_a_name_are_not_its_version() -> None:
    """A file called `ckpt-{}` cannot end up in the series of `ckpt-7`."""
    assert parse_name("ckpt-{}", TF).series != parse_name("ckpt-7", TF).series


@given(st.text(max_size=255), st.sampled_from([spec.name for spec in FORMATS]))
def test_series_and_version_of_any_name_give_it_back(relative: str, format_: Format) -> None:
    """No name crashes it, and series and version together are the name again."""
    parsed = parse_name(relative, format_)
    parts = parsed.version.split("-") if parsed.series.count("{}") > 1 else [parsed.version]
    try:
        again = parsed.series.format(*parts)
    except IndexError:
        return  # a braced name with a version of several parts
    assert again == relative
    assert parsed.step is None or 0 <= parsed.step < 2**63


@given(st.integers(0, 10**30), st.integers(1, 12))
def test_two_steps_of_one_job_share_a_series(step: int, width: int) -> None:
    """Only the number differs between versions, however it is padded."""
    parsed = parse_name(f"run/ckpt-{step:0{width}d}", TF)
    assert parsed.series == "run/ckpt-{}"
    assert parsed.step == (step if step < 2**63 else None)


@given(
    st.integers(0, 10_000),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.sampled_from([".2f", ".4f", ".3e", "g", ""]),
    st.text(string.ascii_letters + "_. ", max_size=8),
)
def test_a_name_that_keras_writes_is_parsed_back(
    epoch: int, loss: float, spec: str, prefix: str
) -> None:
    """A name made from a template by `str.format` gives the same step and metric."""
    template = prefix + "{epoch:02d}-{val_loss:" + spec + "}.h5"
    name = template.format(epoch=epoch, val_loss=loss)
    parsed = parse_name(name, H5, (template,))
    assert parsed.step == epoch
    assert parsed.metrics == {"val_loss": float(f"{loss:{spec}}")}
    assert re.search(r"\{\}-\{\}\.h5\Z", parsed.series)
