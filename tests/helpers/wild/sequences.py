"""Models of Keras that read sequences: recurrent ones, attention, transformers."""

from __future__ import annotations

from typing import Any

from tests.helpers.wild.making import integers, numbers, through


def lstm(keras: Any) -> Any:
    """Words, masked, through an LSTM."""
    layers = keras.layers
    return through(
        keras,
        integers(4, 6, below=9),
        layers.Embedding(9, 4, mask_zero=True),
        layers.LSTM(3),
        layers.Dense(1),
    )


def gru(keras: Any) -> Any:
    """A sequence to a sequence."""
    layers = keras.layers
    return through(
        keras,
        numbers(2, 5, 3),
        layers.Masking(),
        layers.GRU(4, return_sequences=True, recurrent_dropout=0.1),
        layers.TimeDistributed(layers.Dense(2)),
    )


def bidirectional(keras: Any) -> Any:
    """Two directions, joined in two ways."""
    layers = keras.layers
    return through(
        keras,
        numbers(2, 5, 3),
        layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
        layers.Bidirectional(layers.GRU(2), merge_mode="sum"),
    )


def cells(keras: Any) -> Any:
    """Several cells in one layer."""
    layers = keras.layers
    stacked = layers.StackedRNNCells(
        [layers.LSTMCell(3), layers.GRUCell(2), layers.SimpleRNNCell(2)]
    )
    return through(keras, numbers(2, 5, 3), layers.RNN(stacked, go_backwards=True))


def films(keras: Any) -> Any:
    """Convolutions in an LSTM."""
    return through(keras, numbers(1, 3, 5, 5, 1), keras.layers.ConvLSTM2D(2, 3))


def stateful(keras: Any) -> Any:
    """An LSTM that goes on where it was, so that a run changes it."""
    layers = keras.layers
    head = layers.Input(batch_shape=(2, 4, 3))
    return keras.Sequential([head, layers.LSTM(3, stateful=True)]), numbers(2, 4, 3)


def transformer(keras: Any) -> Any:
    """A block of a transformer."""
    layers = keras.layers
    x = layers.Input((6,), dtype="int32")
    h = layers.Embedding(11, 8)(x)
    a = layers.MultiHeadAttention(2, 4, dropout=0.1)(h, h)
    h = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([h, a]))
    f = layers.Dense(8, activation="gelu")(h)
    h = layers.LayerNormalization()(layers.Add()([h, f]))
    return keras.Model(x, layers.Dense(3)(h)), integers(2, 6, below=11)


def attention(keras: Any) -> Any:
    """Attention in its older forms."""
    layers = keras.layers
    x = layers.Input((4, 3))
    both = [layers.Attention(use_scale=True)([x, x]), layers.AdditiveAttention()([x, x])]
    return keras.Model(x, layers.Concatenate()(both)), numbers(2, 4, 3)
