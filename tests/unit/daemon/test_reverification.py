"""Which verdicts are renewed after a change of settings, an interpreter or the user's code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.format_specs import Format
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.daemon.reverification import is_outdated
from tests.helpers.verdicts import THEN, judged

if TYPE_CHECKING:
    from checkpointd.core.report import Report

NOW = VerifySettings(runtime="tensorflow 2.16")


@pytest.mark.parametrize(
    ("report", "settings", "outdated"),
    [
        (judged(Verdict.INVALID, "finite.nan"), THEN, False),
        (judged(Verdict.INVALID, "finite.nan"), NOW, True),
        (judged(Verdict.INCONCLUSIVE, "load.unknown_object"), THEN, False),
        (judged(Verdict.INCONCLUSIVE, "load.unknown_object"), NOW, True),
        (judged(Verdict.INCONCLUSIVE, "load.environment"), THEN, True),
        (judged(Verdict.INCONCLUSIVE, "load.sandbox_unavailable"), THEN, True),
        (judged(Verdict.VALID, shown=("intact", "loads")), NOW, False),
        (judged(Verdict.VALID), NOW, True),
        (judged(Verdict.VALID), replace(NOW, skip=("load",)), False),
        (judged(Verdict.VALID, format_=Format.TF_CHECKPOINT), NOW, False),
        (judged(Verdict.VALID, format_=Format.TF_CHECKPOINT), replace(NOW, builder="m:f"), True),
    ],
)
def test_only_what_may_come_out_otherwise_is_verified_again(
    report: Report, settings: VerifySettings, outdated: bool
) -> None:
    """Terabytes of valid weights are not read again because a library was upgraded."""
    assert is_outdated(report, settings) is outdated
