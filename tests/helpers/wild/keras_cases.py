"""What Keras 3 and tf-keras write: every kind of model in every format."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from tests.helpers import models
from tests.helpers.cli import ROOT
from tests.helpers.wild import custom, zoo
from tests.helpers.wild.making import numbers, through
from tests.helpers.wild.table import INTACT, PREDICTS, RUNS, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SAID = {"keras": "Keras 3", "tf_keras": "Keras 2"}
WAYS = {".keras": "archive", ".h5": "HDF5 file", "": "SavedModel"}
UNSAVED = frozenset(
    {
        ("keras", ".h5", "attention with weights"),  # Keras 3 cannot load it: see BROKEN
        ("keras", ".h5", "adapted text vectorisation"),
        ("keras", ".h5", "text to tf-idf"),
        ("keras", ".h5", "bfloat16 throughout"),
        ("tf_keras", ".h5", "bfloat16 throughout"),
        ("tf_keras", ".keras", "bfloat16 throughout"),
        ("tf_keras", ".h5", "adapted text vectorisation"),  # it refuses to save
        ("tf_keras", ".h5", "text to tf-idf"),
    }
)
SLOW = frozenset(  # to save as a SavedModel, more than two seconds
    {
        ("tf_keras", "layers in both directions"),
        ("tf_keras", "an application of Keras"),
        ("tf_keras", "a hundred layers with long names"),
        ("tf_keras", "a masked embedding and an LSTM"),
        ("tf_keras", "a GRU from sequence to sequence"),
        ("tf_keras", "sequences of any length"),
        ("tf_keras", "a state given away"),
        ("tf_keras", "stacked recurrent cells"),
        ("keras", "an application of Keras"),
        ("keras", "a hundred layers with long names"),
    }
)
RANDOM = frozenset({("keras", "", "augmentation of images")})  # Keras 3 exports it switched on
WEIGHTS = (
    "one dense layer",
    "batch normalisation and dropout",
    "convolutions of images",
    "layers in both directions",
    "a block of a transformer",
    "inputs and outputs by name",
    "models nested four deep",
    "mixed float16",
    "bfloat16 throughout",
    "adapted normalisation and buckets",
)
OPTIMIZERS = (
    *("SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Adafactor", "Nadam"),
    *("Ftrl", "Lion", "LossScaleOptimizer"),
)


THIN = os.environ.get("WILD", "") != "all"
"""`make wild` writes all of them; `make test` leaves out some that resemble others."""

THINNED = {
    ("keras", ".h5"): (4, 0),
    ("keras", ""): (4, 2),
    ("tf_keras", ".keras"): (5, 0),
    ("tf_keras", ".h5"): (5, 2),
    ("tf_keras", ""): (5, 4),
}
"""Of the kinds of models, every how manieth is saved by which Keras in which format, and from which
on: Keras 3 saves each as an archive, and every second in one other format."""


def own_objects(keras: str, *names: str) -> str:
    """The settings that make a user's own objects known."""
    module = f"tests.helpers.wild.custom_{keras}"
    pairs = ", ".join(f'"{name}" = "{module}:{name.rpartition(">")[2]}"' for name in names)
    return f"python_path = ['{ROOT}']\ncustom_objects = {{ {pairs} }}"


def built_by(keras: str, kind: zoo.Kind) -> str:
    """The settings that name a kind's builder."""
    from tests.helpers.wild.builders import name_of

    return (
        f"python_path = ['{ROOT}']\nbuilder = 'tests.helpers.wild.builders:{name_of(keras, kind)}'"
    )


def own(keras: Any) -> dict[str, Any]:
    """The user's own objects."""
    found: dict[str, Any] = importlib.import_module(
        f"tests.helpers.wild.custom_{keras.__name__}"
    ).OBJECTS
    return found


def scaled(keras: Any) -> Any:
    """A layer of the user's."""
    return through(keras, numbers(4, 3), own(keras)["Scale"](3.0), keras.layers.Dense(1))


def activated(keras: Any) -> Any:
    """An activation of the user's."""
    layer = keras.layers.Dense(2, activation=own(keras)["swoosh"])
    return through(keras, numbers(4, 3), layer)


