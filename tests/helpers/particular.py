"""Good models that are particular about what they take: the zoo of `inference`.

Run as `python -m tests.helpers.particular DIRECTORY`. Each rightly refuses some inputs, or has no
number for some, and runs on others, or on nothing that can be made up.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

from tests.helpers.particular_keras import KERAS

if TYPE_CHECKING:
    from collections.abc import Callable

FLOAT, INT, TEXT = tf.float32, tf.int32, tf.string
SERVED: dict[str, tuple[tuple[Any, ...], Callable[..., Any]]] = {}

WEIGHTS = tf.Module()
WEIGHTS.table = tf.Variable(np.arange(30, dtype=np.float32).reshape(10, 3))
WEIGHTS.dense = tf.Variable(np.ones((4, 2), np.float32))
WORDS = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(["cat", "dog"], tf.constant([0, 1], tf.int64)), -1
)
WEIGHTS.words = WORDS


def served(*specs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that is exported as the signature of a SavedModel."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        SERVED[function.__name__] = (specs, function)
        return function

    return register


def spec(shape: Any, dtype: Any, name: str = "x") -> Any:
    """One argument of a signature."""
    return tf.TensorSpec(shape, dtype, name)


@served(spec([None, 4], FLOAT), spec([None, 2], INT, "legal"))
def policy(x: Any, legal: Any) -> Any:
    """Actions that are not legal have the logit -inf, by design."""
    return {"logits": tf.where(legal > 0, x @ WEIGHTS.dense, -np.inf)}


@served(spec([None], INT))
def rows_of_a_table(x: Any) -> Any:
    """Ids count from 1."""
    return {"y": tf.gather(WEIGHTS.table, x - 1)}


@served(spec([None, 2], FLOAT))
def asserts_a_range(x: Any) -> Any:
    """Temperatures in Kelvin."""
    with tf.control_dependencies(
        [tf.debugging.assert_greater(x, 200.0), tf.debugging.assert_less(x, 330.0)]
    ):
        return {"y": tf.identity(x)}


@served(spec([None], INT))
def asserts_whole_numbers(x: Any) -> Any:
    """Years."""
    tf.debugging.assert_greater_equal(tf.reduce_min(x), 1900)
    tf.debugging.assert_less_equal(tf.reduce_max(x), 2030)
    return {"y": tf.cast(x, FLOAT)}


@served(spec([None, 3], FLOAT))
def asserts_probabilities(x: Any) -> Any:
    """What sums to one."""
    total = tf.reduce_sum(x, 1)
    tf.debugging.assert_less(tf.abs(total - 1.0), 2.5)
    return {"y": tf.math.log(x)}


@served(spec([None], TEXT, "examples"))
def parsed_examples(examples: Any) -> Any:
    """A tf.Example with a number, a word of a table and an id of another."""
    io = tf.io
    read = io.parse_example(
        examples,
        {
            "age": io.FixedLenFeature([2], FLOAT),
            "animal": io.FixedLenFeature([], TEXT),
            "ids": io.VarLenFeature(tf.int64),
        },
    )
    which = WORDS.lookup(read["animal"])
    with tf.control_dependencies(
        [tf.debugging.assert_greater_equal(which, tf.constant(0, tf.int64))]
    ):
        rows = tf.gather(WEIGHTS.table, tf.sparse.to_dense(read["ids"]))
    return {"y": tf.reduce_sum(rows, [1, 2]) + read["age"][:, 0]}


@served(spec([None], TEXT, "examples"))
def parsed_pictures(examples: Any) -> Any:
    """An encoded image in a tf.Example, decoded one by one."""
    key = "image/encoded"
    read = tf.io.parse_example(examples, {key: tf.io.FixedLenFeature([], TEXT)})

    def decode(data: Any) -> Any:
        image = tf.io.decode_jpeg(data, channels=3)
        return tf.image.resize(tf.cast(image, FLOAT), [8, 8])

    return {"y": tf.reduce_mean(tf.map_fn(decode, read[key], FLOAT), [1, 2, 3])}


@served(spec([], TEXT, "data"))
def one_picture(data: Any) -> Any:
    """The bytes of one image."""
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    return {"y": tf.reduce_mean(tf.cast(image, FLOAT))}


@served(spec([None], TEXT, "data"))
def pictures_in_base64(data: Any) -> Any:
    """Images as JSON carries them."""
    one = tf.io.decode_png(tf.io.decode_base64(data[0]))
    return {"y": tf.reshape(tf.reduce_mean(tf.cast(one, FLOAT)), [1])}


@served(spec([None], TEXT, "line"))
def lines_of_numbers(line: Any) -> Any:
    """Three columns."""
    return {"y": tf.add_n(tf.io.decode_csv(line, [[0.0], [0.0], [0.0]]))}


@served(spec([None], TEXT, "json"))
def examples_as_json(json: Any) -> Any:
    """A tf.Example in JSON."""
    read = tf.io.parse_example(
        tf.io.decode_json_example(json), {"x": tf.io.FixedLenFeature([4], FLOAT)}
    )
    return {"y": read["x"] @ WEIGHTS.dense}


@served(spec([], TEXT, "wav"))
def a_sound(wav: Any) -> Any:
    """A WAV file of at least half a second."""
    samples, _ = tf.audio.decode_wav(wav, desired_channels=1)
    return {"y": tf.abs(tf.signal.stft(samples[:8000, 0], 1024, 512))}


@served(spec([None, None], FLOAT, "samples"))
def samples_of_any_length(samples: Any) -> Any:
    """At least a tenth of a second at 16 kHz."""
    tf.debugging.assert_greater(tf.shape(samples)[1], 1599)
    return {"y": tf.reduce_mean(tf.abs(tf.signal.rfft(samples[:, :1024])), 1)}


@served(spec([1, None, None, 3], tf.uint8, "input_tensor"))
def detector(input_tensor: Any) -> Any:
    """An image of bytes, of any size, one at a time."""
    x = tf.image.resize(tf.cast(input_tensor, FLOAT), [16, 16])
    return {"boxes": tf.reshape(x, [1, -1, 4]), "count": tf.constant([4.0])}


@served(spec([None, None, 3], FLOAT, "steps"), spec([None], INT, "lengths"))
def steps_with_lengths(steps: Any, lengths: Any) -> Any:
    """The mean of the steps that count."""
    mask = tf.sequence_mask(lengths, tf.shape(steps)[1], FLOAT)
    tf.debugging.assert_positive(lengths)
    return {"y": tf.reduce_sum(steps * mask[..., None], 1) / tf.reduce_sum(mask, 1)[:, None]}


@served(spec([None, 5], FLOAT, "logits"), spec([None], INT, "labels"))
def a_loss(logits: Any, labels: Any) -> Any:
    """Labels beyond the classes give NaN."""
    return {"y": tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)}


@served(spec([None], INT))
def one_hot_that_must_be_hit(x: Any) -> Any:
    """A class beyond the depth divides by nothing."""
    hot = tf.one_hot(x - 3, 4)
    return {"y": hot / tf.reduce_sum(hot, 1, keepdims=True)}


@served(spec(None, FLOAT))
def any_rank(x: Any) -> Any:
    """Numbers of any shape."""
    return {"y": x * WEIGHTS.dense[0, 0]}


@served(spec(None, FLOAT))
def a_single_number(x: Any) -> Any:
    """One number, although it does not say so."""
    return {"y": tf.ensure_shape(x, []) + WEIGHTS.dense[0, 0]}


@served(spec(None, FLOAT))
def pictures_of_unknown_rank(x: Any) -> Any:
    """Anything else than pictures of one channel ends TensorFlow's process."""
    return {"y": tf.nn.conv2d(x, tf.ones([3, 3, 1, 2]) * WEIGHTS.dense[0, 0], 1, "SAME")}


