"""A directory, the job that saves into it and the daemon that watches it, without any of them.

The simulator knows what a person knows: which job wrote what, in which order. Whatever the ledger
made of it, a plan never removes what that person would resume from, nor the newest of a kept run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from checkpointd.ledger import State
from checkpointd.ledger.facts import Earlier
from checkpointd.retention import plan
from tests.helpers.ledger import entry
from tests.helpers.plans import HOUR, policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.ledger import Entry

DAY = 24 * HOUR
KEEP = 2


@dataclass(frozen=True)
class Save:
    """One save as a person knows it: of which run it is, and which of its saves."""

    run: int
    order: int
    number: int
    path: str
    saved_at: float


@dataclass
class World:
    """The directory, the job that writes into it, and the daemon that watches it."""

    names_repeat: bool
    time: float = 1e9
    host_ahead: float = 0.0
    daemon_ahead: float = 0.0
    is_watched: bool = True
    run: int = 0
    number: int = 0
    saves: int = 0
    sequence: int = 0
    disk: dict[str, Save] = field(default_factory=dict)
    gone: list[Save] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    ledger: dict[str, Entry] = field(default_factory=dict)
    copied: dict[str, int] = field(default_factory=dict)
    written: int = 0
    reports: dict[Save, Earlier] = field(default_factory=dict)
    before: dict[str, tuple[Earlier, ...]] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)

    def save(self) -> None:
        """The job saves once more."""
        self.time += 600
        self.number += 1
        self.saves += 1
        name = (
            f"/w/ckpt-{self.number}" if self.names_repeat else f"/w/{self.run}/ckpt-{self.number}"
        )
        self._write(Save(self.run, self.saves, self.number, name, self.time + self.host_ahead))

    def _write(self, save: Save, *, is_copy: bool = False) -> None:
        if not is_copy:
            self.copied.pop(save.path, None)
        self.disk[save.path] = save
        self.unseen.append(save.path)
        if self.is_watched:
            self.list_directory()

    def start_again(self, number: int) -> None:
        """The job is started again from a lower number; it repeats names only while watched."""
        if self.names_repeat and not self.is_watched:
            return
        lower = number % max(1, self.number)
        if lower < self.number:
            self.run += 1
            self.number = self.starts[self.run] = lower
            self.save()

    def copy_back(self, which: int, *, keeps_time: bool) -> None:
        """An operator copies one back that is not there any more."""
        self.time += 60
        free = [save for save in self.gone if save.path not in self.disk]
        if free:
            save = free[which % len(free)]
            at = save.saved_at if keeps_time else self.time + self.host_ahead
            self.copied[save.path] = 0
            self._write(replace(save, saved_at=at), is_copy=True)

    def list_directory(self) -> None:
        """The daemon lists the directory: what it finds now it has found together."""
        self.sequence += 1
        now = self.time + self.daemon_ahead + 1
        for path in dict.fromkeys(self.unseen):
            save = self.disk[path]
            known = self.ledger.get(path)
            content = replace(save, saved_at=0.0)
            before = self.reports.get(content) if path in self.copied else None
            self.reports.setdefault(content, Earlier(save.saved_at, self.sequence))
            self.ledger[path] = entry(
                known.id if known else len(self.ledger) + 1,
                step=save.number,
                saved_at=save.saved_at,
                seen=now,
                first_seen=known.first_seen if known else now,
                sequence=self.sequence,
                path=path,
                original=before,
                before=self.before.get(path, ()),
            )
            if before is None:
                here = Earlier(save.saved_at, self.sequence)
                self.before[path] = (*self.before.get(path, ()), here)
        self.written += len(self.unseen)
        for path in set(self.unseen) & set(self.copied):
            self.copied[path] = self.written if len(self.unseen) == 1 else -KEEP
        self.unseen = []

    def watch(self, *, is_watched: bool) -> None:
        """The daemon is stopped or started."""
        self.is_watched = is_watched
        if is_watched:
            self.list_directory()

    def prune(self, *, may_remove_runs: bool) -> None:
        """The daemon plans and prunes; compare what goes with what a person would keep."""
        if not self.is_watched:
            return
        self.time += 30
        now = self.time + self.daemon_ahead
        rules = policy(keep_last=KEEP, min_age="1ms")
        made = plan(self.ledger.values(), rules, now, may_remove_runs=may_remove_runs)
        removed = {d.entry.path: self.disk[d.entry.path] for d in made.removals}
        for path in self.wanted() & set(removed):
            raise AssertionError(f"{removed[path]} was removed; on disk: {self.disk}")
        for path, save in removed.items():
            self.ledger[path] = replace(self.ledger[path], state=State.TRASHED)
            self.gone.append(save)
            del self.disk[path]

    def wanted(self) -> set[str]:
        """What a person would keep: the newest of the two newest runs, and what was just copied.

        What is found together, copies too, goes by number and time where these agree: nobody who
        looks at the directory then knows more of it.
        """
        runs: dict[int, list[Save]] = {}
        for save in self.disk.values():
            runs.setdefault(save.run, []).append(save)
        oldest = min(sorted(runs, reverse=True)[:2], default=0)  # `keep_runs` counts each start
        for run in range(self.run):
            # What is left of a run is only what the next one went on from: it is part of that one.
            start = self.starts.get(run + 1, 0)
            left = runs.get(run, ())
            if self.names_repeat and left and all(save.number <= start for save in left):
                runs.setdefault(run + 1, []).extend(runs.pop(run))
        kept = {
            save.path
            for run in sorted(runs, reverse=True)[:2]
            if run >= oldest
            for save in sorted(runs[run], key=lambda s: s.order)[-KEEP:]
            if not self._is_older_than_others_found_with_it(save)
        }
        return kept | {path for path, at in self.copied.items() if self.written - at < KEEP}

    def _is_older_than_others_found_with_it(self, save: Save) -> bool:
        sequence = self.ledger[save.path].sequence
        newer = [
            other
            for other in self.disk.values()
            if self.ledger[other.path].sequence == sequence
            and other.number > save.number
            and other.saved_at > save.saved_at
        ]
        return len(newer) >= KEEP

    def live_through(self, history: Iterable[tuple[str, float]]) -> None:
        """All steps of a history; at its end the daemon is started, and removes what it may."""
        for step, value in history:
            self.do(step, value)
        self.watch(is_watched=True)
        self.prune(may_remove_runs=True)

    def do(self, step: str, value: float) -> None:
        """One step of a history."""
        if step == "save":
            for _ in range(int(value)):
                self.save()
        elif step.startswith("prune"):
            self.prune(may_remove_runs=step == "prune runs")
        elif step == "start again":
            self.start_again(int(value))
        elif step.startswith("copy"):
            self.copy_back(int(value), keeps_time=step == "copy")
        elif step == "host":
            self.host_ahead = value
        elif step == "daemon":
            self.daemon_ahead = value
        else:
            self.watch(is_watched=bool(value))
