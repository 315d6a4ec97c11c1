"""Small models of every kind, made with Keras 3 or tf-keras: a model, and inputs for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.helpers import models
from tests.helpers.wild import features, sequences
from tests.helpers.wild.making import integers, numbers, of_policy, through

if TYPE_CHECKING:
    from collections.abc import Callable


def dense(keras: Any) -> Any:
    """The plainest of all."""
    return keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)]), numbers(4, 3)


def batch_normalised(keras: Any) -> Any:
    """Moving averages and dropout."""
    layers = keras.layers
    rows = [layers.Dense(5), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2)]
    return through(keras, numbers(4, 3), *rows)


def convolutional(keras: Any) -> Any:
    """Images."""
    layers = keras.layers
    return through(
        keras,
        numbers(2, 8, 8, 3),
        layers.Conv2D(4, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(6.0),
        layers.MaxPooling2D(),
        layers.DepthwiseConv2D(3),
        layers.SeparableConv2D(3, 2),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2, activation="softmax"),
    )


def sound(keras: Any) -> Any:
    """Causal and dilated convolutions of one dimension."""
    layers = keras.layers
    return through(
        keras,
        numbers(2, 12, 2),
        layers.ZeroPadding1D(2),
        layers.Conv1D(3, 2, padding="causal", dilation_rate=2, activation="elu"),
        layers.AveragePooling1D(2),
        layers.Conv1DTranspose(2, 3),
        layers.Cropping1D(1),
        layers.GlobalMaxPooling1D(),
    )


def decoder(keras: Any) -> Any:
    """Transposed convolutions and upsampling."""
    layers = keras.layers
    return through(
        keras,
        numbers(2, 4, 4, 2),
        layers.Conv2DTranspose(3, 3, strides=2, padding="same"),
        layers.UpSampling2D(interpolation="bilinear"),
        layers.LeakyReLU(),
        layers.Cropping2D(1),
        layers.Permute((3, 1, 2)),
        layers.Reshape((-1,)),
    )


def volumes(keras: Any) -> Any:
    """Convolutions of three dimensions."""
    layers = keras.layers
    return through(
        keras, numbers(1, 5, 5, 5, 1), layers.Conv3D(2, 3), layers.MaxPooling3D(), layers.Flatten()
    )


def several(keras: Any) -> Any:
    """Inputs and outputs by name."""
    return models.functional(keras), {"left": models.batch(), "right": models.batch(1)}


def in_order(keras: Any) -> Any:
    """Inputs and outputs in order, of several types."""
    layers = keras.layers
    a, b = layers.Input((3,), name="zebra"), layers.Input((2,), dtype="int32", name="ant")
    h = layers.Concatenate()([layers.Dense(2)(a), layers.Flatten()(layers.Embedding(5, 2)(b))])
    return keras.Model([a, b], [layers.Dense(1)(h), h]), [numbers(4, 3), integers(4, 2, below=5)]


def siamese(keras: Any) -> Any:
    """One layer, used twice."""
    layers = keras.layers
    tower = keras.Sequential([layers.Input((3,)), layers.Dense(4, name="shared")], name="tower")
    a, b = layers.Input((3,), name="a"), layers.Input((3,), name="b")
    return (
        keras.Model([a, b], layers.Dot(-1)([tower(a), tower(b)])),
        [numbers(4, 3), numbers(4, 3) * 2],
    )


def nested(keras: Any) -> Any:
    """Models within models within models, with layers of the same name."""
    layers = keras.layers

    def block(depth: int) -> Any:
        inner = [block(depth - 1)] if depth else [layers.Dense(3, name="same")]
        return keras.Sequential([layers.Input((3,)), *inner], name=f"depth_{depth}")

    x = layers.Input((3,))
    return keras.Model(x, layers.Dense(1, name="same")(block(3)(x))), numbers(4, 3)


def merged(keras: Any) -> Any:
    """Every way to merge."""
    layers = keras.layers
    x = layers.Input((3,))
    a, b = layers.Dense(3)(x), layers.Dense(3)(x)
    names = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"]
    rows = [getattr(layers, name)()([a, b]) for name in names]
    return keras.Model(x, layers.Concatenate()(rows)), numbers(4, 3)


def activated(keras: Any) -> Any:
    """Every activation layer."""
    layers = keras.layers
    rows = [layers.PReLU(), layers.ELU(), layers.LeakyReLU(), layers.Softmax(), layers.ReLU(1.0)]
    names = ["selu", "softplus", "swish", "tanh", "hard_sigmoid", "exponential", "softsign"]
    return through(keras, numbers(4, 3), *rows, *(layers.Activation(n) for n in names))


def constrained(keras: Any) -> Any:
    """Initializers, regularizers and constraints."""
    layers = keras.layers
    layer = layers.Dense(
        3,
        kernel_initializer=keras.initializers.Orthogonal(0.5),
        bias_initializer=keras.initializers.Constant(0.25),
        kernel_regularizer=keras.regularizers.L1L2(1e-3, 1e-2),
        bias_regularizer="l2",
        activity_regularizer=keras.regularizers.L2(1e-3),
        kernel_constraint=keras.constraints.MaxNorm(2.0),
        bias_constraint="non_neg",
    )
    return through(keras, numbers(4, 3), layer)


def frozen(keras: Any) -> Any:
    """Layers that are not trained, in part."""
    model, inputs = batch_normalised(keras)
    model.layers[0].trainable = False
    return model, inputs


def weightless(keras: Any) -> Any:
    """Nothing to store at all."""
    return through(keras, numbers(4, 2, 3), keras.layers.Flatten())


def augmented(keras: Any) -> Any:
    """Images, changed by chance while training alone."""
    layers = keras.layers
    return through(
        keras,
        numbers(2, 8, 8, 3, low=0.0) * 255,
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.RandomFlip(),
        layers.RandomRotation(0.1),
        layers.RandomContrast(0.1),
        layers.Resizing(6, 6),
        layers.CenterCrop(4, 4),
    )


def noisy(keras: Any) -> Any:
    """Noise that is there while training alone."""
    layers = keras.layers
    rows = [layers.GaussianNoise(1.0), layers.GaussianDropout(0.5), layers.AlphaDropout(0.5)]
    return through(keras, numbers(4, 5, 3), *rows, layers.SpatialDropout1D(0.5), layers.Dense(1))


def norms(keras: Any) -> Any:
    """Every other normalisation."""
    layers = keras.layers
    rows = [layers.GroupNormalization(2), layers.UnitNormalization()]
    if keras.__name__ == "keras":  # tf-keras 2.21 refuses it: it takes its InputSpec from elsewhere
        rows.append(layers.SpectralNormalization(layers.Dense(4)))
    return through(keras, numbers(2, 4, 4), *rows)


def einsum(keras: Any) -> Any:
    """An equation."""
    layer = keras.layers.EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d")
    return through(keras, numbers(2, 4, 3), layer)


def deep(keras: Any) -> Any:
    """A hundred layers with long names: more than one attribute of an HDF5 file can hold."""
    layers = keras.layers
    rows = [layers.Dense(2, name=f"{i:04d}_" + "long" * 180) for i in range(100)]
    return through(keras, numbers(2, 2), *rows)


def named_oddly(keras: Any) -> Any:
    """Names that are no identifiers, as far as TensorFlow takes them."""
    layers = keras.layers
    rows = [layers.Dense(2, name=name) for name in ("A.b", "under_score_", "x" * 200, "dash-ed")]
    return through(keras, numbers(2, 2), *rows)


def open_sizes(keras: Any) -> Any:
    """Images of any size."""
    layers = keras.layers
    x = layers.Input((None, None, 3))
    h = layers.GlobalMaxPooling2D()(layers.Conv2D(2, 3, padding="same")(x))
    return keras.Model(x, layers.Dense(2)(h)), numbers(2, 9, 7, 3)


def open_sequence(keras: Any) -> Any:
    """Sequences of any length."""
    layers = keras.layers
    x = layers.Input((None,), dtype="int32")
    return keras.Model(x, layers.LSTM(2)(layers.Embedding(9, 3)(x))), integers(3, 5, below=9)


def with_state(keras: Any) -> Any:
    """An encoder that gives its state away."""
    layers = keras.layers
    x = layers.Input((4, 3))
    return keras.Model(x, layers.LSTM(2, return_state=True, return_sequences=True)(x)), numbers(
        2, 4, 3
    )


def mobile(keras: Any) -> Any:
    """An application of Keras's own, without its weights from the net."""
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=5)
    return model, numbers(2, 32, 32, 3)