def subclassed(units: int) -> Callable[[Any], Any]:
    """A maker of a model in code."""

    def make(keras: Any) -> Any:
        model = own(keras)["Net"](units)
        model(numbers(4, 3))
        return model, numbers(4, 3)

    return make


def compiled(keras: Any) -> Any:
    """A loss of the user's, and metrics."""
    model, inputs = zoo.several(keras)
    model.compile(
        keras.optimizers.Adam(0.01),
        loss={"first": own(keras)["wild_loss"], "second": keras.losses.Huber()},
        metrics={"first": [keras.metrics.MeanAbsoluteError()], "second": []},
    )
    return model, inputs


def random_always(keras: Any) -> Any:
    """A model that drops at inference too."""
    return through(keras, numbers(4, 3), own(keras)["Dropping"](), keras.layers.Dense(2))


def random_seeded(keras: Any) -> Any:
    """Keras's own dropout, called as if training went on."""
    x = keras.layers.Input((8,))
    return keras.Model(x, keras.layers.Dropout(0.5)(x, training=True)), numbers(4, 8)


def rows(keras: Any) -> Any:
    """Rows of different lengths, and words."""
    import tensorflow as tf

    model = own(keras)["Rows"]()
    inputs = {"rows": tf.ragged.constant(custom.ROWS), "words": tf.constant(custom.WORDS)}
    model(inputs)
    return model, inputs


OWN = (
    zoo.Kind("a layer of the user's", scaled),
    zoo.Kind("an activation of the user's", activated),
    zoo.Kind("a subclassed model of the user's", subclassed(3)),
    zoo.Kind("a subclassed model with nested outputs", subclassed(4)),
    zoo.Kind("a loss of the user's", compiled),
    zoo.Kind("dropout that is never off", random_always),
    zoo.Kind("ragged and string inputs", rows),
)


def made(keras: str, kind: zoo.Kind) -> Any:
    """Make a kind's model: a new one, since one save can spoil the next."""
    library = models.library(keras)
    library.utils.set_random_seed(models.SEED)
    return kind.make(library)


def golden(keras: str, kind: zoo.Kind, **options: Any) -> Callable[[Path], None]:
    """A writer with a golden record, by our own `save`."""

    def write(path: Path) -> None:
        from checkpointd.training import save

        model, inputs = made(keras, kind)
        save(model, path, golden=inputs, **options)

    return write


def plainly(keras: str, kind: zoo.Kind, save: Callable[[Any, Path], Any]) -> Callable[[Path], None]:
    """A writer by the library's own means."""
    return lambda path: save(made(keras, kind)[0], path)


def trained(keras: Any, optimizer: str) -> Any:
    """A model that was trained for a step."""
    model, inputs = zoo.batch_normalised(keras)
    chosen = getattr(keras.optimizers, optimizer, None)
    if optimizer == "LossScaleOptimizer":
        chosen = getattr(keras.mixed_precision, optimizer, chosen)
    arguments: list[Any] = [keras.optimizers.Adam()] if optimizer == "LossScaleOptimizer" else []
    model.compile(chosen(*arguments), loss=keras.losses.MeanSquaredError(), run_eagerly=True)
    model.fit(inputs, inputs[:, :2], verbose=0)
    return model


def whole(keras: str) -> Iterator[Case]:
    """Every kind in every format, each with a golden record."""
    for number, kind in enumerate(zoo.KINDS):
        for ending, way in WAYS.items():
            every, first = THINNED.get((keras, ending), (1, 0))
            if THIN and number % every != first:
                continue
            if (keras, ending, kind.said) in UNSAVED or (not ending and (keras, kind.said) in SLOW):
                continue
            shows = RUNS if (keras, ending, kind.said) in RANDOM else PREDICTS
            yield Case(
                f"a {SAID[keras]} {way} with {kind.said}", golden(keras, kind), ending, shows
            )


