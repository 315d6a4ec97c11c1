"""Which files the bases consist of, and writing them."""

from __future__ import annotations

import textwrap
from pathlib import Path

from checkpointd.observe.monitoring.alert import RuleSettings
from checkpointd.observe.monitoring.rules import rules

_FILES = Path(__file__).parent / "files"
_RULES = "monitoring/prometheus-rule.yaml"
_RULES_HEAD = """\
# The alert rules of `checkpointd monitoring rules`, for the Prometheus operator.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: checkpointd
spec:
"""


class EditedError(Exception):
    """Files that would be overwritten are not as they were shipped."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(", ".join(map(str, paths)))
        self.paths = paths


def bases() -> dict[str, str]:
    """Return the text of every file, by its path relative to the directory of the bases."""
    shipped = sorted(path for path in _FILES.rglob("*") if path.is_file())
    found = {str(path.relative_to(_FILES)): path.read_text("utf-8") for path in shipped}
    found[_RULES] = _RULES_HEAD + textwrap.indent(_without_comments(rules(RuleSettings())), "  ")
    return found


def write(directory: Path, *, overwrite: bool) -> list[Path]:
    """Write every file that is not there as it should be.

    Args:
        directory: made if it does not exist.
        overwrite: also files that have other content.

    Returns:
        What was written.

    Raises:
        EditedError: without `overwrite`, some have other content; then nothing is written.
        OSError: the directory cannot be written.
    """
    wanted = {directory / name: text for name, text in bases().items()}
    different = [path for path, text in wanted.items() if not _has(path, text)]
    edited = [path for path in different if path.exists()]
    if edited and not overwrite:
        raise EditedError(edited)
    for path in different:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    return different


def _has(path: Path, text: str) -> bool:
    try:
        return path.read_text("utf-8") == text
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _without_comments(text: str) -> str:
    return "".join(line for line in text.splitlines(True) if not line.startswith("#"))
