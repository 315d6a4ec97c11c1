"""The config, the state, and what a typed path stands for, as commands need them."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from checkpointd import config as configuration
from checkpointd.cli.errors import (
    CONFIG,
    UNREACHABLE,
    USAGE,
    CliError,
    DeniedError,
    NoStateError,
)
from checkpointd.core.urls import is_url, other_scheme, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

    from checkpointd.config import Config, ConfigError, Locations
    from checkpointd.ledger import Entry, Ledger


@dataclass(frozen=True)
class Workspace:
    """The selected config; everything else is looked up when a command needs it."""

    option: Path | None

    @property
    def config_path(self) -> Path:
        """Where the config is, or would be."""
        return configuration.find(self.option)

    @property
    def has_config(self) -> bool:
        """Whether there is a config that can be read, or one was named and must be there."""
        return self.is_config_named or os.access(self.config_path, os.R_OK)

    @property
    def is_config_named(self) -> bool:
        """Whether a config was asked for; otherwise it was found where one usually is."""
        return configuration.named_config(self.option) is not None

    def config(self) -> Config:
        """The whole config.

        Raises:
            DeniedError: nobody named it, and this user may not read it.
            ConfigError: it is wrong, or not there.
        """
        try:
            return configuration.load(self.config_path)
        except configuration.ConfigDeniedError as error:
            if self.is_config_named:
                raise
            raise DeniedError(error.message, error.cure) from None

    def config_or_none(self) -> Config | None:
        """The config for a command that can work without: unless it was named, it may be invalid.

        Raises:
            ConfigError: it was named, and is wrong or not there.
        """
        if not self.has_config:
            return None
        try:
            return self.config()
        except configuration.ConfigError as error:
            if self.is_config_named:
                raise
            from checkpointd.core.text import printable

            first = str(error).splitlines()[0].rstrip(".")
            message = (
                f"The config is broken, going on without the settings of its watches: {first}."
            )
            print(printable(message), file=sys.stderr)
            return None

    def locations(self) -> Locations:
        """Where state and roots are; the default state directory if there is no config.

        A broken config is reported in one line; the command goes on with what can be read of it.

        Raises:
            ConfigError: the config cannot be read at all.
        """
        return self._locations

    def state_dir(self) -> Path:
        """Where the daemon's socket is, although the config may be broken by now.

        Raises:
            ConfigError: the config cannot be read at all, and the default has no state.
        """
        return self.remains().state_dir

    def remains(self) -> Locations:
        """As `locations`; where no config can be read, only the default state directory.

        For what must work when somebody has just broken the config or removed it.

        Raises:
            ConfigError: the config cannot be read at all, and the default has no state.
        """
        return self._remains

    @functools.cached_property
    def _remains(self) -> Locations:
        from checkpointd.core.text import printable
        from checkpointd.ledger import opening

        try:
            return self.locations()
        except configuration.ConfigError as error:
            fallback = configuration.default_state_dir(self.config_path.absolute().parent)
            if not any((fallback / name).exists() for name in ("control.sock", opening.NAME)):
                raise
            message = f"{error} Going on without it, with the state in {fallback}."
            print(printable(message), file=sys.stderr)
            return configuration.Locations(fallback, {})

    @functools.cached_property
    def _locations(self) -> Locations:
        if not self.has_config:
            return configuration.Locations(configuration.unnamed_state_dir(), {})
        try:
            found = configuration.locations(self.config_path)
            if found is not None:
                return found
            config = self.config()
            return configuration.Locations(
                config.state_dir,
                {w.name: w.path for w in config.watch},
                {w.name: w.retention.order for w in config.watch},
            )
        except configuration.ConfigError as error:
            return self._salvaged(error)

    def _salvaged(self, error: ConfigError) -> Locations:
        from checkpointd.cli.client import Client
        from checkpointd.cli.output import console, print_text
        from checkpointd.core.text import printable

        left = configuration.salvage(self.config_path)
        first = str(error).splitlines()[0].rstrip(".")
        message = (
            f"The config is broken, going on without it, with the state in {left.state_dir}; "
            f"`checkpointd config check` lists all errors: {first}."
        )
        print_text(console(sys.stderr), printable(message))
        try:
            watches = Client(left.state_dir).get("/api/v1/status")["watches"]
            roots = {
                str(w["name"]): configuration.root_at(str(w["path"]), Path("/")) for w in watches
            }
        except (CliError, LookupError, TypeError):
            roots = {}
        return configuration.Locations(left.state_dir, roots or left.roots)

    def ledger(self, state_dir: Path | None = None) -> Ledger:
        """The ledger, for reading: that of the config, or of a state directory.

        Raises:
            NoStateError: there is none yet.
            CliError: it cannot be read.
        """
        from checkpointd.ledger import Ledger, LedgerError, NoLedgerError

        state_dir = self.locations().state_dir if state_dir is None else state_dir
        try:
            return Ledger.open(state_dir, readonly=True)
        except NoLedgerError as error:
            if os.path.isdir(state_dir):
                raise NoStateError(str(error)) from None
            raise NoStateError(f"There is no state in {state_dir}.{self.how_to_find()}") from None
        except LedgerError as error:
            raise CliError(str(error), UNREACHABLE) from None

    def how_to_find(self) -> str:
        """Return what to do where no service was found, as a sentence to append; or nothing."""
        if self.has_config:
            return (
                " No daemon has run with this config yet: start it, or name another config with "
                "--config."
            )
        return (
            " No config and no running service were found on this host: start the service, or "
            "name the daemon's config with --config."
        )

    def present(
        self,
        watch: str | None,
        limit: int | None = None,
        only: frozenset[str] | None = None,
        *,
        series: str | None = None,
        below: tuple[str, ...] = (),
    ) -> list[Entry]:
        """The known checkpoints that are on disk, newest first; of one watch, or all.

        Args:
            watch: the name of one, or None for all.
            limit: how many at most.
            only: the states that are wanted; all by default.
            series: the label of one, or None for all.
            below: directories that they must be in; anywhere by default.

        Raises:
            CliError: there is no ledger yet, or it cannot be read.
            checkpointd.ledger.LedgerError: its content cannot be trusted.
        """
        from checkpointd.ledger import State
        from checkpointd.ledger.facts import ABSENT

        ledger = self.ledger()
        try:
            states = [
                s
                for s in State
                if s not in ABSENT and s is not State.UNKNOWN and (only is None or s in only)
            ]
            return ledger.entries(
                watch=watch, series=series, states=states, limit=limit, below=below
            )
        finally:
            ledger.close()


def workspace_of(context: typer.Context) -> Workspace:
    """The `Workspace` that the global options made."""
    workspace = context.obj
    if not isinstance(workspace, Workspace):
        raise CliError("The command line was put together wrongly.", CONFIG)
    return workspace


def absolute(path: str) -> str:
    """A typed path as an absolute one; a URL of a bucket without slashes at its end.

    Raises:
        CliError: it is empty, or a URL that names nothing in a bucket.
    """
    if not path:  # as of a variable that is not set
        raise CliError("The path is empty: name a file, a directory or a URL.", USAGE)
    if scheme := other_scheme(path):
        raise CliError(f"{path}: {scheme}:// is not known, only gs:// and s3:// are.", USAGE)
    if not is_url(path):
        return os.path.abspath(path)
    try:
        return str(parse_url(path))
    except ValueError as error:
        raise CliError(f"{error}.", USAGE) from None


def aliases(path: str, locations: Locations) -> tuple[str, ...]:
    """The names under which the ledger may know a path: as typed, and through each root.

    A root in the config may be a symlink, or the path that was typed may go through one.
    """
    typed = absolute(path)
    if is_url(typed):
        return (typed,)
    real = os.path.realpath(path)
    return tuple(dict.fromkeys([typed, *_through(real, locations), real]))


def known_path(workspace: Workspace, path: str) -> str:
    """The path of the checkpoint that a path names: as the ledger has it, else as it is on disk.

    A shard, an index or a file inside a SavedModel stands for the whole checkpoint.
    """
    return known_paths(workspace, path)[0]


def known_paths(workspace: Workspace, path: str) -> list[str]:
    """Every path of a checkpoint that a path names: a link in a root, and what it leads to."""
    from checkpointd.buckets import storage_of
    from checkpointd.formats import locate

    locations = workspace.locations()
    try:
        candidate = locate(absolute(path), storage_of(path))
    except OSError:
        candidate = None
    names = [*(aliases(candidate.path, locations) if candidate else ()), *aliases(path, locations)]
    try:
        ledger = workspace.ledger()
    except CliError:
        return names[:1]
    try:
        known = [name for name in dict.fromkeys(names) if ledger.entry(name) is not None]
        return known or names[:1]
    finally:
        ledger.close()


@contextlib.contextmanager
def writing(state_dir: Path, no_daemon: CliError) -> Iterator[Ledger]:
    """The ledger, for writing, while no daemon runs.

    Args:
        state_dir: where it is.
        no_daemon: why the daemon cannot be asked; raised where the ledger cannot be had either.

    Raises:
        CliError: a daemon holds the ledger, or it cannot be written.
    """
    from checkpointd.ledger import Ledger, LedgerError, StateLock

    if not state_dir.is_dir():
        raise no_daemon
    try:
        with StateLock(state_dir):
            ledger = Ledger.open(state_dir)
            try:
                yield ledger
            finally:
                ledger.close()
    except LedgerError as error:
        raise CliError(str(error), UNREACHABLE) from None


def _through(real: str, locations: Locations) -> Iterator[str]:
    for root in locations.roots.values():
        if is_url(root):
            continue
        base = os.path.realpath(root)
        if real == base or real.startswith(base.rstrip("/") + "/"):
            yield os.path.normpath(f"{root}/{os.path.relpath(real, base)}")


def below(path: str, directories: tuple[str, ...]) -> bool:
    """Whether a path is one of some directories, or inside one."""
    return any(path == d or path.startswith(d.rstrip("/") + "/") for d in directories)
