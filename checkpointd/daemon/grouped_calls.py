"""Groups what several threads ask the ledger at about the same time into one call of its thread.

Each of them gets what it would get alone, no older than its question; what is written is on the
disk when it goes on. What differs is that the disk and the thread are waited for once for all.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.ledger import Ledger

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class _Group(Generic[T, R]):
    items: list[T] = field(default_factory=list)
    answers: Future[Sequence[R]] = field(default_factory=Future)


class GroupedCalls(Generic[T, R]):
    """Calls of one kind; thread-safe.

    Args:
        ledger: the ledger's thread.
        call: answers all items of a list, in their order; what it writes is one transaction.
    """

    def __init__(
        self, ledger: LedgerThread, call: Callable[[Ledger, list[T]], Sequence[R]]
    ) -> None:
        self._ledger = ledger
        self._call = call
        self._lock = threading.Lock()
        self._open: _Group[T, R] | None = None

    def __call__(self, item: T) -> R:
        """Wait for the answer to one item.

        Raises:
            LedgerError: the ledger cannot be read or written; nothing of the group is.
        """
        with self._lock:
            is_first = self._open is None
            group = self._open = self._open or _Group()
            at = len(group.items)
            group.items.append(item)
        if not is_first:
            return group.answers.result()[at]
        try:
            answers = self._ledger.wait(lambda ledger: self._answer(ledger, group))
        except BaseException as error:
            self._close(group)
            group.answers.set_exception(error)
            raise
        group.answers.set_result(answers)
        return answers[at]

    def _answer(self, ledger: Ledger, group: _Group[T, R]) -> Sequence[R]:
        """Answer all items that were added before the ledger's thread was free."""
        self._close(group)
        return self._call(ledger, group.items)

    def _close(self, group: _Group[T, R]) -> None:
        with self._lock:
            if self._open is group:
                self._open = None
