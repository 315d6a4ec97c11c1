"""Which stored tensors the scan stage passes to the load stage, and by what names."""

from __future__ import annotations

from checkpointd.core.report import Digest
from checkpointd.tensors import MODEL, OPTIMIZER, TensorStats, roles
from checkpointd.verify.stored_digests import MOST_TENSORS, of_optimizer, of_others


def stats(key: str, role: str) -> TensorStats:
    """A tensor as the scan stage has read it."""
    return TensorStats(key, key, role, "float32", (2,), 8, 0, 0, 1.0, 17)


def test_the_optimizers_variables_are_chosen_by_their_role() -> None:
    """A weight of the model is left out; TensorFlow's suffix is not part of the name."""
    key = "optimizer/_variables/2" + roles.ATTRIBUTES + "VARIABLE_VALUE"
    tensors = [stats("layers/dense/vars/0", MODEL), stats(key, OPTIMIZER)]
    assert of_optimizer(tensors) == (Digest("optimizer/_variables/2", "float32", (2,), 17),)


def test_what_is_not_the_optimizers_has_no_name() -> None:
    """It is compared by type, shape and checksum alone."""
    tensors = [stats("layers/dense/vars/0", MODEL), stats("optimizer/vars/0", OPTIMIZER)]
    assert of_others(tensors) == (Digest("", "float32", (2,), 17),)


def test_more_variables_than_fit_one_message_are_not_compared() -> None:
    """Too many to compare (None) differs from having none."""
    many = [stats(f"optimizer/vars/{i}", OPTIMIZER) for i in range(MOST_TENSORS + 1)]
    assert of_optimizer(many) is None
    assert of_optimizer([]) == ()
