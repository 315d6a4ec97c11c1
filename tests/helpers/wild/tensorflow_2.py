"""What TensorFlow 2 writes without Keras: SavedModels of modules, and object checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.helpers.wild.table import LOADS, PREDICTS, Case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TYPES = (
    *("float16", "float32", "float64", "bfloat16", "complex64", "complex128", "bool", "string"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float8_e4m3fn", "float8_e5m2"),  # TensorFlow has no variables of the others
    *("int4", "uint4"),
)


def values_of(kind: str) -> Any:
    """A tensor of two values of a type."""
    import ml_dtypes
    import tensorflow as tf

    if kind == "string":
        return tf.constant(["", "ä\0b" * 50])
    numbers = getattr(ml_dtypes, kind, kind)  # those that numpy does not know
    return tf.constant(np.array([0.5, 1.5] if "float" in kind else [0, 1], numbers))


def variable(kind: str) -> Any:
    """A variable of a type."""
    import tensorflow as tf

    return tf.Variable(values_of(kind), name=kind)


def module(function: Callable[..., Any], *specs: Any, **attributes: Any) -> Any:
    """A `tf.Module` with a function over specs and attributes to track."""
    import tensorflow as tf

    made = tf.Module()
    for name, value in attributes.items():
        setattr(made, name, value)
    made.serve = tf.function(function, input_signature=specs)
    return made


def saved(make: Callable[[Any], Any], **options: Any) -> Callable[[Path], None]:
    """A writer of a SavedModel; `make` gives a module, with `serve` as its signature if there."""

    def write(path: Path) -> None:
        import tensorflow as tf

        made = make(tf)
        signatures = made.serve if hasattr(made, "serve") else None
        chosen = tf.saved_model.SaveOptions(**options) if options else None
        tf.saved_model.save(made, str(path), signatures, chosen)

    return write


def of_type(kind: str) -> Callable[[Any], Any]:
    """A maker of a module that gives a variable of a type, and takes something else."""

    def make(tf: Any) -> Any:
        kept = variable(kind)
        return module(
            lambda x: {
                "y": x,
                "kept": kept + 0
                if kind[0] == "i" and kind[3:] in ("32", "64")
                else tf.identity(kept),
            },
            tf.TensorSpec([None]),
            kept=kept,
        )

    return make


def scalar_and_empty(tf: Any) -> Any:
    """Tensors of no dimension, and of no value."""
    kept = [tf.Variable(2.0), tf.Variable(tf.zeros([0])), tf.Variable(tf.zeros([3, 0, 2]))]
    return module(lambda x: x * kept[0] + tf.reduce_sum(kept[1]), tf.TensorSpec([]), kept=kept)


def words(tf: Any) -> Any:
    """Strings in, strings out."""
    spec = tf.TensorSpec([None], tf.string)
    return module(
        lambda text: {"upper": tf.strings.upper(text), "n": tf.strings.length(text)}, spec
    )


def ragged(tf: Any) -> Any:
    """A ragged input and a ragged output."""
    spec = tf.RaggedTensorSpec([None, None, None])
    return module(lambda x: {"twice": x * 2.0, "rows": x.nrows()}, spec)


def sparse(tf: Any) -> Any:
    """A sparse output."""
    return module(lambda x: {"found": tf.sparse.from_dense(x)}, tf.TensorSpec([None, 3]))


def nothing_in(tf: Any) -> Any:
    """A function of nothing."""
    return module(lambda: {"answer": tf.constant(42)})


def static_table(tf: Any) -> Any:
    """A table that cannot change."""
    start = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64))
    table = tf.lookup.StaticHashTable(start, -1)
    return module(table.lookup, tf.TensorSpec([None], tf.string), table=table)


def mutable_table(tf: Any) -> Any:
    """A table that can."""
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, [0.0, 0.0])
    table.insert(["a", "ü"], [[1.0, 2.0], [3.0, 4.0]])
    return module(table.lookup, tf.TensorSpec([None], tf.string), table=table)


def dense_table(tf: Any) -> Any:
    """One with an empty and a deleted key."""
    table = tf.lookup.experimental.DenseHashTable(tf.int64, tf.int64, -1, -2, -3)
    table.insert(tf.constant([5], tf.int64), tf.constant([6], tf.int64))
    return module(table.lookup, tf.TensorSpec([None], tf.int64), table=table)


def table_of_a_file(tf: Any) -> Any:
    """A vocabulary in a file that becomes an asset."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
        file.write("cat\ndog\n")
    start = tf.lookup.TextFileInitializer(
        file.name,
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    table = tf.lookup.StaticVocabularyTable(start, 2)
    return module(table.lookup, tf.TensorSpec([None], tf.string), table=table)


def examples(tf: Any) -> Any:
    """Serialised examples, which nothing made up can be."""
    features = {"x": tf.io.FixedLenFeature([3], tf.float32)}
    return module(
        lambda text: tf.io.parse_example(text, features)["x"], tf.TensorSpec([None], tf.string)
    )


def images(tf: Any) -> Any:
    """Encoded images, which nothing made up can be."""

    def read(data: Any) -> Any:
        kind = tf.TensorSpec([8, 8, 3], tf.uint8)
        return tf.map_fn(lambda one: tf.io.decode_png(one, 3), data, fn_output_signature=kind)

    return module(read, tf.TensorSpec([None], tf.string))


def loops(tf: Any) -> Any:
    """A loop and a branch."""

    def run(x: Any) -> Any:
        total = tf.constant(0.0)
        for row in x:
            total = total + tf.reduce_sum(row) if tf.reduce_sum(row) > 0 else total - 1.0
        return total

    return module(tf.autograph.to_graph(run), tf.TensorSpec([None, 2]))


def gradients(tf: Any) -> Any:
    """A gradient of its own."""

    @tf.custom_gradient
    def clipped(x: Any) -> Any:
        return x, lambda upstream: tf.clip_by_norm(upstream, 1.0)

    return module(lambda x: clipped(x) + 1.0, tf.TensorSpec([None]))


def randoms(tf: Any) -> Any:
    """A generator of random numbers, and its state."""
    generator = tf.random.Generator.from_seed(7)
    return module(lambda x: x + generator.normal([1]), tf.TensorSpec([None]), generator=generator)


def bare(tf: Any) -> Any:
    """Variables and no function."""
    made = tf.Module()
    made.weights = {"q": tf.Variable([1.0]), "list": [tf.Variable(1), (tf.Variable("x"),)]}
    return made


def again(path: Path) -> None:
    """Saved, loaded, and saved once more."""
    import tensorflow as tf

    first = path.with_name("first")
    saved(static_table)(first)
    loaded = tf.saved_model.load(str(first))
    tf.saved_model.save(loaded, str(path), loaded.signatures)


def several_signatures(path: Path) -> None:
    """Three signatures, recorded each."""
    import tensorflow as tf

    from checkpointd.training import save

    weight = tf.Variable([[1.0], [2.0]])
    spec = tf.TensorSpec([None, 2], name="x")
    made = tf.Module()
    made.weight = weight
    made.score = tf.function(lambda x: {"score": x @ weight}, input_signature=[spec])
    made.label = tf.function(lambda x: {"label": tf.argmax(x, 1)}, input_signature=[spec])
    made.both = tf.function(lambda x: {"a": x, "b": x @ weight}, input_signature=[spec])
    signatures = {"serving_default": made.score, "label": made.label, "both": made.both}
    save(made, path, golden=np.eye(2, dtype="float32"), signatures=signatures)


def many_shards(tf: Any) -> Any:
    """Variables enough for many shards."""
    kept = [tf.Variable(tf.fill([257], float(i))) for i in range(24)]
    return module(lambda x: x + kept[0][0], tf.TensorSpec([None]), kept=kept)


def small_shards(tf: Any) -> Any:
    """Options that cut a bundle into shards of a kilobyte."""
    from tensorflow.python.checkpoint.sharding import sharding_policies

    return tf.train.CheckpointOptions(
        experimental_sharding_callback=sharding_policies.MaxShardSizePolicy(max_shard_size=1100)
    )


def in_many_shards(path: Path) -> None:
    """A SavedModel whose variables lie in many shards."""
    import tensorflow as tf
    from tensorflow.python.checkpoint.sharding import sharding_policies

    policy = sharding_policies.MaxShardSizePolicy(max_shard_size=1100)
    saved(many_shards, experimental_sharding_callback=policy)(path)
    assert len(list((path / "variables").glob("*.data-*"))) > 10
    assert tf.saved_model.contains_saved_model(str(path))


SAVED = {
    "strings in and out": words,
    "ragged input and output": ragged,
    "a sparse output": sparse,
    "no input": nothing_in,
    "scalar and empty variables": scalar_and_empty,
    "a static table": static_table,
    "a mutable table": mutable_table,
    "a dense table": dense_table,
    "a vocabulary among its assets": table_of_a_file,
    "a loop and a branch": loops,
    "a gradient of its own": gradients,
    "a random generator": randoms,
}

CASES = (
    *(Case(f"a TensorFlow 2 SavedModel with {said}", saved(make)) for said, make in SAVED.items()),
    *(Case(f"a TensorFlow 2 SavedModel of {kind}", saved(of_type(kind))) for kind in TYPES),
    Case("a TensorFlow 2 SavedModel that takes serialised examples", saved(examples), shows=LOADS),
    Case("a TensorFlow 2 SavedModel that takes encoded images", saved(images), shows=LOADS),
    Case("a TensorFlow 2 SavedModel without a function", saved(bare), shows=LOADS),
    Case("a TensorFlow 2 SavedModel, saved, loaded, saved again", again),
    Case("a TensorFlow 2 SavedModel with three signatures", several_signatures, shows=PREDICTS),
    Case("a TensorFlow 2 SavedModel in many shards", in_many_shards),
    Case("a TensorFlow 2 SavedModel with debug information", saved(words, save_debug_info=True)),
)
