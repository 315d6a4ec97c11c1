"""Links among a checkpoint's files: those of caches are ordinary, those to a system's files not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.verify.scan.safety.links import is_never_a_model
from tests.helpers.bundles import write_bundle
from tests.helpers.scan import scanned, write_weights

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = {"dense": np.ones((3, 4), np.float32)}


@pytest.mark.parametrize("target", ["/etc/passwd", "/proc/self/environ", "/home/a/.ssh/id_rsa"])
def test_no_model_lies_among_a_systems_files_or_a_users_keys(target: str) -> None:
    """Whatever is there is asked for by somebody who wants to see it."""
    assert is_never_a_model(target)


@pytest.mark.parametrize(
    "target",
    ["/data/blobs/3f2a", "/home/a/.cache/huggingface/blobs/3f2a", "/dev/shm/m.h5"],  # noqa: S108 - never opened
)
def test_a_model_may_lie_in_a_cache_and_in_memory(target: str) -> None:
    """Wherever that is, and whomever it belongs to."""
    assert not is_never_a_model(target)


def test_a_checkpoint_of_links_into_a_cache_is_ordinary(tmp_path: Path) -> None:
    """As Hugging Face lays out what it has fetched."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    write_weights(tmp_path / "blobs" / "3f2a.weights.h5", WEIGHTS)
    link = tmp_path / "snapshot" / "m.weights.h5"
    link.symlink_to("../blobs/3f2a.weights.h5")
    assert scanned(link).clean


def test_a_link_to_a_systems_file_is_foreign_and_is_not_read(tmp_path: Path) -> None:
    """Its bytes would be served as if they were the model's."""
    write_bundle(tmp_path / "ckpt-1", {"dense": WEIGHTS["dense"]})
    (tmp_path / "ckpt-1.meta").symlink_to("/etc/passwd")
    result = scanned(tmp_path / "ckpt-1", skip=("structure",))
    assert "safety.foreign_reference" in result.reasons
    assert result.checks["integrity"].outcome is Outcome.SKIP
    assert "/etc/passwd" in result.checks["safety"].message
