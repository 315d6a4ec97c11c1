"""One reason in full: what it means, what it rests on, what to do.

The meaning is prose of the page `verdicts`, everything else comes from the list of reasons.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.cli.manual.pages import section
from checkpointd.cli.manual.tables import VERDICTS
from checkpointd.core.reasons.general import GENERAL
from checkpointd.core.suite import CHECKS, REASONS, cure_of
from checkpointd.core.verify_settings import is_check_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_PAGE = "verdicts"
_USER = "Reasons of user checks"
_LINK = re.compile(r"\[[^]]+\]\(([\w-]+)\.md[^)]*\)")
_CUTOFF = 0.6
_MISSPELT = 0.8


@dataclass(frozen=True)
class Explanation:
    """A reason in words; `severity`, `verdict` and `basis` are empty where its check decides."""

    reason: str
    meaning: str
    severity: str = ""
    verdict: str = ""
    basis: str = ""
    cure: str = ""


class UnknownReasonError(LookupError):
    """There is no such reason; `close` are those that may have been meant."""

    def __init__(self, reason: str, close: list[str]) -> None:
        super().__init__(reason)
        self.close = close


def explain(reason: str, user_checks: Iterable[str] = ()) -> Explanation:
    """Explain a reason.

    Args:
        reason: its name, such as `finite.nan` or `load.timeout`.
        user_checks: the names of the checks that the config adds.

    Raises:
        UnknownReasonError: there is none of that name.
    """
    check, _, word = reason.partition(".")
    meaning = _meaning(word if word in GENERAL else reason)
    if known := REASONS.get(reason):
        return Explanation(
            reason=reason,
            meaning=meaning,
            severity=known.severity.value,
            verdict=VERDICTS[known.severity],
            basis=known.basis.value,
            cure=known.cure,
        )
    misspelt = difflib.get_close_matches(reason, REASONS, n=1, cutoff=_MISSPELT)
    may_be_user = is_check_name(check) and bool(word) and check not in CHECKS
    if check not in set(user_checks) and (misspelt or not may_be_user):
        raise UnknownReasonError(reason, difflib.get_close_matches(reason, REASONS, 5, _CUTOFF))
    title = word if word in (*GENERAL, "check_error") else _USER
    return Explanation(reason, _meaning(title), cure=cure_of(reason))


def _meaning(title: str) -> str:
    """The text below a heading; links to other pages become the command that shows them."""
    return _LINK.sub(r"`checkpointd docs \1`", section(_PAGE, title))
