"""What TensorFlow 2 writes without Keras: checkpoints of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.helpers.wild.table import INTACT, Case
from tests.helpers.wild.tensorflow_2 import (
    TYPES,
    dense_table,
    many_shards,
    mutable_table,
    scalar_and_empty,
    small_shards,
    static_table,
    variable,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def checkpoint(make: Callable[[Any], dict[str, Any]]) -> Callable[[Path], None]:
    """A writer of a checkpoint; `make` gives what is tracked."""

    def write(path: Path) -> None:
        import tensorflow as tf

        tf.train.Checkpoint(**make(tf)).write(str(path))

    return write


def typed(kind: str) -> Callable[[Any], dict[str, Any]]:
    """A maker of a variable of a type."""
    return lambda _: {"kept": variable(kind)}


def structures(tf: Any) -> dict[str, Any]:
    """Lists, tuples, dictionaries."""
    kept = {"a": [tf.Variable(1.0)], "b": {"c": (tf.Variable(2), tf.Variable([[3.0]]))}}
    return {"kept": kept, "step": tf.Variable(0, dtype=tf.int64)}


def iterators(tf: Any) -> dict[str, Any]:
    """Where an iterator over data has got to."""
    iterator = iter(tf.data.Dataset.range(10).shuffle(5, seed=1).batch(2))
    next(iterator)
    return {"iterator": iterator, "w": tf.Variable([1.0])}


def tables(tf: Any) -> dict[str, Any]:
    """Lookup tables of every kind."""
    return {"a": mutable_table(tf), "b": dense_table(tf), "c": static_table(tf)}


def python_state(tf: Any) -> dict[str, Any]:
    """An object that says itself what is kept of it."""

    class Kept(tf.train.experimental.PythonState):
        def serialize(self) -> str:
            return "a state of mine"

        def deserialize(self, _: str) -> None:
            pass

    return {"kept": Kept(), "w": tf.Variable([1.0])}


def thousand(tf: Any) -> dict[str, Any]:
    """A thousand variables."""
    return {"kept": [tf.Variable([float(i)], name=f"v_{i}") for i in range(1000)]}


def odd_names(tf: Any) -> dict[str, Any]:
    """Keys that have to be escaped."""
    made = tf.Module()
    made.kept = {"a/b": tf.Variable(1.0), ".ATTRIBUTES": tf.Variable(2.0), "ü ☃": tf.Variable(3.0)}
    return {"made": made}


def shared(tf: Any) -> dict[str, Any]:
    """One variable under two names."""
    one = tf.Variable([1.0])
    return {"a": one, "b": {"c": one}}


def managed(path: Path) -> None:
    """A CheckpointManager's newest."""
    import tensorflow as tf

    tracked = tf.train.Checkpoint(w=tf.Variable([1.0]), step=tf.Variable(1))
    manager = tf.train.CheckpointManager(tracked, str(path.parent), 2, checkpoint_name="m")
    for number in (1, 2, 3):
        manager.save(checkpoint_number=number)


def sharded(path: Path) -> None:
    """A checkpoint in many shards."""
    import tensorflow as tf

    tf.train.Checkpoint(kept=many_shards(tf)).write(str(path), options=small_shards(tf))
    assert len(list(path.parent.glob("*.data-*"))) > 10


def beside(path: Path) -> None:
    """A checkpoint written while training goes on."""
    import tensorflow as tf

    tracked = tf.train.Checkpoint(w=tf.Variable(tf.ones([4, 4])))
    tracked.write(
        str(path), options=tf.train.CheckpointOptions(experimental_enable_async_checkpoint=True)
    )
    tracked.sync()


TRACKED: dict[str, Any] = {
    "nested structures": structures,
    "an iterator's state": iterators,
    "lookup tables": tables,
    "a Python object's state": python_state,
    "a thousand variables": thousand,
    "names to be escaped": odd_names,
    "one variable under two names": shared,
    "scalar and empty variables": lambda tf: {"kept": scalar_and_empty(tf)},
    "nothing but a counter": lambda tf: {"step": tf.Variable(7)},
    "a random generator": lambda tf: {"g": tf.random.Generator.from_seed(1)},
}

CASES = (
    *(
        Case(f"a TensorFlow 2 checkpoint of {said}", checkpoint(make), "-3", INTACT)
        for said, make in TRACKED.items()
    ),
    *(
        Case(f"a TensorFlow 2 checkpoint of {kind}", checkpoint(typed(kind)), "-3", INTACT)
        for kind in TYPES
    ),
    Case("a TensorFlow 2 checkpoint of a CheckpointManager", managed, "-3", INTACT),
    Case("a TensorFlow 2 checkpoint in many shards", sharded, "-3", INTACT),
    Case("a TensorFlow 2 checkpoint written while training goes on", beside, "-3", INTACT),
)