def weights(keras: str) -> Iterator[Case]:
    """Weights alone, loaded into what a builder makes."""
    for kind in zoo.KINDS:
        if kind.said not in WEIGHTS[:: 2 if THIN and keras == "tf_keras" else 1]:
            continue
        settings = built_by(keras, kind)
        for ending, form in ((".weights.h5", "hdf5_weights"), ("-7", "tf_checkpoint")):
            if keras == "tf_keras" and kind.said == "bfloat16 throughout" and form[0] == "h":
                continue  # tf-keras cannot read it back
            yield Case(
                f"{SAID[keras]} weights ({form}) of {kind.said}",
                golden(keras, kind, format=form),
                ending,
                PREDICTS,
                settings,
            )
        if keras == "tf_keras" and kind.said != "bfloat16 throughout":
            yield Case(
                f"Keras 2 weights by layer of {kind.said}",
                golden(keras, kind, format="hdf5_weights"),
                ".h5",
                PREDICTS,
                settings,
            )
        if keras == "tf_keras":
            yield Case(
                f"Keras 2 weights in TensorFlow's format of {kind.said}",
                plainly(keras, kind, lambda model, path: model.save_weights(str(path))),
                "-7",
                RUNS,
                settings,
            )
        if keras == "keras":
            yield Case(
                f"Keras 3 sharded weights of {kind.said}",
                plainly(keras, kind, _sharded),
                ".weights.json",
                RUNS,
                settings,
            )


def _sharded(model: Any, path: Path) -> None:
    model.save_weights(path, max_shard_size=5e-6)


def optimizers(keras: str) -> Iterator[Case]:
    """A trained model with each optimizer."""
    library = SAID[keras]
    for name in OPTIMIZERS:
        kind = zoo.Kind(name, lambda k, name=name: (trained(k, name), numbers(4, 3)))
        for ending, way in ((".keras", "archive"), (".h5", "HDF5 file"), ("-1", "checkpoint")):
            if THIN and ending != ".keras" and name not in ("SGD", "Adam", "LossScaleOptimizer"):
                continue
            if (keras, ending, name) == ("keras", ".h5", "Adafactor"):
                continue  # Keras 3 fails to save it
            options = {"format": "tf_checkpoint"} if ending == "-1" else {}
            shows = INTACT if ending == "-1" else PREDICTS
            yield Case(
                f"a {library} {way} with the optimizer {name}",
                golden(keras, kind, **options),
                ending,
                shows,
            )


def users_own(keras: str) -> Iterator[Case]:
    """What cannot be loaded without the user's code."""
    named = ("wild>Scale", "wild>Net", "Dropping", "Rows", "wild_loss", "swoosh")
    settings = own_objects(keras, *named)
    for kind in OWN:
        random = kind.said.startswith("dropout")
        shows = RUNS if random else PREDICTS
        in_code = kind.said.startswith(("a subclassed", "ragged"))
        if not (in_code and keras == "tf_keras" and kind.said.startswith("ragged")):
            yield Case(
                f"a {SAID[keras]} archive with {kind.said}",
                golden(keras, kind),
                ".keras",
                shows,
                settings,
            )
        if not in_code and not (keras == "tf_keras" and kind.said.startswith("an activation")):
            yield Case(
                f"a {SAID[keras]} HDF5 file with {kind.said}",
                golden(keras, kind),
                ".h5",
                shows,
                settings,
            )
        if keras == "tf_keras" or not kind.said.endswith(("string inputs", "nested outputs")):
            yield Case(
                f"a {SAID[keras]} SavedModel with {kind.said}", golden(keras, kind), "", shows
            )
        yield Case(
            f"a {SAID[keras]} checkpoint with {kind.said}",
            golden(keras, kind, format="tf_checkpoint"),
            "-1",
            shows,
            built_by(keras, kind),
        )
    seeded = zoo.Kind("seeded", random_seeded)
    for ending, way in WAYS.items():
        shows = PREDICTS if keras == "keras" and ending else RUNS
        yield Case(
            f"a {SAID[keras]} {way} with Keras's dropout left on",
            golden(keras, seeded),
            ending,
            shows,
        )


def cases(keras: str) -> tuple[Case, ...]:
    """All good checkpoints of one Keras."""
    parts = (whole, weights, optimizers, users_own)
    return tuple(case for part in parts for case in part(keras))
