"""Which names a request may call the daemon by.

Against DNS rebinding: a page of a stranger's site, open in a browser on this machine, lets its own
name resolve to 127.0.0.1 and then reads what answers there. The browser sends that name as `Host`.
An address can be no such name, so addresses always pass.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def is_ours(headers: Sequence[str], names: Collection[str]) -> bool:
    """Whether a request is meant for us.

    Args:
        headers: every `Host` header of it; HTTP/1.0 may send none, two are an attack.
        names: what we are called besides localhost, in lower case.
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
