"""What a feature of a TFRecord is: the text in the config, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core.verify_settings import (
    DTYPES,
    RAW_DTYPES,
    Feature,
    is_feature_name,
    parse_feature,
)

shapes = st.lists(st.integers(1, 30), max_size=5).map(tuple)
keys = st.text(
    st.characters(min_codepoint=0x21, exclude_categories=("Cs", "Zs", "Zl", "Zp", "Cc")),
    min_size=1,
    max_size=20,
)


@given(shapes, st.booleans(), st.data(), st.none() | keys)
def test_what_is_written_is_what_is_read(
    shape: tuple[int, ...], raw: bool, data: st.DataObject, key: str | None
) -> None:
    """Every dtype, every shape, any name in the records."""
    dtype = data.draw(st.sampled_from(RAW_DTYPES if raw else DTYPES))
    text = f"{'raw:' if raw else ''}{dtype}[{','.join(map(str, shape))}]"
    text += f" from {key}" if key else ""
    assert parse_feature("inputs", text) == Feature(key or "inputs", dtype, shape, raw)


@given(st.text(max_size=30) | st.text("raw:flot32[],64 m", max_size=20))
def test_any_text_is_a_feature_or_gets_a_sentence(text: str) -> None:
    """A ValueError and nothing else, and never a shape without elements."""
    try:
        feature = parse_feature("x", text)
    except ValueError:
        return
    assert 0 < feature.size < 2**31


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("float32", "expected a dtype and a shape"),
        ("float32[None]", "expected a dtype and a shape"),
        ("float32[2,]", "expected a dtype and a shape"),
        ("float32[2] from ", "expected a dtype and a shape"),
        ("float32[-1]", "expected a dtype and a shape"),
        ("float64[2]", "'float64' is no dtype here; choose from float32, int64, string"),
        ("raw:string[2]", "'string' is no dtype here; choose from uint8"),
        ("float32[0]", "each dimension must be at least 1"),
        ("float32[99999,99999]", "less than 2**31"),
    ],
)
def test_a_mistake_gets_a_sentence(text: str, message: str) -> None:
    """It lists what there is, or shows an example."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - its text is compared
        parse_feature("inputs", text)
    assert message in str(error.value)


def test_spaces_are_nobodys_concern() -> None:
    """Where TOML's writers like them, and within a name in the records."""
    feature = Feature("my image", "float32", (2, 3))
    assert parse_feature("inputs", "float32[ 2, 3 ] from my image") == feature


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        *((name, True) for name in ("inputs", "labels", "inputs.a", "labels.a/b", "sample_weight")),
        *((name, False) for name in ("x", "", "inputs.", "input", "sample_weight.a", "labels\n")),
    ],
)
def test_arrays_are_named_as_in_an_npz(name: str, fits: bool) -> None:
    """In its long form."""
    assert is_feature_name(name) is fits
