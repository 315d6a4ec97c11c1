"""Prometheus and its tool: those that `.ci/packages` has unpacked, else the system's; or None."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_WHERE = f"{Path(__file__).parents[2] / '.prometheus/usr/bin'}:{os.environ.get('PATH', '')}"
PROMETHEUS = shutil.which("prometheus", path=_WHERE)
PROMTOOL = shutil.which("promtool", path=_WHERE)
