"""Imports two libraries without what the daemon never needs of them.

structlog imports rich wherever that is installed, for coloured tracebacks; `observe.logs` writes
plain ones. rich and what it needs are 70 modules, 5 MB, and a twentieth of the time of a start.
aiohttp reads the certificates of all authorities for its client; the daemon has only its server.
If the client were used all the same, it would trust no certificate.
"""

from __future__ import annotations

import ssl
import sys
from typing import Any

if not {"rich", "structlog"} & sys.modules.keys():
    modules: dict[str, Any] = sys.modules
    modules["rich"] = None  # so that an import of it fails
    try:
        import structlog  # noqa: F401 - it is for those who import it later
    finally:
        del modules["rich"]

if "aiohttp" not in sys.modules:
    library: Any = ssl
    create_default_context = ssl.create_default_context
    library.create_default_context = lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        import aiohttp  # noqa: F401 - it is for those who import it later
    finally:
        library.create_default_context = create_default_context
