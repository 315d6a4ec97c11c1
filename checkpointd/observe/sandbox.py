"""The sandbox's state in one line, for the status page and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def sandbox_line(facts: Mapping[str, Any]) -> str:
    """Describe in one line what confines the loading of models here.

    Args:
        facts: the object `sandbox` of the daemon's status.
    """
    mode = str(facts.get("mode", "?"))
    if "self_test" not in facts:
        return f"{mode}, tried as soon as a worker has started"
    version = facts.get("landlock")
    layers = (
        f"Landlock version {version}" if version else "no Landlock",
        "seccomp" if facts.get("seccomp") else "no seccomp",
        f"self-test {facts['self_test']}",
    )
    missing = "; ".join(str(clause) for clause in facts.get("missing", ()))
    return f"{mode}: {', '.join(layers)}{': ' + missing if missing else ''}"
