"""The scan stage run over a path, and weights files written by hand."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import h5py

from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.request import End, Former, Previous, Request
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.formats import locate
from checkpointd.verify.scan.scan_stage import scan

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from checkpointd.core.report import Facts


@dataclass(frozen=True)
class Scanned:
    """The result of a scan."""

    end: End
    facts: Facts
    message: str
    checks: dict[str, CheckResult]

    @property
    def reasons(self) -> list[str]:
        """The reasons of all checks."""
        return [c.reason for c in self.checks.values() if c.reason]

    @property
    def clean(self) -> bool:
        """Whether every check passed; one that has nothing to compare with is skipped."""
        relevant = [
            c for c in self.checks.values() if (c.name, c.outcome) != ("drift", Outcome.SKIP)
        ]
        return self.end is End.DONE and all(c.outcome is Outcome.PASS for c in relevant)


def request_for(path: Path | str, **settings: Any) -> Request:
    """Return the request to verify what is at a path now."""
    found = locate(str(path))
    assert found is not None, path
    return Request(Checkpoint(found.path, found.hint), found.generation, VerifySettings(**settings))


def scanned(
    path: Path | str,
    former: Former | None = None,
    previous: Former | None = None,
    *,
    idle: bool = False,
    **settings: Any,
) -> Scanned:
    """Run the scan side over a path, given what was read whole there and in its series before."""
    results: list[CheckResult] = []
    last = Previous(str(path), previous.facts) if previous else None
    asked = request_for(path, **settings)
    request = replace(asked, former=former, previous=last, idle=idle)
    end, facts, message = scan(request, results.append)
    return Scanned(end, facts, message, {r.name: r for r in results})


def seeded() -> random.Random:
    """A random generator whose seed is printed."""
    seed = secrets.randbits(32)
    print("seed", seed)  # noqa: T201 - shown by pytest when the test fails
    return random.Random(seed)  # noqa: S311 - test data


def write_weights(path: Path, tensors: dict[str, np.ndarray], **options: Any) -> None:
    """Write a Keras 3 weights file: arrays by layer name; options go to `create_dataset`."""
    with h5py.File(path, "w") as file:
        for layer, values in tensors.items():
            group = file.create_group(f"layers/{layer}/vars")
            group.attrs["name"] = layer
            group.create_dataset("0", data=values, **options)
