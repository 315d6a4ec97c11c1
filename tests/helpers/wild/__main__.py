"""Writes one group of good checkpoints: `python -m tests.helpers.wild GROUP DIRECTORY`."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

from tests.helpers.wild import groups, table


def main(group: str, root: Path) -> None:
    """Write a group, and say in `problems.json` what could not be written."""
    warnings.simplefilter("ignore")
    problems = table.write_all(groups.GROUPS[group], root)
    root.with_suffix(".json").write_text(json.dumps(problems))


main(sys.argv[1], Path(sys.argv[2]))
