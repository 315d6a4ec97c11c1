"""The headers of every answer, also of one to a malformed request.

There is no Strict-Transport-Security: browsers apply it to every port of the host, and would no
longer reach other services there that have no TLS; the daemon has no such port to protect.
"""

from __future__ import annotations

from checkpointd.observe.web.templating import CONTENT_SECURITY_POLICY

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    # In place of aiohttp's header, which names the versions of Python and aiohttp.
    "Server": "checkpointd",
}
