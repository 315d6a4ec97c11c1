"""The verification suite: one row for each check, and everything that is read from the rows.

To add a check, add its row here, its module and its reasons; `checkpointd docs contributing` has
the steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable

from checkpointd.core.reasons import loading, scanning
from checkpointd.core.reasons.general import GENERAL, general_reasons
from checkpointd.core.verify_settings import LOAD_STAGE, SCAN_STAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.core.reasons.reason import Reason
    from checkpointd.core.verify_settings import VerifySettings


@dataclass(frozen=True)
class CheckSpec:
    """One check of the suite.

    Args:
        name: what reports, metrics and `skip` and `fail_on` of the config call it.
        stage: SCAN_STAGE or LOAD_STAGE.
        module: where its function `check(context)` is; imported by the stage's process alone.
        summary: what it establishes, in one line of the documentation.
        own_reasons: how it can end other than well, besides the general reasons.
        needs: the checks that it is not run after, once one of them failed or ended in an error.
        shows: what a report shows when it passes; empty for nothing.
        shows_although_warned: a warning does not keep that from being shown.
        optional: what this machine lacks for it is a note: it decides neither `intact` nor
            `loads`, and the user did not ask for it.
        enabled: whether it runs under some settings; None for always. Where a user has to ask for
            a check, one that cannot be run is an error.
        harmless: words of its reasons after which the checks of its stage that need it still run.
        borrows: other checks that it may end in a reason of.

    Raises:
        ValueError: a reason belongs to another check.
    """

    name: str
    stage: str
    module: str
    summary: str
    own_reasons: Mapping[str, Reason]
    needs: tuple[str, ...] = ()
    shows: str = ""
    shows_although_warned: bool = False
    optional: bool = False
    enabled: Callable[[VerifySettings], bool] | None = None
    harmless: frozenset[str] = field(default_factory=frozenset)
    borrows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for reason in self.own_reasons:
            if reason.partition(".")[0] != self.name:
                raise ValueError(f"the reason {reason!r} is none of the check {self.name!r}")

    @property
    def reasons(self) -> dict[str, Reason]:
        """Every reason that it may give, by name, the general ones too."""
        return {**general_reasons(self.name, optional=self.optional), **self.own_reasons}

    def runs_under(self, settings: VerifySettings) -> bool:
        """Whether it is part of the suite under these settings; `skip` is another matter."""
        return self.enabled is None or self.enabled(settings)


SUITE = (
    CheckSpec(
        name="structure",
        stage=SCAN_STAGE,
        module="checkpointd.verify.scan.structure",
        summary="Every file of the checkpoint is there, whole and in its format.",
        own_reasons=scanning.STRUCTURE,
    ),
    CheckSpec(
        name="integrity",
        stage=SCAN_STAGE,
        module="checkpointd.verify.scan.integrity",
        summary="The bytes are those that were written: checksums, digests, the golden record.",
        own_reasons=scanning.INTEGRITY,
        needs=("structure",),
        shows="intact",
        shows_although_warned=True,
    ),
    CheckSpec(
        name="safety",
        stage=SCAN_STAGE,
        module="checkpointd.verify.scan.safety.check",
        summary="Loading and running it reaches nothing outside it and runs no stored code.",
        own_reasons=scanning.SAFETY,
        needs=("structure",),
        harmless=frozenset({"needs_code"}),  # its weights can be read all the same
    ),
    CheckSpec(
        name="finite",
        stage=SCAN_STAGE,
        module="checkpointd.verify.scan.finite",
        summary="No weight is NaN or infinite.",
        own_reasons=scanning.FINITE,
        needs=("integrity", "safety"),
    ),
    CheckSpec(
        name="drift",
        stage=SCAN_STAGE,
        module="checkpointd.verify.scan.drift",
        summary="The weights moved plausibly since the last valid checkpoint of the series.",
        own_reasons=scanning.DRIFT,
        needs=("integrity", "safety"),
        optional=True,
    ),
    CheckSpec(
        name="load",
        stage=LOAD_STAGE,
        module="checkpointd.verify.load.load",
        summary="TensorFlow or Keras loads it, and restores every weight.",
        own_reasons=loading.LOAD,
        needs=("integrity", "safety"),
        shows="loads",
        shows_although_warned=True,
        borrows=("safety",),
    ),
    CheckSpec(
        name="signatures",
        stage=LOAD_STAGE,
        module="checkpointd.verify.load.signatures",
        summary="It has the signatures that are required, and those of its predecessor.",
        own_reasons=loading.SIGNATURES,
        needs=("load",),
        optional=True,
    ),
    CheckSpec(
        name="inference",
        stage=LOAD_STAGE,
        module="checkpointd.verify.load.inference",
        summary="It runs, and what it returns is finite and of the declared shape.",
        own_reasons=loading.INFERENCE,
        needs=("load",),
        shows="runs",
        optional=True,
    ),
    CheckSpec(
        name="predictions",
        stage=LOAD_STAGE,
        module="checkpointd.verify.load.predictions",
        summary="It predicts what the original predicted for the golden batch.",
        own_reasons=loading.PREDICTIONS,
        needs=("load",),
        shows="predicts",
        optional=True,
    ),
    CheckSpec(
        name="resume",
        stage=LOAD_STAGE,
        module="checkpointd.verify.load.resume",
        summary="The optimizer that was saved comes back, and a training step succeeds.",
        own_reasons=loading.RESUME,
        needs=("load",),
        shows="resumes",
        optional=True,
    ),
    CheckSpec(
        name="evaluate",
        stage=LOAD_STAGE,
        module="checkpointd.verify.load.evaluate",
        summary="Its metrics are within the bounds of [watch.verify]; only where it is configured.",
        own_reasons=loading.EVALUATE,
        needs=("load",),
        enabled=lambda settings: settings.evaluate.is_set,
    ),
)
"""The checks, in the order in which they run."""

SPECS: Mapping[str, CheckSpec] = {spec.name: spec for spec in SUITE}
CHECKS = tuple(SPECS)
SCAN_CHECKS = tuple(spec.name for spec in SUITE if spec.stage == SCAN_STAGE)
LOAD_CHECKS = tuple(spec.name for spec in SUITE if spec.stage == LOAD_STAGE)
SHOWS = {spec.name: spec.shows for spec in SUITE if spec.shows}

REASONS: Mapping[str, Reason] = {
    name: reason for spec in SUITE for name, reason in spec.reasons.items()
}
"""Every reason that a report may hold, by name; users' checks have further ones."""


