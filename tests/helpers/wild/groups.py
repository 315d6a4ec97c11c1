"""All good checkpoints, by the trainer that writes them."""

from __future__ import annotations

from tests.helpers.wild import (
    broken,
    by_hand,
    keras_cases,
    keras_special,
    tensorflow_1,
    tensorflow_2,
    tensorflow_2_checkpoints,
)

GROUPS = {
    "keras": (*keras_cases.cases("keras"), *keras_special.special("keras")),
    "tf_keras": (*keras_cases.cases("tf_keras"), *keras_special.special("tf_keras")),
    "broken": broken.CASES,
    "tensorflow": (
        *tensorflow_1.CASES,
        *tensorflow_2.CASES,
        *tensorflow_2_checkpoints.CASES,
        *by_hand.CASES,
    ),
}
