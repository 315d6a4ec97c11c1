"""In which order the objects of a checkpoint are deleted."""

from __future__ import annotations

import pytest

from checkpointd.core.checkpoint import Member
from checkpointd.retention.buckets.order import deletion_order


@pytest.mark.parametrize(
    ("names", "first", "last"),
    [
        ([".data-00000-of-00002", ".data-00001-of-00002", ".index", ".meta"], ".index", ".data"),
        (["", "/../model.weights_1.h5", "/../model.weights_2.h5"], "", "/../"),
        (["/model.weights.h5", "/config.json", "/metadata.json"], "/config.json", "/model"),
        (
            [
                "/assets/vocabulary.txt",
                "/fingerprint.pb",
                "/saved_model.pb",
                "/variables/variables.data-00000-of-00001",
                "/variables/variables.index",
            ],
            "/saved_model.pb",
            "/variables/variables.data",
        ),
    ],
)
def test_what_readers_look_for_goes_first(names: list[str], first: str, last: str) -> None:
    """What is left of a removal that was cut short is refused by every reader."""
    members = [Member(name, 0, 0, 1, 1, 0) for name in names]
    order = [member.name for member in deletion_order(members)]
    assert order[0] == first
    assert order[-1].startswith(last)
    assert sorted(order) == sorted(names)
