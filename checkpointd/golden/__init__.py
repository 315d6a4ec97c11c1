"""The golden record: what a training job wrote down when it saved, and how a model is run for it.

Written by `checkpointd.training`, read by `checkpointd.verify`. numpy alone, Python 3.9; a
framework is imported where one is there and a model is run.
"""

from __future__ import annotations

from checkpointd.golden.arrays import digest_of
from checkpointd.golden.binding import (
    SAVE_ID_ATTRIBUTE,
    ZIP_COMMENT_PREFIX,
    binding_of,
    content_of,
    path_for,
)
from checkpointd.golden.environment import describe_environment, precision_policy
from checkpointd.golden.record import DICT, LIST, SINGLE, Golden, GoldenError, SignatureRun
from checkpointd.golden.record_file import read, write
from checkpointd.golden.structures import assemble, name_inputs, name_optional, name_outputs

__all__ = [
    "DICT",
    "LIST",
    "SAVE_ID_ATTRIBUTE",
    "SINGLE",
    "ZIP_COMMENT_PREFIX",
    "Golden",
    "GoldenError",
    "SignatureRun",
    "assemble",
    "binding_of",
    "content_of",
    "describe_environment",
    "digest_of",
    "name_inputs",
    "name_optional",
    "name_outputs",
    "path_for",
    "precision_policy",
    "read",
    "write",
]
