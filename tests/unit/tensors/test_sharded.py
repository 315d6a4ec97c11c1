"""Sharded weights whose map is longer than what a probe reads: a child reads all of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.helpers.scan import scanned, write_weights

if TYPE_CHECKING:
    from pathlib import Path

SHARD = "m_00000.weights.h5"
LONG = {"total_size": 1, "padding": "x" * 5000}


def long_map(path: Path, weight_map: object) -> Path:
    """A map of more than 4 KiB, and one shard beside it."""
    write_weights(path / SHARD, {"dense": np.ones((4, 3), np.float32)})
    content = {"weight_map": weight_map, "metadata": LONG}
    (path / "m.weights.json").write_text(json.dumps(content))
    return path / "m.weights.json"


def test_a_long_map_of_shards_that_are_there_is_whole(tmp_path: Path) -> None:
    """Names alone, and lists of them."""
    path = long_map(tmp_path, {"/layers/dense": SHARD, "/layers/more": [SHARD]})
    assert scanned(
        path,
    ).clean


@pytest.mark.parametrize(
    ("weight_map", "reason"),
    [
        ({"/layers/dense": SHARD, "/layers/more": "m_00001.weights.h5"}, "missing_member"),
        ({"/layers/dense": {"class_name": 5}}, "malformed"),
        ([SHARD], "malformed"),
    ],
)
def test_a_long_map_that_names_what_is_not_there_is_noticed(
    tmp_path: Path, weight_map: object, reason: str
) -> None:
    """By the check `structure`, and never by a fault of ours; found by mutations."""
    found = scanned(long_map(tmp_path, weight_map))
    assert found.reasons == [f"structure.{reason}"]
