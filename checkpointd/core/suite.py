"""The checks of the verification suite.

Standard library only, Python 3.9: it is also imported in the training job's interpreter.
"""

from __future__ import annotations

CHECKS = (
    "structure",
    "integrity",
    "safety",
    "finite",
    "drift",
    "load",
    "signatures",
    "inference",
    "predictions",
    "resume",
    "evaluate",
)
"""The verification suite, in order."""

SCAN_CHECKS = CHECKS[:5]
LOAD_CHECKS = CHECKS[5:]

SHOWS = {
    "integrity": "intact",
    "load": "loads",
    "inference": "runs",
    "predictions": "predicts",
    "resume": "resumes",
}
"""What a check shows when it passes."""