@dataclass(frozen=True)
class Kind:
    """A kind of model; `without` names what it cannot be saved as, such as `h5` or `2.keras`."""

    said: str
    make: Callable[[Any], Any]
    without: frozenset[str] = frozenset()


KINDS = (
    Kind("one dense layer", dense),
    Kind("batch normalisation and dropout", batch_normalised),
    Kind("convolutions of images", convolutional),
    Kind("causal convolutions of sound", sound),
    Kind("transposed convolutions", decoder),
    Kind("convolutions of volumes", volumes),
    Kind("a masked embedding and an LSTM", sequences.lstm),
    Kind("a GRU from sequence to sequence", sequences.gru),
    Kind("layers in both directions", sequences.bidirectional),
    Kind("stacked recurrent cells", sequences.cells),
    Kind("a convolutional LSTM", sequences.films),
    Kind("a stateful LSTM", sequences.stateful),
    Kind("a block of a transformer", sequences.transformer),
    Kind("attention with weights", sequences.attention),
    Kind("inputs and outputs by name", several),
    Kind("inputs and outputs in order", in_order),
    Kind("a shared layer", siamese),
    Kind("models nested four deep", nested),
    Kind("every merge", merged),
    Kind("every activation", activated),
    Kind("regularizers and constraints", constrained),
    Kind("frozen layers", frozen),
    Kind("no weights at all", weightless),
    Kind("a vocabulary of strings", features.words_by_lookup),
    Kind("adapted text vectorisation", features.words_adapted),
    Kind("text to tf-idf", features.words_weighted),
    Kind("a vocabulary of whole numbers", features.integers_by_lookup),
    Kind("hashed and encoded categories", features.categories),
    Kind("crossed features", features.crossed),
    Kind("adapted normalisation and buckets", features.normalised),
    Kind("augmentation of images", augmented),
    Kind("noise while training", noisy),
    Kind("group, unit and spectral normalisation", norms),
    Kind("an equation", einsum),
    Kind("mixed float16", of_policy("mixed_float16")),
    Kind("mixed bfloat16", of_policy("mixed_bfloat16")),
    Kind("float64", of_policy("float64")),
    Kind("float16 throughout", of_policy("float16")),
    Kind("bfloat16 throughout", of_policy("bfloat16")),
    Kind("a hundred layers with long names", deep),
    Kind("names that are no identifiers", named_oddly),
    Kind("images of any size", open_sizes),
    Kind("sequences of any length", open_sequence),
    Kind("a state given away", with_state),
    Kind("an application of Keras", mobile),
)
