"""Events are hints: whatever they report or omit, the watch reports what is on disk."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from checkpointd.watch.change_detector import ChangeDetector
from checkpointd.watch.directory_tree import DirectoryTree
from checkpointd.watch.event_queue import Batch
from checkpointd.watch.events import GenerationUpdate, Gone
from checkpointd.watch.globs import select
from tests.helpers.formats import superblock
from tests.helpers.watch import settings

if TYPE_CHECKING:
    from checkpointd.watch.events import WatchEvent

_DIRECTORIES = ("", "a", "a/b", "c")
_FILES = tuple(f"{d}/m{n}.h5".lstrip("/") for d in _DIRECTORIES for n in (1, 2))
_PATHS = (*_FILES, *_DIRECTORIES[1:], "never", "a/never.h5", "a/b/c/d/never.h5")

actions = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(_FILES), st.integers(100, 400)),
    st.tuples(st.just("delete"), st.sampled_from(_FILES), st.just(0)),
    st.tuples(st.just("move"), st.sampled_from(_DIRECTORIES[1:]), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.sampled_from(_DIRECTORIES[1:]), st.just(0)),
)
hints = st.builds(
    lambda touched, directories, closed: (set(touched), set(directories), set(closed)),
    st.lists(st.sampled_from(_PATHS), max_size=4),
    st.lists(st.sampled_from(_PATHS), max_size=3),
    st.lists(st.sampled_from(_PATHS), max_size=3),
)


class World:
    """A directory, the state of its watch, and the events that it emitted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[WatchEvent] = []
        tree = DirectoryTree(str(root), select())
        self.detector = ChangeDetector(
            settings(root, settle=0.5),
            {},
            self.events.append,
            tree,
            series={},
            unchanged={},
            on_response=lambda: None,
            now=0.0,
        )
        self.now = 0.0

    def act(self, what: str, relative: str, number: int) -> None:
        """Change something on the disk."""
        path = self.root / relative
        if what == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(superblock(number).ljust(number, b"\0"))
        elif what == "delete":
            path.unlink(missing_ok=True)
        elif what == "remove":
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            target = self.root / f"moved{number}"
            shutil.rmtree(target, ignore_errors=True)
            path.rename(target)

    def check(self, hint: tuple[set[str], set[str], set[str]]) -> None:
        """Let the watch check because of some events, real or invented."""
        touched, directories, closed = ({str(self.root / p) for p in some} for some in hint)
        self.now += 1.0
        batch = Batch(touched=touched, directories=directories, closed=closed)
        self.detector.check(batch, self.now, pending=True, may_report_gone=lambda: True)

    def reconcile(self) -> None:
        """Let the watch compare everything."""
        self.now += 1.0
        self.detector.reconcile(Batch(), self.now, initial=False, may_report_gone=lambda: True)

    def reported(self) -> dict[str, tuple[int, int]]:
        """Return inode and size last reported of each path that is not gone."""
        reported: dict[str, tuple[int, int]] = {}
        for event in self.events:
            if isinstance(event, Gone):
                reported.pop(event.path, None)
            elif isinstance(event, GenerationUpdate) and event.state == "settled":
                (member,) = event.generation.members
                reported[event.checkpoint.path] = (member.inode, member.size)
        return reported

    def on_disk(self) -> dict[str, tuple[int, int]]:
        """Return inode and size of each file on disk."""
        found = {str(p): p.stat() for p in self.root.rglob("*.h5")}
        return {path: (seen.st_ino, seen.st_size) for path, seen in found.items()}


@hypothesis_settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(actions, hints, st.booleans()), max_size=15))
def test_missing_doubled_and_invented_events_change_nothing(
    story: list[tuple[tuple[str, str, int], tuple[set[str], set[str], set[str]], bool]],
) -> None:
    """After the next full comparison every checkpoint is reported as it is, and none twice."""
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory))
        world.reconcile()
        for action, hint, checks in story:
            world.act(*action)
            if checks:
                world.check(hint)
                world.check(hint)
        world.reconcile()
        world.reconcile()
        assert world.reported() == world.on_disk()
        before = len(world.events)
        world.reconcile()
        world.check(({*_FILES}, {*_DIRECTORIES}, {*_FILES}))
        assert len(world.events) == before
