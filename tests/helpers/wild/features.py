"""Small models that begin with words, categories or numbers of any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.helpers.wild.making import WORDS, numbers, through


def words_by_lookup(keras: Any) -> Any:
    """A vocabulary of strings."""
    layers = keras.layers
    lookup = layers.StringLookup(vocabulary=["a cat sat", "a dog", "ünïcode ☃", ""])
    x = layers.Input((1,), dtype="string")
    return keras.Model(x, layers.Embedding(7, 2)(lookup(x))), WORDS


def words_adapted(keras: Any) -> Any:
    """Text, cut into words, adapted to what it has seen."""
    layers = keras.layers
    vectors = layers.TextVectorization(max_tokens=12, output_sequence_length=5)
    vectors.adapt(WORDS[:, 0].astype(str))
    x = layers.Input((1,), dtype="string")
    h = layers.GlobalAveragePooling1D()(layers.Embedding(12, 3)(vectors(x)))
    return keras.Model(x, layers.Dense(1)(h)), WORDS


def words_weighted(keras: Any) -> Any:
    """Text to tf-idf, pairs of words too."""
    layers = keras.layers
    vectors = layers.TextVectorization(output_mode="tf_idf", ngrams=2, max_tokens=9)
    vectors.adapt(WORDS[:, 0].astype(str))
    x = layers.Input((1,), dtype="string")
    return keras.Model(x, layers.Dense(1)(vectors(x))), WORDS


def integers_by_lookup(keras: Any) -> Any:
    """A vocabulary of whole numbers, many-hot."""
    layers = keras.layers
    lookup = layers.IntegerLookup(
        vocabulary=[10, 20, 30], output_mode="multi_hot", num_oov_indices=2
    )
    x = layers.Input((2,), dtype="int64")
    return keras.Model(x, lookup(x)), np.array([[10, 99], [20, 30]], np.int64)


def categories(keras: Any) -> Any:
    """Hashing, crossing, encoding."""
    layers = keras.layers
    a, b = layers.Input((1,), dtype="string", name="a"), layers.Input((1,), dtype="int64", name="b")
    hashed = layers.Hashing(4, salt=7)(b)
    encoded = layers.CategoryEncoding(4, output_mode="one_hot")(hashed)
    named = layers.StringLookup(vocabulary=["x", "y"], output_mode="one_hot")(a)
    inputs = {"a": np.array([["x"], ["z"]], object), "b": np.array([[5], [6]], np.int64)}
    return keras.Model({"a": a, "b": b}, layers.Concatenate()([encoded, named])), inputs


def crossed(keras: Any) -> Any:
    """Two features crossed."""
    layers = keras.layers
    a, b = (
        layers.Input((1,), dtype="string", name="a"),
        layers.Input((1,), dtype="string", name="b"),
    )
    inputs = [np.array([["x"], ["z"]], object), np.array([["y"], [""]], object)]
    kind = (
        getattr(layers, "HashedCrossing", None) or layers.experimental.preprocessing.HashedCrossing
    )
    return keras.Model([a, b], kind(5, output_mode="one_hot")((a, b))), inputs


def normalised(keras: Any) -> Any:
    """Statistics of the data, and buckets."""
    layers = keras.layers
    norm = layers.Normalization()
    norm.adapt(numbers(16, 3))
    return through(keras, numbers(4, 3), norm, layers.Discretization([-1.0, 0.0, 1.0]))
