"""First values that are not drawn: a model comes back as if they had been."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest

from checkpointd.core.format_specs import Format
from checkpointd.verify.load import first_values
from checkpointd.verify.load.loaders.keras import load_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")

_WIDTH = 256
"""A square of this width is large enough not to be drawn."""


def _model() -> Any:
    """A model whose large variables begin with each kind of random values, and an optimizer."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((16,), dtype="int32"),
            layers.Embedding(300, _WIDTH),
            layers.LSTM(_WIDTH, return_sequences=True),
            layers.Conv1D(_WIDTH, 3, kernel_initializer="he_normal"),
            layers.Dense(_WIDTH, kernel_initializer=keras.initializers.RandomNormal(seed=5)),
            layers.Dense(_WIDTH, kernel_initializer="truncated_normal"),
            layers.Dense(2),
        ]
    )
    model.compile("adam", loss=keras.losses.MeanSquaredError())
    model.train_on_batch(np.ones((2, 16), "int32"), np.ones((2, 14, 2), "float32"))
    return model


def _values(model: Any) -> list[Any]:
    return [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


def _same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_what_is_stored_comes_back_as_it_is_without(tmp_path: Path, name: str) -> None:
    """Every variable of model and optimizer is the stored one, and most were never drawn."""
    saved = _model()
    path = tmp_path / name
    saved.save(path)
    form = Format.KERAS if name.endswith(".keras") else Format.HDF5

    def load() -> Any:
        keras.utils.set_random_seed(1)  # for the seeds of the layers, which are not stored
        return load_model(str(path), form, keras, {}, False, compiled=True)

    with first_values.drawn_late() as replaced:
        model = load()
    assert len(replaced) >= 6
    assert _same(_values(model), _values(load()))
    assert _same([v.numpy() for v in model.weights], [v.numpy() for v in saved.weights])


def test_what_is_not_stored_gets_the_values_that_it_would_have_had() -> None:
    """A model that nothing is loaded into is the same, to the last bit, and may be trained."""
    keras.utils.set_random_seed(7)
    plain = _model()
    keras.utils.set_random_seed(7)
    with first_values.drawn_late() as replaced:
        layer = keras.layers.Dense(_WIDTH, name="taken")
        layer.build((None, _WIDTH))
        layer.kernel.assign(np.ones((_WIDTH, _WIDTH), "float32"))
        kept = keras.layers.Dense(_WIDTH)
        kept.build((None, _WIDTH))
    assert len(replaced) == 2
    assert np.array_equal(layer.kernel.numpy(), np.ones((_WIDTH, _WIDTH)))
    assert np.std(kept.kernel.numpy()) > 0
    keras.utils.set_random_seed(7)
    with first_values.drawn_late():
        late = keras.models.clone_model(plain)
    keras.utils.set_random_seed(7)
    drawn = keras.models.clone_model(plain)
    assert _same([v.numpy() for v in late.variables], [v.numpy() for v in drawn.variables])


def test_zeros_are_shared_until_one_is_written() -> None:
    """Variables that share their first zeros are variables of their own all the same."""
    shape = (_WIDTH, _WIDTH)
    with first_values.drawn_late() as replaced:
        one, other = (keras.Variable("zeros", shape=shape, dtype="float32") for _ in range(2))
    one.assign_add(np.ones(shape, "float32"))
    assert not replaced
    assert float(np.sum(one.numpy())) == _WIDTH**2
    assert not np.any(other.numpy())


def test_an_initializer_that_fails_still_fails() -> None:
    """A vector cannot be orthogonal, whether it is needed or not."""
    with first_values.drawn_late(), pytest.raises(ValueError, match="at least two-dimensional"):
        keras.Variable(keras.initializers.Orthogonal(), shape=(_WIDTH**2,), dtype="float32")


def test_a_seed_that_goes_on_is_drawn_from_in_its_order() -> None:
    """An initializer with a generator draws at once: what comes next depends on it."""
    shape = (_WIDTH, _WIDTH)
    generator = keras.random.SeedGenerator(3)
    with first_values.drawn_late() as replaced:
        keras.Variable(keras.initializers.RandomNormal(seed=generator), shape=shape)
    assert not replaced
    assert int(generator.state.numpy()[1]) > 0


def test_not_even_one_value_is_drawn_where_no_configuration_can_be_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A seed that TensorFlow does not take fails as it does without."""
    layer = keras.layers.Dense(_WIDTH, kernel_initializer=keras.initializers.HeNormal(seed=1 << 70))
    with first_values.drawn_late(), pytest.raises(ValueError, match="out-of-range"):
        layer.build((None, _WIDTH))
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", pytest.fail)
    layer = keras.layers.Dense(_WIDTH)
    with first_values.drawn_late() as replaced:
        layer.build((None, _WIDTH))
        layer.kernel.assign(np.ones((_WIDTH, _WIDTH), "float32"))
    assert len(replaced) == 1
