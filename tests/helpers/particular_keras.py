"""Good Keras models that are particular about what they take; see `tests.helpers.particular`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable

layers, ops = keras.layers, keras.ops
KERAS: dict[str, Callable[[], Any]] = {}


def functional(maker: Callable[[], Any]) -> Callable[[], Any]:
    """Register a function that makes a Keras model."""
    KERAS[maker.__name__] = maker
    return maker


@functional
def masked_mean() -> Any:
    """Zeros are padding, and the mean of nothing is no number."""
    i = keras.Input((4,), dtype="int32")
    e = layers.Embedding(9, 3, mask_zero=True)(i)
    return keras.Model(i, layers.GlobalAveragePooling1D()(e))


@functional
def whole_numbers_of_a_vocabulary() -> Any:
    """Numbers outside of the vocabulary are refused."""
    i = keras.Input((1,), dtype="int64")
    return keras.Model(i, layers.IntegerLookup(vocabulary=[57, 66], num_oov_indices=0)(i))


@functional
def words_of_a_vocabulary() -> Any:
    """Words outside of the vocabulary are refused."""
    i = keras.Input((1,), dtype="string")
    return keras.Model(i, layers.StringLookup(vocabulary=["a", "b"], num_oov_indices=0)(i))


@functional
def vectorised_text() -> Any:
    """Text through a vocabulary and an embedding."""
    i = keras.Input((1,), dtype="string")
    ids = layers.TextVectorization(vocabulary=["good", "bad"], output_sequence_length=5)(i)
    return keras.Model(i, layers.GlobalAveragePooling1D()(layers.Embedding(6, 2)(ids)))


@functional
def hashed_words() -> Any:
    """Words in bins, one-hot."""
    i = keras.Input((1,), dtype="string")
    return keras.Model(i, layers.CategoryEncoding(5)(layers.Hashing(5)(i)))


@functional
def words_and_positions() -> Any:
    """Attention with a table of at most sixteen positions."""
    i = keras.Input((None,), dtype="int32")
    positions = ops.cumsum(ops.ones_like(i), axis=1) - 1
    x = layers.Embedding(20, 8)(i) + layers.Embedding(16, 8)(positions)
    return keras.Model(i, layers.Dense(2)(layers.MultiHeadAttention(2, 4)(x, x)))


@functional
def pictures_of_any_size() -> Any:
    """A U-Net whose sizes have to be multiples of 32."""
    i = keras.Input((None, None, 3))
    x, kept = i, []
    for _ in range(5):
        kept.append(x)
        x = layers.Conv2D(2, 3, strides=2, padding="same")(x)
    for skip in reversed(kept):
        x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
    return keras.Model(i, layers.Conv2D(1, 1)(x))


@functional
def sound_of_any_length() -> Any:
    """Frames of 1024 samples: shorter ones give nothing to convolve."""
    i = keras.Input((None, 1))
    x = layers.Conv1D(4, 1024, strides=512)(i)
    return keras.Model(i, layers.Conv1D(2, 4)(x))


@functional
def steps_with_a_mask() -> Any:
    """A recurrent model that is told which steps count."""
    i, m = keras.Input((None, 3), name="steps"), keras.Input((None,), dtype="bool", name="mask")
    return keras.Model([i, m], layers.GRU(4)(i, mask=m))


@functional
def inputs_by_name() -> Any:
    """A dict of inputs of several kinds."""
    given = {
        "age": keras.Input((1,), name="age"),
        "job": keras.Input((1,), dtype="string", name="job"),
        "city": keras.Input((1,), dtype="int64", name="city"),
    }
    jobs = layers.StringLookup(vocabulary=["cook"], num_oov_indices=0, output_mode="one_hot")
    city = layers.Flatten()(layers.Embedding(7, 2)(given["city"]))
    both = layers.Concatenate()([given["age"], jobs(given["job"]), city])
    return keras.Model(given, layers.Dense(1)(both))


@functional
def logarithm() -> Any:
    """What is not above 0 has none."""
    i = keras.Input((3,))
    return keras.Model(i, ops.log(ops.sum(i, axis=1) - 2.5))


@functional
def square_root_of_a_difference() -> Any:
    """Two inputs in the wrong order give NaN."""
    a, b = keras.Input((1,), name="a"), keras.Input((1,), name="b")
    return keras.Model([a, b], ops.sqrt(a - b + 1e-3) / (ops.abs(a) + 1e-6))


@functional
def pairs_of_ids() -> Any:
    """Two ids, each with a table of its own size."""
    u, i = keras.Input((), dtype="int32", name="user"), keras.Input((), dtype="int64", name="item")
    product = layers.Dot(1)([layers.Embedding(3, 4)(u), layers.Embedding(2, 4)(i)])
    return keras.Model([u, i], product)


@functional
def features_of_a_table() -> Any:
    """A FeatureSpace without places for what is not in the vocabulary."""
    kinds = keras.utils.FeatureSpace
    space = kinds(
        {
            "age": kinds.float_normalized(),
            "job": kinds.string_categorical(num_oov_indices=0),
            "house": kinds.integer_categorical(num_oov_indices=0),
        }
    )
    columns = {"age": [1.0, 2.0], "job": ["a", "b"], "house": [33, 44]}
    space.adapt(tf.data.Dataset.from_tensor_slices(columns))
    return keras.Model(space.get_inputs(), layers.Dense(1)(space.get_encoded_features()))


@functional
def from_sequence_to_sequence() -> Any:
    """Two rows of words, masked and causal."""
    a, b = (keras.Input((None,), dtype="int64", name=name) for name in ("source", "target"))
    words = layers.Embedding(12, 8, mask_zero=True)
    y = layers.MultiHeadAttention(2, 4)(words(b), words(b), use_causal_mask=True)
    return keras.Model([a, b], layers.Dense(12)(layers.MultiHeadAttention(2, 4)(y, words(a))))


@functional
def adapted_statistics() -> Any:
    """Numbers are centred first."""
    layer = layers.Normalization()
    layer.adapt(np.arange(12.0).reshape(4, 3))
    i = keras.Input((3,))
    return keras.Model(i, layers.Dense(1)(layer(i)))
