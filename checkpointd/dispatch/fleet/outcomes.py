"""What became of a try, and what that means for the checkpoint; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd import __version__
from checkpointd.core.check_result import failed, skipped
from checkpointd.core.decode import DecodeError
from checkpointd.core.reasons.reason import Basis
from checkpointd.core.report import Facts
from checkpointd.core.request import Answer, End
from checkpointd.core.suite import REASONS, checks_of
from checkpointd.core.text import printable
from checkpointd.core.verdict import Verdict
from checkpointd.dispatch.fleet.answers import validated_answer
from checkpointd.dispatch.fleet.messages import ELSEWHERE, RETURNED, decode_end
from checkpointd.dispatch.reports import make_report
from checkpointd.worker.protocol import LOAD, SCAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.core.request import Request
    from checkpointd.dispatch.fleet.messages import Member

_MAX_MESSAGE = 2000


@dataclass(frozen=True)
class Lost:
    """A try that ended without an answer.

    `counts`: the checkpoint may be the cause; `word` is the reason's, where it is the last try.
    """

    message: str
    counts: bool = True
    word: str = "workers_lost"


@dataclass(frozen=True)
class Elsewhere:
    """The checkpoint looks different on the host that was asked; `message` says how."""

    message: str

    @property
    def answer(self) -> Answer:
        """The answer, where no other host can be asked."""
        return Answer(End.SUPERSEDED, self.message)


def judge(
    request: Request, member: Member, payload: str, elapsed: float
) -> Answer | Elsewhere | Lost:
    """Return what a worker's answer means.

    Args:
        request: what was asked.
        member: the worker.
        payload: what it sent.
        elapsed: seconds since it was asked.
    """
    try:
        end, raw = decode_end(payload)
        if end == RETURNED:
            return Lost("It was stopped in order.", counts=False)
        if end == ELSEWHERE:
            return Elsewhere(printable(raw["message"], _MAX_MESSAGE))
        return validated_answer(request, end, raw, elapsed)
    except DecodeError as error:
        message = f"Its answer was refused: {printable(str(error), 500)}."
    if member.version != __version__:
        message += (
            f" It runs checkpointd {printable(member.version, 50)}, this daemon {__version__}: "
            "install the same version on both."
        )
    return Lost(message, word="environment")


def depends_on_host(answer: Answer) -> bool:
    """Whether another host may come to a verdict where this one did not.

    It may have the package that is missing here, more memory, or permission to read. A time-out is
    none of these: it would last as long again.
    """
    report = answer.report
    if report is None or report.verdict is not Verdict.INCONCLUSIVE:
        return False
    reason = REASONS.get(report.reason)
    is_timeout = report.reason.endswith(".timeout")
    return reason is not None and reason.basis is Basis.MACHINE and not is_timeout


def given_up(request: Request, word: str, reasons: Sequence[str]) -> Answer:
    """Return the answer about a checkpoint that several workers gave no answer about."""
    message = f"{len(reasons)} workers gave no answer about it. {' '.join(reasons)}"
    first = failed("structure", word, message)
    names = [name for stage in (SCAN, LOAD) for name in checks_of(stage, request.settings)]
    rest = [
        skipped(name, "Not run, because structure did not pass.")
        for name in names
        if name != first.name
    ]
    facts = Facts(format=request.checkpoint.format)
    return Answer(End.DONE, "", make_report(request, facts, [first, *rest], 0.0, ""))