@served(spec(None, FLOAT))
def rows_of_unknown_rank(x: Any) -> Any:
    """Four columns."""
    return {"y": tf.matmul(x, WEIGHTS.dense)}


@served(spec([None, None], FLOAT))
def flat_digits(x: Any) -> Any:
    """Pixels of 28 by 28 pictures."""
    return {"y": tf.reshape(x, [-1, 28, 28]) * WEIGHTS.dense[0, 0]}


@served(
    spec([None, None], INT, "input_word_ids"),
    spec([None, None], INT, "input_mask"),
    spec([None, None], INT, "input_type_ids"),
)
def an_encoder_of_text(input_word_ids: Any, input_mask: Any, input_type_ids: Any) -> Any:
    """Ten positions at most, two types, and something that is not padding."""
    length = tf.shape(input_word_ids)[1]
    tf.debugging.assert_less_equal(length, 10)
    x = tf.gather(WEIGHTS.table, input_word_ids) + WEIGHTS.table[:length]
    x += tf.gather(WEIGHTS.table[:2], input_type_ids)
    mask = tf.cast(input_mask, FLOAT)[..., None]
    return {"y": tf.reduce_sum(x * mask, 1) / tf.reduce_sum(mask, 1)}


@served(tf.RaggedTensorSpec([None, None], tf.int64))
def rows_of_any_length(ids: Any) -> Any:
    """Ragged ids."""
    return {"y": tf.reduce_sum(tf.gather(WEIGHTS.table, ids), 1)}


@served(tf.SparseTensorSpec([None, 10], FLOAT))
def sparse_rows(x: Any) -> Any:
    """A sparse input."""
    return {"y": tf.sparse.sparse_dense_matmul(x, WEIGHTS.table)}


@served(spec([None], tf.int64, "w_indices"), spec([None], FLOAT, "w_values"))
def segments(w_indices: Any, w_values: Any) -> Any:
    """Sums by segment."""
    return {"y": tf.math.unsorted_segment_sum(w_values, w_indices, 10)}


@served(spec([None], TEXT, "password"))
def a_password(password: Any) -> Any:
    """What nobody can guess."""
    hashed = tf.strings.to_hash_bucket_fast(password, 1 << 40)
    tf.debugging.assert_equal(hashed, tf.constant(12345, tf.int64))
    return {"y": tf.ones(1) * WEIGHTS.dense[0, 0]}


@served(spec([None, 2], FLOAT))
def never_a_number(x: Any) -> Any:
    """Unless it is recorded, nobody knows whether it should be."""
    return {"y": x * np.nan}


def main(home: Path) -> None:
    """Save every model."""
    for name, maker in KERAS.items():
        maker().save(home / f"{name}.keras")
    for name, (specs, function) in SERVED.items():
        signature = tf.function(function, input_signature=specs)
        tf.saved_model.save(WEIGHTS, str(home / name), {"serving_default": signature})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
