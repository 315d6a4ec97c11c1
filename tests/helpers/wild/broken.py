"""What its own writer cannot read back, or did not store whole: measured with real writers.

No bit was flipped and no file was cut: TensorFlow 2.21, Keras 3.15 and tf-keras 2.21 save these
without an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.helpers import models
from tests.helpers.wild import by_hand, custom, zoo
from tests.helpers.wild.keras_cases import OWN, golden, own_objects
from tests.helpers.wild.making import numbers
from tests.helpers.wild.table import Case

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Broken(Case):
    """A checkpoint that must not be valid, and the reason that its report gives."""

    verdict: str = "invalid"
    reason: str = "load.load_error"


KINDS = {kind.said: kind for kind in (*zoo.KINDS, *OWN)}


def listed(path: Path) -> None:
    """A model of Keras 3 whose layers lie in a list, which `tf.train.Checkpoint` does not see."""
    from checkpointd.training import save

    keras = models.library("keras")

    class Listed(keras.Model):
        """Layers in a list."""

        def __init__(self) -> None:
            super().__init__()
            self.rows = [keras.layers.Dense(2)]

        def call(self, inputs: Any) -> Any:
            """Run forward."""
            return self.rows[0](inputs)

    model = Listed()
    model(numbers(4, 3))
    save(model, path, format="tf_checkpoint", golden=numbers(4, 3))


def unbuilt(path: Path) -> None:
    """A model of Keras 3 without `build`, whose weights do not come back: Keras only warns."""
    import tensorflow as tf

    from checkpointd.training import save

    keras = models.library("keras")
    model = custom.unbuilt(keras)()
    inputs = {"rows": tf.ragged.constant(custom.ROWS), "words": tf.constant(custom.WORDS)}
    model(inputs)
    save(model, path, golden=inputs)


def _of(keras: str, ending: str, said: str, **more: str) -> Broken:
    library = {"keras": "Keras 3", "tf_keras": "Keras 2"}[keras]
    way = {".h5": "HDF5 file", ".keras": "archive"}[ending]
    return Broken(
        f"a {library} {way} with {said}", golden(keras, KINDS[said]), ending, frozenset(), **more
    )


CASES = (
    _of(
        *("keras", ".h5", "attention with weights"),  # load_model takes it with a custom object
        verdict="inconclusive",
        reason="load.environment",
    ),
    _of("keras", ".h5", "adapted text vectorisation", reason="inference.uninitialized"),
    _of("keras", ".h5", "text to tf-idf", reason="inference.uninitialized"),
    _of("keras", ".h5", "bfloat16 throughout"),
    _of("tf_keras", ".h5", "bfloat16 throughout"),
    _of("tf_keras", ".keras", "bfloat16 throughout"),
    Broken(
        "a Keras 3 checkpoint of layers in a list",
        listed,
        "-1",
        reason="integrity.digest_mismatch",
    ),
    Broken(
        "a Keras 3 archive of a model without build",
        unbuilt,
        ".keras",
        settings=own_objects("keras", "Unbuilt"),
        reason="predictions.mismatch",
    ),
    Broken(
        "a whole Keras 1 model",
        by_hand.whole,
        ".h5",
        verdict="inconclusive",
        reason="load.environment",
    ),
)
