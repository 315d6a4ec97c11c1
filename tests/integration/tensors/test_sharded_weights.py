"""Sharded weights that Keras itself has written: each shard holds what the map gives to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers import models
from tests.helpers.scan import scanned

if TYPE_CHECKING:
    from pathlib import Path

SHARD_GB = 0.0001


def stacked() -> Any:
    """Return a model whose weights need more than one such shard."""
    keras = models.library("keras")
    return keras.Sequential([keras.Input((64,)), *(keras.layers.Dense(64) for _ in range(12))])


def test_shards_that_were_exchanged_are_malformed(tmp_path: Path) -> None:
    """Keras looks for each weight where the map says and nowhere else, and loads none of them."""
    path = tmp_path / "m.weights.json"
    stacked().save_weights(path, max_shard_size=SHARD_GB)
    first, second, *_ = sorted(tmp_path.glob("*.h5"))
    assert scanned(path).clean
    first_data, second_data = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_data)
    second.write_bytes(first_data)
    result = scanned(path)
    assert result.reasons == ["structure.malformed"]
    assert "exchanged with another shard" in result.checks["structure"].message
    with pytest.raises(ValueError, match="received 0 variables"):
        stacked().load_weights(path)
