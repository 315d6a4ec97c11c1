"""Which host names a request may use for the daemon.

Against DNS rebinding: a page of a foreign site, open in a browser on this machine, makes its host
name resolve to 127.0.0.1 and then reads what answers there. The browser sends that name as `Host`.
An attacker cannot do that with an address, so addresses always pass.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def is_known_host(headers: Sequence[str], names: Collection[str]) -> bool:
    """Whether a request names this daemon.

    Args:
        headers: all its `Host` headers; HTTP/1.0 may send none, two are an attack.
        names: the daemon's names besides localhost, in lower case.
    """
    if len(headers) != 1:
        return not headers
    name = _without_port(headers[0]).lower().removesuffix(".")
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name == "localhost" or name.endswith(".localhost") or name in names
    return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        inner, bracket, _ = host.partition("]")
        return inner + bracket
    return host.partition(":")[0]
