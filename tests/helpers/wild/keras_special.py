"""Ways to save that one Keras alone has: quantised, LoRA, endpoints, callbacks, signatures."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tests.helpers import models
from tests.helpers.wild import zoo
from tests.helpers.wild.keras_cases import SAID, WAYS, golden, made, plainly
from tests.helpers.wild.making import numbers, through
from tests.helpers.wild.table import LOADS, PREDICTS, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def special(keras: str) -> Iterator[Case]:
    """Ways to save that one of the two has alone."""
    dense, named = zoo.Kind("", zoo.dense), zoo.Kind("", zoo.several)
    said = SAID[keras]
    yield Case(
        f"a {said} model by tf.saved_model.save",
        plainly(keras, named, lambda model, path: _tensorflow().saved_model.save(model, str(path))),
    )
    yield Case(f"a {said} model saved by Keras under a name of its own", _renamed(keras, dense))
    if keras == "tf_keras":
        for option in ({"save_traces": True}, {"include_optimizer": False}):
            yield Case(
                f"a Keras 2 SavedModel with {next(iter(option))}",
                plainly(keras, named, lambda model, path, o=option: model.save(path, **o)),
            )
        yield Case(
            "a Keras 2 SavedModel with a signature of its own", _own_signature, shows=PREDICTS
        )
        return
    for mode in ("int8", "int4", "float8"):
        kind = zoo.Kind(mode, lambda k, mode=mode: _quantised(k, mode))
        for ending, way in WAYS.items():
            if ending == ".h5":
                continue  # Keras 3 keeps no quantisation in it
            yield Case(
                f"a Keras 3 {way} quantised to {mode}", golden(keras, kind), ending, PREDICTS
            )
    lora = zoo.Kind("lora", _lora)
    yield Case("a Keras 3 archive with LoRA", golden(keras, lora), ".keras", PREDICTS)
    yield Case("a Keras 3 export of several endpoints", _endpoints)
    yield Case("a Keras 3 archive by ModelCheckpoint", _by_callback, ".keras")
    yield Case("a Keras 3 archive of a FeatureSpace", _features, ".keras", LOADS)


def _tensorflow() -> Any:
    return importlib.import_module("tensorflow")


def _renamed(keras: str, kind: zoo.Kind) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        made(keras, kind)[0].save(path.with_name("x.keras"))
        path.with_name("x.keras").rename(path)

    return write


def _own_signature(path: Path) -> None:
    from checkpointd.training import save

    tf = _tensorflow()
    model, inputs = made("tf_keras", zoo.Kind("", zoo.dense))
    spec = tf.TensorSpec([None, 3], name="x")
    best = tf.function(lambda x: {"best": tf.argmax(model(x), 1)}, input_signature=[spec])
    save(model, path, golden=inputs, signatures={"serving_default": best})


def _quantised(keras: Any, mode: str) -> Any:
    layers = keras.layers
    rows = [layers.Dense(16, activation="relu"), layers.Dense(3)]
    model, inputs = through(keras, numbers(4, 8), *rows)
    model.quantize(mode)
    return model, inputs


def _lora(keras: Any) -> Any:
    model, inputs = zoo.dense(keras)
    model.layers[0].enable_lora(2)
    return model, inputs


def _endpoints(path: Path) -> None:
    keras = models.library("keras")
    tf = _tensorflow()
    model, _ = zoo.dense(keras)
    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = tf.TensorSpec([None, 3])
    archive.add_endpoint("call", model.call, input_signature=[spec])
    archive.add_endpoint("twice", lambda x: model(x) * 2, input_signature=[spec])
    archive.write_out(str(path), verbose=False)


def _by_callback(path: Path) -> None:
    keras = models.library("keras")
    model, inputs = zoo.dense(keras)
    model.compile("adam", "mse")
    callback = keras.callbacks.ModelCheckpoint(str(path))
    model.fit(inputs, inputs[:, :2], verbose=0, callbacks=[callback])


def _features(path: Path) -> None:
    """A layer saved for itself, whose `inputs` are no list of tensors but a dict."""
    tensorflow, space = _tensorflow(), importlib.import_module("keras").utils.FeatureSpace
    features = {"age": space.float_normalized(), "city": space.string_categorical()}
    made = space(features=features, output_mode="concat")
    rows = {"age": [1.0, 2.0], "city": ["Bonn", "Rome"]}
    made.adapt(tensorflow.data.Dataset.from_tensor_slices(rows))
    made.save(str(path))
