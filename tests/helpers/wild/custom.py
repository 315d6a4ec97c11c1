"""A user's own layers, models, losses and metrics: what the verifier finds through its settings.

The load child imports them from `custom_keras` and `custom_tf_keras`.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def classes(keras: Any) -> dict[str, Any]:
    """The user's classes and functions by name, for either Keras."""
    made = (scale(keras), net(keras), dropping(keras), rows(keras), wild_loss, swoosh)
    return {**{one.__name__: one for one in made}, "Unbuilt": unbuilt(keras)}


def scale(keras: Any) -> Any:
    """Make the class of a layer with odd weights."""

    @keras.utils.register_keras_serializable(package="wild")
    class Scale(keras.layers.Layer):
        """A scalar weight, an empty one, and an argument."""

        def __init__(self, start: float = 2.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.start = start

        def build(self, _: Any) -> None:
            """Make the weights."""
            begin = keras.initializers.Constant(self.start)
            self.scale = self.add_weight(name="scale", shape=(), initializer=begin)
            self.nothing = self.add_weight(name="nothing", shape=(0, 3), initializer="zeros")
            self.calls = self.add_weight(
                name="calls", shape=(), dtype="int32", initializer="zeros", trainable=False
            )
            self.built = True

        def call(self, inputs: Any) -> Any:
            """Scale, and count."""
            self.calls.assign(self.calls + 1)
            return inputs * self.scale

        def get_config(self) -> dict[str, Any]:
            """The argument."""
            return {**super().get_config(), "start": self.start}

    return Scale


def net(keras: Any) -> Any:
    """Make the class of a model in code."""

    @keras.utils.register_keras_serializable(package="wild")
    class Net(keras.Model):
        """Two layers, in code."""

        def __init__(self, units: int = 3, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.hidden = keras.layers.Dense(units, activation="relu")
            self.out = keras.layers.Dense(2)
            self.norm = keras.layers.BatchNormalization()

        def call(self, inputs: Any, training: bool = False) -> Any:
            """Run forward."""
            value = self.norm(self.out(self.hidden(inputs)))
            return {"score": value, "state": (value * 2, [value + 1])} if self.units == 4 else value

        def get_config(self) -> dict[str, Any]:
            """The argument."""
            return {**super().get_config(), "units": self.units}

        def build(self, shape: Any) -> None:
            """Build the layers, so that they can be filled when it is loaded."""
            self.hidden.build(shape)
            self.out.build((None, self.units))
            self.norm.build((None, 2))
            self.built = True

    return Net


def dropping(keras: Any) -> Any:
    """Make the class of a layer that is random."""

    class Dropping(keras.layers.Layer):
        """Dropout that is never off, from TensorFlow's own random numbers."""

        def call(self, inputs: Any) -> Any:
            """Drop."""
            import tensorflow as tf

            return tf.nn.dropout(inputs, 0.5)

    return Dropping


def rows(keras: Any) -> Any:
    """Make the class of a model of ragged and string inputs."""

    class Rows(keras.Model):
        """Takes rows of different lengths, and words, by name."""

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.out = keras.layers.Dense(2)
            self.words = keras.layers.StringLookup(vocabulary=["cat", "dog"])

        def build(self, *_: Any) -> None:
            """Build the layer: without, Keras 3 loads it with new weights and no word."""
            self.out.build((None, 5))
            self.built = True

        def call(self, inputs: Any) -> Any:
            """Sum the rows, look the words up, join."""
            import tensorflow as tf

            rows = inputs["rows"]
            if isinstance(rows, tf.RaggedTensor):
                rows = rows.to_tensor(shape=[None, 4])
            found = tf.cast(self.words(inputs["words"]), rows.dtype)
            return self.out(tf.concat([rows, found], 1))

    return Rows


def wild_loss(truth: Any, found: Any) -> Any:
    """A loss of its own."""
    return ((truth - found) ** 2) * 0.5


def swoosh(value: Any) -> Any:
    """An activation of its own."""
    return value * 0.5


def unbuilt(keras: Any) -> Any:
    """Make the class of the same model, without the `build` that people forget."""
    made = rows(keras)
    del made.build
    made.__name__ = made.__qualname__ = "Unbuilt"
    return made


ROWS = [[1.0, 2.0], [], [3.0, 4.0, 5.0]]
WORDS = np.array([["cat"], ["bird"], ["dog"]], object)
