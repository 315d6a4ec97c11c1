"""Imports structlog without rich.

structlog imports rich wherever that is installed, for coloured tracebacks; `observe.logs` writes
plain ones. rich and what it needs are 70 modules, 5 MB, and a twentieth of the time of a start.
"""

from __future__ import annotations

import sys
from typing import Any

if not {"rich", "structlog"} & sys.modules.keys():
    modules: dict[str, Any] = sys.modules
    modules["rich"] = None  # so that an import of it fails
    try:
        import structlog  # noqa: F401 - it is for those who import it later
    finally:
        del modules["rich"]
