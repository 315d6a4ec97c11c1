"""Calls of one function in several threads, in the order of the items."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

S = TypeVar("S")
T = TypeVar("T")


def map_in_threads(function: Callable[[S], T], items: Sequence[S], count: int) -> list[T]:
    """Call a function with each item, `count` at a time.

    No executor: those wait for their threads when Python ends, and a hung disk would keep the
    process alive.

    Raises:
        BaseException: the first that a call raised; nothing is begun after it.
    """
    if count == 1:
        return [function(item) for item in items]
    left = iter(enumerate(items))
    results: dict[int, T] = {}
    errors: list[BaseException] = []
    lock = threading.Lock()

    def work() -> None:
        while not errors:
            with lock:
                index, item = next(left, (None, None))
            if index is None or item is None:
                return
            try:
                results[index] = function(item)
            except BaseException as error:  # noqa: BLE001 - it is for the caller, whatever it is
                errors.append(error)

    threads = [
        threading.Thread(target=work, name=f"{threading.current_thread().name}-{n}", daemon=True)
        for n in range(min(count, len(items)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[index] for index in sorted(results)]
