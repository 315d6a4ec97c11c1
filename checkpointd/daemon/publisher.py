"""Writes verdict files and links for one watch: each in one step, never into a watched directory.

Blocking; to be called in a separate thread. Files of others in its directories are left alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING

from checkpointd.daemon import published_content

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from checkpointd.config import WatchSettings
    from checkpointd.core.report import Report
    from checkpointd.ledger import Entry

_DIRECTORY_MODE = 0o750
_FILE_MODE = 0o640
_TEMPORARY = ".checkpointd-tmp-"


class Publisher:
    """What one watch publishes.

    Args:
        settings: of the watch.
        roots: the watched directories, in which nothing is ever written.
        report_of: returns the whole report of an entry.
    """

    def __init__(
        self,
        settings: WatchSettings,
        roots: Iterable[Path],
        report_of: Callable[[Entry], Report | None],
    ) -> None:
        self._settings = settings
        self._roots = tuple(roots)
        self._report_of = report_of
        self._written: dict[str, str] | None = None

    def publish(self, entries: list[Entry]) -> None:
        """Bring files and links up to date with the ledger; one is tried even if the other fails.

        Args:
            entries: all entries of the watch.

        Raises:
            OSError: something could not be written; `filename` is its path.
        """
        first: OSError | None = None
        for directory, work in (
            (self._settings.link_directory, self._publish_links),
            (self._settings.verdict_directory, self._publish_verdicts),
        ):
            if directory is not None:
                try:
                    prepare_directory(directory, self._roots)
                    work(directory, entries)
                except OSError as error:
                    first = first or error
        if first is not None:
            raise first

    def withdraw(self, keep: Collection[Path]) -> None:
        """Remove what was published, because it is not kept up to date any more.

        Args:
            keep: directories that go on being published to.

        Raises:
            OSError: something could not be removed.
        """
        for directory, clear in (
            (self._settings.link_directory, clear_links),
            (self._settings.verdict_directory, clear_verdicts),
        ):
            if directory is not None and directory not in keep:
                clear(directory)

    def _publish_verdicts(self, directory: Path, entries: list[Entry]) -> None:
        if self._written is None or not directory.exists():
            self._written = _read(directory)
        root = str(self._settings.path)
        current = {
            published_content.verdict_name(root, entry.checkpoint.path): entry
            for entry in published_content.verdicts(entries)
        }
        for name in [name for name in self._written if name not in current]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(directory / name)
            del self._written[name]
        for name, entry in current.items():
            token = published_content.token(entry)
            if self._written.get(name) != token:
                report = self._report_of(entry)
                if report is None:  # there is a newer one by now: a change follows
                    continue
                replace_file(directory / name, writing(published_content.document(entry, report)))
                self._written[name] = token

    def _publish_links(self, directory: Path, entries: list[Entry]) -> None:
        links = published_content.links(
            entries,
            frozenset(self._settings.publish.require),
            time.time(),
            self._settings.retention.order,
        )
        current = {link.directory: link for link in links.certain}
        for series in _series(directory):
            if links.undecided.get(series, frozenset()) & _targets(directory / series):
                continue
            if series not in current:
                _clear(directory / series, keep="")
                _remove(directory / series)
        for series, link in current.items():
            subdirectory = directory / series
            _make_directory(subdirectory)
            _clear(subdirectory, keep=link.name)
            if _target(subdirectory / link.name) != link.target:
                replace_file(subdirectory / link.name, partial(os.symlink, link.target))
            state_file = subdirectory / published_content.STATE_FILE
            if link.is_prefix and _content(state_file) != link.state:
                replace_file(state_file, writing(link.state))


def sweep(state_dir: Path, used: Collection[Path]) -> None:
    """Remove what was published into the state directory by watches that publish no longer.

    Args:
        state_dir: the state directory.
        used: the directories that are published to.

    Raises:
        OSError: something could not be removed.
    """
    for name, clear in (("latest", clear_links), ("verdicts", clear_verdicts)):
        with contextlib.suppress(FileNotFoundError):
            for directory in (state_dir / name).iterdir():
                if directory not in used:
                    clear(directory)


def clear_links(directory: Path) -> None:
    """Remove the links of every series in a directory, and the directory if it is empty then."""
    for series in _series(directory):
        _clear(directory / series, keep="")
        _remove(directory / series)
    _remove(directory)


def clear_verdicts(directory: Path) -> None:
    """Remove the verdict files in a directory, and the directory if it is empty then."""
    for name in _read(directory):
        (directory / name).unlink(missing_ok=True)
    _remove(directory)


def _remove(directory: Path) -> None:
    with contextlib.suppress(OSError):  # it holds files of others
        directory.rmdir()


def prepare_directory(directory: Path, roots: Iterable[Path]) -> None:
    """Make a directory to publish to.

    Args:
        directory: to make.
        roots: the watched directories, in which nothing is ever written.

    Raises:
        OSError: it cannot be made, or leads into one of them.
    """
    real = os.path.realpath(directory)
    for root in roots:
        watched = os.path.realpath(root)
        if real == watched or real.startswith(watched.rstrip("/") + "/"):
            raise OSError(
                0, f"leads into the watched directory {root}, where nothing is written", real
            )
    _make_directory(directory)


def _make_directory(directory: Path) -> None:
    with contextlib.suppress(FileExistsError):
        directory.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        directory.mkdir(mode=_DIRECTORY_MODE)
        directory.chmod(_DIRECTORY_MODE)  # whatever the umask took away


def replace_file(path: Path, make: Callable[[str], None]) -> None:
    """Create or replace a file in one step: made under a temporary name, then renamed."""
    temporary = os.path.join(path.parent, _TEMPORARY + secrets.token_hex(8))
    try:
        make(temporary)
        os.rename(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise OSError(error.errno, error.strerror, str(path)) from None


def writing(data: bytes) -> Callable[[str], None]:
    """Return what makes a file of these bytes, for `replace_file`."""

    def write(path: str) -> None:
        with open(path, "xb") as file:
            os.fchmod(file.fileno(), _FILE_MODE)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    return write


def _read(directory: Path) -> dict[str, str]:
    """Read the verdict files in a directory, and remove what a crash left half written."""
    tokens = {}
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            if name.startswith(_TEMPORARY):
                with contextlib.suppress(OSError):
                    os.unlink(directory / name)
            elif name.endswith(".json"):
                with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                    content = json.loads((directory / name).read_bytes())
                    tokens[name] = published_content.token_of(content)
    return tokens


def _series(directory: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _clear(directory: Path, keep: str) -> None:
    """Remove the links of a series, and the state file beside them, except the one to keep."""
    for name in os.listdir(directory):
        has_name = name.startswith((published_content.LINK, _TEMPORARY))
        is_link = has_name and (directory / name).is_symlink()
        is_left = name.startswith(_TEMPORARY)
        is_state = name == published_content.STATE_FILE and keep != published_content.LINK
        if name != keep and (is_link or is_left or is_state):
            (directory / name).unlink(missing_ok=True)


def _targets(directory: Path) -> set[str]:
    """What the links of a series lead to."""
    with contextlib.suppress(OSError):
        names = [n for n in os.listdir(directory) if n.startswith(published_content.LINK)]
        return {target for n in names if (target := _target(directory / n)) is not None}
    return set()


def _target(path: Path) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
