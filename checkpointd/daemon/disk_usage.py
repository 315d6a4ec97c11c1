"""How full a file system is, and when it will be full if it goes on filling as it has lately."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpointd.observe.status import FilesystemStatus

if TYPE_CHECKING:
    from checkpointd.retention.trash import Disk

_WINDOW_SECONDS = 3600.0
_SAMPLE_SECONDS = 30.0
_LEAST_SECONDS = 300.0
_LEAST_SAMPLES = 4


@dataclass(frozen=True)
class DiskUsage:
    """What was last found out about the file system of a watch, in bytes.

    `reserve` is what the trash leaves free, `problem` a sentence if there is no space for that,
    `vault` what its copies occupy (None without a vault), `next_save` what the next one may need.
    """

    available: int | None = None
    trash: int | None = None
    reserve: int | None = None
    problem: str = ""
    vault: int | None = None
    filesystem: FilesystemStatus = field(default_factory=FilesystemStatus)
    next_save: int | None = None


class DiskTrend:
    """Follows how many bytes are free; times are monotonic seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, at: float, free: int) -> None:
        """Record the free bytes; of two measurements in short succession the later one counts."""
        if len(self._samples) > 1 and at - self._samples[-2][0] < _SAMPLE_SECONDS:
            self._samples.pop()
        self._samples.append((at, free))
        while at - self._samples[0][0] > _WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def seconds(self) -> float:
        """How long it has been followed, up to an hour."""
        return self._samples[-1][0] - self._samples[0][0] if self._samples else 0.0

    def bytes_per_second(self) -> float | None:
        """How fast it fills, by least squares; negative where it empties, None: not known yet."""
        count = len(self._samples)
        if count < _LEAST_SAMPLES or self.seconds < _LEAST_SECONDS:
            return None
        mean_at = sum(at for at, _ in self._samples) / count
        mean_free = sum(free for _, free in self._samples) / count
        spread = sum((at - mean_at) ** 2 for at, _ in self._samples)
        return -sum((at - mean_at) * (free - mean_free) for at, free in self._samples) / spread

    def seconds_left(self) -> float | None:
        """In how many seconds nothing will be free; None if it does not fill, or is not known."""
        rate = self.bytes_per_second()
        if rate is None or rate <= 0:
            return None
        return self._samples[-1][1] / rate

    def measured(self, path: str, disk: Disk, *, next_saves_fit: bool) -> FilesystemStatus:
        """The status of the file system that a path is on, as it was just measured."""
        try:
            number = os.stat(path).st_dev
        except OSError:
            device = ""
        else:
            device = f"{os.major(number)}:{os.minor(number)}"
        self.note(time.monotonic(), disk.free)
        left = self.seconds_left()
        return FilesystemStatus(
            device=device,
            size_bytes=disk.total,
            full_at=None if left is None else time.time() + left,
            observed_seconds=self.seconds,
            next_saves_fit=next_saves_fit,
        )
