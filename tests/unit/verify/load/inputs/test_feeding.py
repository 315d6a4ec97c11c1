"""Golden inputs, fitted to the signatures of a model."""

from __future__ import annotations

import numpy as np

from checkpointd import golden
from checkpointd.golden import Golden
from checkpointd.verify.load.inputs import feeding
from checkpointd.verify.load.loaded import ArraySpec, Signature


def signature(*inputs: ArraySpec) -> Signature:
    """A signature that only declares its inputs."""
    return Signature(inputs, (), dict)


def test_golden_inputs_are_fed_by_name_or_by_order() -> None:
    """Names decide where they agree; a single input fits whatever it is called."""
    spec = ArraySpec("x", "float32", (None, 3))
    record = Golden(inputs={"input": np.zeros((4, 3))})
    feed = feeding.from_record(record, signature(spec))
    assert feed is not None
    assert list(feed.arrays) == ["x"]
    wrong = signature(ArraySpec("x", "float32", (None, 5)))
    assert feeding.from_record(record, wrong) is None
    two = Golden(inputs={"b": np.ones((4, 3)), "a": np.zeros((4, 3))}, input_structure=golden.DICT)
    pair = feeding.from_record(two, signature(spec, ArraySpec("y", "float32", (None, 3))))
    assert pair is not None
    assert pair.arrays["x"].sum() == 0
