"""What of the sandbox is in force on this machine, as far as the workers have seen: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENFORCE = "enforce"


def confinement(mode: str, workers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Put together what each worker's self-test came to.

    Args:
        mode: `sandbox` of [worker].
        workers: rows of `Dispatcher.status`.

    Returns:
        `mode`, and unless no worker has tried yet: `landlock` (the version, 0 without it),
        `seccomp`, `self_test` (`passed`, `failed`, `not run`) and in `missing` what is not in
        force, as clauses.
    """
    seen = [row["sandbox"] for row in workers if row.get("sandbox")]
    if not seen:
        return {"mode": mode}
    missing = list(dict.fromkeys(clause for one in seen for clause in one["missing"]))
    landlock = min(one["landlock"] for one in seen)
    seccomp = all(one["seccomp"] for one in seen)
    tried = "not run" if not landlock or not seccomp else "failed" if missing else "passed"
    return {
        "mode": mode,
        "landlock": landlock,
        "seccomp": seccomp,
        "self_test": tried,
        "missing": missing,
    }


def layers(facts: Mapping[str, Any]) -> dict[str, bool]:
    """Which layer is in force, for the metrics; empty as long as nobody knows."""
    if "self_test" not in facts:
        return {}
    return {"landlock": facts["landlock"] > 0, "seccomp": facts["seccomp"]}


def problem(facts: Mapping[str, Any]) -> str:
    """What a person has to know of it, as a sentence; empty where all is in force."""
    if not facts.get("missing"):
        return ""
    missing = "; ".join(facts["missing"])
    if facts["mode"] == ENFORCE:
        return f"Nothing is loaded, because nothing would confine it: {missing}."
    return f"Models are loaded without the whole sandbox: {missing}."