def with_needs(names: Iterable[str]) -> tuple[str, ...]:
    """Return these checks and all that they need, directly or not, in the order of the suite."""
    needed: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += SPECS[name].needs
    return tuple(name for name in CHECKS if name in needed)


INTACT_CHECKS = with_needs(name for name, shown in SHOWS.items() if shown == "intact")
"""The check that shows `intact` and those that it needs."""

NEEDED_TO_LOAD = tuple(name for name in with_needs(LOAD_CHECKS) if name in SCAN_CHECKS)
"""The checks of the scan; when one fails or ends in an error, nothing is loaded."""

USER_CHECKS_NEED = {
    SCAN_STAGE: NEEDED_TO_LOAD,
    LOAD_STAGE: tuple(name for name, shown in SHOWS.items() if shown == "loads"),
}
"""What the user's checks of a stage need."""


def safety_first(names: Iterable[str]) -> tuple[str, ...]:
    """Return the checks of a scan in the order in which they run beside a load.

    What has to pass before anything is loaded, and reads no weights, comes first.
    """
    first = ("structure", "safety")
    return tuple(sorted(names, key=lambda name: first.index(name) if name in first else len(first)))


SWITCHED_OFF = "Switched off by skip in [watch.verify]."
"""The message of a check that `skip` names."""


def checks_of(stage: str, settings: VerifySettings) -> tuple[str, ...]:
    """Return the names of the checks that run in a stage under these settings, the user's last."""
    suite = (spec.name for spec in SUITE if spec.stage == stage and spec.runs_under(settings))
    return (*suite, *(check.name for check in settings.checks if check.stage == stage))


def cure_of(reason: str) -> str:
    """Return what to do about a reason; empty where only the user's check knows it."""
    known = REASONS.get(reason)
    if known is not None:
        return known.cure
    check, _, word = reason.partition(".")
    return GENERAL[word].cure if check and word in GENERAL else ""
