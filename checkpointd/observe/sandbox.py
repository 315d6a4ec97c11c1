"""What of the sandbox is in force on this machine, as far as the workers have found out: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ENFORCE = "enforce"


@dataclass(frozen=True)
class WorkerSandbox:
    """What the self-test of one worker came to; `missing` holds clauses."""

    landlock: int = 0
    seccomp: bool = False
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class SandboxStatus:
    """The worst that any worker found.

    `mode` is `sandbox` of [worker]. Everything else is None or empty until a worker was started:
    `landlock` is the version (0 without it), `self_test` is `passed`, `failed` or `not run`,
    `missing` holds what is not in force, as clauses.
    """

    mode: str = "?"
    landlock: int | None = None
    seccomp: bool | None = None
    self_test: str = ""
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, mode: str, workers: Iterable[WorkerSandbox | None]) -> SandboxStatus:
        """Put together what each worker found.

        Args:
            mode: `sandbox` of [worker].
            workers: None for a worker that has not tried.
        """
        tried = [one for one in workers if one is not None]
        if not tried:
            return cls(mode)
        missing = tuple(dict.fromkeys(clause for one in tried for clause in one.missing))
        landlock = min(one.landlock for one in tried)
        seccomp = all(one.seccomp for one in tried)
        test = "not run" if not landlock or not seccomp else "failed" if missing else "passed"
        return cls(mode, landlock, seccomp, test, missing)

    @property
    def is_known(self) -> bool:
        """Whether a worker has tried."""
        return bool(self.self_test)

    @property
    def layers(self) -> dict[str, bool]:
        """Whether each layer is in force; empty until a worker was started."""
        if not self.is_known:
            return {}
        return {"landlock": bool(self.landlock), "seccomp": bool(self.seccomp)}

    @property
    def problem(self) -> str:
        """What needs attention, as a sentence; empty where everything is in force."""
        if not self.missing:
            return ""
        missing = "; ".join(self.missing)
        if self.mode == ENFORCE:
            return f"Nothing is loaded, because nothing would confine it: {missing}."
        return f"Models are loaded without the whole sandbox: {missing}."

    @property
    def line(self) -> str:
        """One line about what confines the loading of models here."""
        if not self.is_known:
            return f"{self.mode}, tried as soon as a worker has started"
        layers = (
            f"Landlock version {self.landlock}" if self.landlock else "no Landlock",
            "seccomp" if self.seccomp else "no seccomp",
            f"self-test {self.self_test}",
        )
        missing = f": {'; '.join(self.missing)}" if self.missing else ""
        return f"{self.mode}: {', '.join(layers)}{missing}"

    def to_public(self) -> dict[str, Any]:
        """The object of the status; what is not known yet is left out."""
        if not self.is_known:
            return {"mode": self.mode}
        return {
            "mode": self.mode,
            "landlock": self.landlock,
            "seccomp": self.seccomp,
            "self_test": self.self_test,
            "missing": list(self.missing),
        }
