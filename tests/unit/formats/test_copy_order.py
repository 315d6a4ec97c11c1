"""In which order the members of a checkpoint are copied."""

from __future__ import annotations

import pytest

from checkpointd.core.format_specs import FORMATS, Format
from checkpointd.formats.order import copy_order


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            Format.SAVEDMODEL,
            [
                "/assets/v.txt",
                "/fingerprint.pb",
                "/variables/variables.data-00000-of-00001",
                "/variables/variables.index",
                "/saved_model.pb",
            ],
        ),
        (Format.SAVEDMODEL, ["/variables/variables.index", "/saved_model.pbtxt"]),
        (Format.TF_CHECKPOINT, [".data-00000-of-00001", ".meta", ".index"]),
        (Format.KERAS, ["/metadata.json", "/model.weights.h5", "/config.json"]),
        (Format.KERAS, [""]),
        (Format.HDF5_WEIGHTS, ["/../m_00000.weights.h5", "/../m_00001.weights.h5", ""]),
    ],
)
def test_what_makes_a_checkpoint_of_the_others_comes_last(kind: Format, names: list[str]) -> None:
    """Until it is there, no reader takes the rest for one."""
    assert copy_order(reversed(names), kind) == names


def test_every_format_of_several_files_names_what_decides() -> None:
    """A new format that is a directory or a prefix cannot forget it."""
    several = [spec for spec in FORMATS if spec.is_prefix or spec.directory_test]
    assert all(spec.deciding for spec in several)
