"""Golden records from another device, backend or precision: noise is explained, damage is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd import golden
from checkpointd.core.check_result import Outcome
from checkpointd.core.format_specs import Format
from checkpointd.training import save
from tests.helpers.load import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning")]

RNG = np.random.default_rng(5)
INPUTS = RNG.normal(size=(4, 12)).astype("float32")
IMAGES = RNG.normal(size=(2, 16, 16, 3)).astype("float32")
TF32, BFLOAT16 = 13, 16
"""The bits of a float32 that a type leaves out."""


def rounded(values: Any, bits: int) -> Any:
    """Round to a type with so many bits less."""
    whole = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    whole = (whole + (1 << (bits - 1))) >> bits << bits
    return whole.astype(np.uint32).view(np.float32)


def deep() -> Any:
    """Fifty layers, and a thousand classes of small probabilities."""
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((12,))
    x = keras.layers.Dense(24)(inputs)
    for _ in range(24):
        y = keras.layers.LayerNormalization()(x)
        y = keras.layers.Dense(24)(keras.layers.Dense(24, activation="gelu")(y))
        x = keras.layers.Add()([x, y])
    return keras.Model(inputs, keras.layers.Dense(1000, activation="softmax")(x))


def plain() -> Any:
    """Layers without normalisation, whose outputs become tiny."""
    import keras

    keras.utils.set_random_seed(2)
    layers = [keras.layers.Dense(16, activation="tanh") for _ in range(8)]
    return keras.Sequential([keras.Input((12,)), *layers, keras.layers.Dense(3)])


def convolutions() -> Any:
    """A classifier of images."""
    import keras

    keras.utils.set_random_seed(3)
    parts = [
        layer
        for filters in (8, 16, 16)
        for layer in (
            keras.layers.Conv2D(filters, 3, padding="same"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
        )
    ]
    pooled = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input((16, 16, 3)), *parts, pooled, keras.layers.Dense(5)])


def recurrent() -> Any:
    """Two recurrent layers over many steps."""
    import keras

    keras.utils.set_random_seed(4)
    reshape = keras.layers.Reshape((12, 1))
    gru, lstm = keras.layers.GRU(8, return_sequences=True), keras.layers.LSTM(8)
    return keras.Sequential([keras.Input((12,)), reshape, gru, lstm, keras.layers.Dense(2)])


MODELS: dict[str, Callable[[], Any]] = {
    "deep": deep,
    "plain": plain,
    "convolutions": convolutions,
    "recurrent": recurrent,
}


def batch(name: str) -> Any:
    """Golden inputs for one of the models."""
    return IMAGES if name == "convolutions" else INPUTS


def recorded_elsewhere(
    model: Any,
    path: Path,
    inputs: Any,
    change: Callable[[list[Any]], list[Any]],
    **environment: str,
) -> str:
    """Save a model, and a record whose outputs come from changed weights, on another device."""
    saved = save(model, path, golden=inputs)
    place = golden.path_for(saved, Format.KERAS)
    record = golden.read(place)
    model.set_weights(change(model.get_weights()))
    record.outputs["output"][:] = np.asarray(model(inputs, training=False))
    record.environment.update({"device": "gpu", "accelerator": "NVIDIA H100", **environment})
    golden.write(place, record)
    return saved


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("precision", "bits"), [("tf32", TF32), ("bfloat16", BFLOAT16)])
def test_rounding_in_the_recorded_precision_is_explained(
    tmp_path: Path, name: str, precision: str, bits: int
) -> None:
    """Of any architecture, depth and scale: predicts is shown, with the noise that was found."""
    path = recorded_elsewhere(
        MODELS[name](),
        tmp_path / "m.keras",
        batch(name),
        lambda weights: [rounded(w, bits) for w in weights],
        precision=precision,
        policy="mixed_bfloat16" if precision == "bfloat16" else "float32",
    )
    result = load(path, "keras")[0]["predictions"]
    assert result.outcome is Outcome.PASS, result.message
    assert "device gpu (NVIDIA H100), here cpu" in result.message or "Equal to" in result.message
    if "elsewhere" in result.message:
        assert "expected noise" in result.message
        assert ", found" in result.message


def other_weights(weights: list[Any]) -> list[Any]:
    """Of the same model, from another run."""
    rng = np.random.default_rng(9)
    return [rng.permutation(w.reshape(-1)).reshape(w.shape) for w in weights]


def one_kernel_zeroed(weights: list[Any]) -> list[Any]:
    """The largest is lost."""
    largest = max(range(len(weights)), key=lambda i: weights[i].size)
    return [w * (i != largest) for i, w in enumerate(weights)]


def kernels_swapped(weights: list[Any]) -> list[Any]:
    """Two of the same shape change places."""
    pairs = [
        (i, j)
        for i, a in enumerate(weights)
        for j, b in enumerate(weights)
        if i < j and a.ndim > 1 and a.shape == b.shape
    ]
    first, second = pairs[0]
    changed = list(weights)
    changed[first], changed[second] = weights[second], weights[first]
    return changed


@pytest.mark.parametrize("name", ["plain", "convolutions"])
@pytest.mark.parametrize("change", [other_weights, one_kernel_zeroed, kernels_swapped])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_another_model_is_not_explained_by_rounding(
    tmp_path: Path, name: str, change: Callable[[list[Any]], list[Any]], policy: str
) -> None:
    """Other weights, lost ones, swapped ones: inconclusive, and how far beyond the noise."""
    if name == "convolutions" and change is kernels_swapped:
        change = other_weights
    path = recorded_elsewhere(
        MODELS[name](), tmp_path / "m.keras", batch(name), change, precision="tf32", policy=policy
    )
    result = load(path, "keras")[0]["predictions"]
    assert result.reason == "predictions.environment_differs", result.message
    assert "times as much" in result.message
    assert result.details["noise"][0]["found"] > result.details["noise"][0]["allowed"]


def test_weights_are_as_they_were_after_they_were_moved(tmp_path: Path) -> None:
    """The noise of the model itself is measured by moving its weights; what follows sees none."""
    seen: list[Any] = []
    from checkpointd.verify.load import other_environment

    path = recorded_elsewhere(
        plain(), tmp_path / "m.keras", INPUTS, other_weights, precision="tf32"
    )
    expected = plain().get_weights()
    original = other_environment.judge

    def watched(loaded: Any, *rest: Any) -> Any:
        result = original(loaded, *rest)
        seen.extend(loaded.model.get_weights())
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(other_environment, "judge", watched)
        load(path, "keras")
    assert all(np.array_equal(a, b) for a, b in zip(seen, expected, strict=True))


def test_the_users_own_tolerances_come_first(tmp_path: Path) -> None:
    """With cross_atol or cross_rtol set, nothing else decides."""
    path = recorded_elsewhere(
        plain(), tmp_path / "m.keras", INPUTS, other_weights, precision="tf32"
    )
    wide = load(path, "keras", cross_atol=100.0)[0]["predictions"]
    assert wide.outcome is Outcome.PASS
    assert "within cross_atol and cross_rtol" in wide.message
    narrow = load(path, "keras", cross_rtol=1e-7)[0]["predictions"]
    assert narrow.reason == "predictions.environment_differs"
    assert "than cross_atol and cross_rtol allow" in narrow.message


def test_a_record_of_another_policy_is_held_to_the_coarser_one(tmp_path: Path) -> None:
    """A job in mixed_bfloat16, and a builder that sets no policy."""
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        path = save(plain(), tmp_path / "m.weights.h5", golden=INPUTS)
    finally:
        keras.config.set_dtype_policy("float32")
    settings = {
        "builder": "tests.integration.verify.load.test_other_environment:plain",
        "python_path": (str(tmp_path),),
        "atol": 0.0,
        "rtol": 0.0,
    }
    result = load(path, "hdf5_weights", **settings)[0]["predictions"]
    assert result.outcome is Outcome.PASS, result.message
    assert "policy mixed_bfloat16, here float32" in result.message or "Equal to" in result.message


def test_an_older_record_without_a_backend_is_read(tmp_path: Path) -> None:
    """It held TensorFlow's version, empty where there was none, and a device."""
    path = save(plain(), tmp_path / "m.keras", golden=INPUTS)
    place = golden.path_for(path, Format.KERAS)
    record = golden.read(place)
    for key in ("backend", "precision", "accelerator"):
        record.environment.pop(key, None)
    record.environment.update(tensorflow="", device="gpu")
    record.outputs["output"][:] *= 1.002
    golden.write(place, record)
    result = load(path, "keras")[0]["predictions"]
    assert result.outcome is Outcome.PASS, result.message
    assert "backend other than TensorFlow, here tensorflow 2." in result.message
    assert "rounding in tf32" in result.message
