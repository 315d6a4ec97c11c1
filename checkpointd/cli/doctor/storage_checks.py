"""Checks of the state directory, the ledger, the roots, the trash and the space on each disk."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from checkpointd.cli.doctor.finding import NO_CONFIG, ok, problem, unknown, warning
from checkpointd.cli.service_account import denials, run_as
from checkpointd.core.mounts import file_system, is_remote
from checkpointd.core.permissions import MAY_READ, MAY_WRITE, is_sticky_for
from checkpointd.core.text import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.cli.doctor.finding import Finding
    from checkpointd.cli.doctor.host import Host
    from checkpointd.config import WatchSettings

_MEMORY = ("tmpfs", "ramfs")
_OVERLAY = "overlay"
_MAX_ENTRIES = 20_000
_LOW_SHARE = 20
_LOW_BYTES = 1 << 30
_LOW_FILES = 10_000
_PRIVATE = ("/tmp", "/var/tmp")  # noqa: S108 - compared, nothing is created there


def state(host: Host) -> Iterator[Finding]:
    """Whether the state directory is there, belongs to the service, and outlives a reboot."""
    directory = host.state_dir
    try:
        mode = directory.stat().st_mode
    except FileNotFoundError:
        yield _missing_state(host)
        return
    except OSError as error:
        yield unknown(f"{directory} cannot be looked at: {error.strerror}.", host.needs_sudo)
        return
    if mode & stat.S_IWOTH:
        yield problem(f"Every user may write into {directory}.", f"`sudo chmod o-w {directory}`.")
    if host.account.can_be_tried:
        (cure,) = denials(host.account, [(str(directory), MAY_WRITE)])
        if cure:
            yield problem(f"{host.account.name} may not write into {directory}.", cure)
    kind = file_system(str(directory))
    if is_remote(kind):
        yield problem(
            f"{directory} is on {kind}, over which the ledger's journal does not work.",
            "Set [daemon] state_dir to a local disk.",
        )
    elif kind in _MEMORY:
        yield warning(
            f"{directory} is on {kind}: the ledger is lost with every reboot.",
            "Set [daemon] state_dir to a disk.",
        )
    elif kind == _OVERLAY:
        yield warning(
            f"{directory} is on overlayfs: in a container, the ledger is lost with it.",
            "Mount a volume there.",
        )
    else:
        yield ok(f"{directory} on {kind or 'an unknown file system'}, of {host.account.name}")


def _missing_state(host: Host) -> Finding:
    if host.status is not None:
        message = f"{host.state_dir} was removed while the daemon runs."
        return problem(message, f"`sudo systemctl restart {host.unit}`.")
    return unknown(
        f"{host.state_dir} does not exist yet.", "The first start of the daemon makes it."
    )


def ledger(host: Host) -> Iterator[Finding]:
    """Whether the ledger can be read, and by this version."""
    from checkpointd.ledger import Ledger, LedgerError, NoLedgerError

    try:
        found = Ledger.open(host.state_dir, readonly=True)
        try:
            counts = found.counts()
        finally:
            found.close()
    except NoLedgerError:
        cure = "The first start of the daemon makes it."
        yield unknown(f"There is no ledger in {host.state_dir} yet.", cure)
    except LedgerError as error:
        message, _, cure = str(error).partition(". ")
        yield problem(f"{message.rstrip('.')}.", cure or "Restart the daemon.")
    else:
        known = sum(sum(states.values()) for states in counts.values())
        yield ok(f"knows {known} checkpoint{'' if known == 1 else 's'}")


def roots(host: Host) -> Iterator[Finding]:
    """Whether each root is there, and the service may read all of it, and prune if it is to."""
    if host.config is None:
        yield unknown(*NO_CONFIG)
        return
    up = {w.name: w for w in host.status.watches} if host.status is not None else {}
    for watch in host.config.watch:
        findings = list(_bucket(host, watch) if watch.bucket else _root(host, watch))
        status = up.get(watch.name)
        if status is not None and not findings and (not status.up or status.message):
            level = warning if status.up else problem
            findings.append(level(f"{watch.name}: {status.message}", _WATCH_CURE))
        if not findings and watch.bucket:
            every = f"{watch.poll_interval:g} s"
            findings = [ok(f"{watch.name}: {watch.bucket} can be listed, every {every}")]
        if not findings:
            kind = file_system(str(watch.path))
            remote = is_remote(kind) and watch.method != "inotify"
            how = f", compared every {watch.poll_interval:g} s" if remote else ""
            findings = [
                ok(f"{watch.name}: {watch.path} on {kind or 'an unknown file system'}{how}")
            ]
        yield from findings
        if watch.replicate.to:
            yield _destination(host, watch)


_WATCH_CURE = 'The runbook is in `checkpointd docs operations`, under "A watch is down".'


def _bucket(host: Host, watch: WatchSettings) -> Iterator[Finding]:
    """Whether a bucket can be listed with the environment of this process."""
    from checkpointd.buckets import why_not_listed

    why = why_not_listed(watch.bucket)
    status = host.status
    is_up = status is not None and any(w.up for w in status.watches if w.name == watch.name)
    if why and is_up:
        cure = "The service has other credentials than you: nothing needs to be done."
        yield warning(f"{watch.name}: {why}", cure)
    elif why:
        yield problem(f"{watch.name}: {why}", "See `checkpointd docs buckets`.")
    elif watch.retention.mode == "enforce":
        from checkpointd.retention.buckets import why_not_pruned

        if why := why_not_pruned(watch):
            message = f"{watch.name}: nothing is removed from {watch.bucket}: {why}"
            yield warning(message, 'See "What is removed, and how" in `checkpointd docs buckets`.')


def _destination(host: Host, watch: WatchSettings) -> Finding:
    """Whether checkpoints are copied, or could be with the environment of this process."""
    from checkpointd.buckets import why_not_listed

    to, cure = watch.replicate.to or "", "See `checkpointd docs replication`."
    known = {w.name: w.replication for w in host.status.watches} if host.status is not None else {}
    copies = known.get(watch.name)
    if copies is not None and copies.to == to:
        if copies.failure:
            return problem(
                f"{watch.name}: not everything is copied to {to}: {copies.failure}", cure
            )
        return ok(f"{watch.name}: copied to {to}, {copies.waiting} wait")
    why = why_not_listed(to)
    return problem(f"{watch.name}: {why}", cure) if why else ok(f"{watch.name}: copied to {to}")


def _root(host: Host, watch: WatchSettings) -> Iterator[Finding]:
    path, name = str(watch.path), watch.name
    if host.has_systemd and any(path == top or path.startswith(f"{top}/") for top in _PRIVATE):
        yield problem(
            f"{name}: the service has its own {path.rpartition('/')[0] or path}, so it does not "
            f"see {path}.",
            "Keep checkpoints elsewhere, or set `PrivateTmp=no` in a drop-in.",
        )
    if not host.account.can_be_tried:
        yield unknown(f"{name}: whether {host.account.name} may read {path}.", host.needs_sudo)
        return
    enforced = watch.retention.mode == "enforce"
    need = MAY_WRITE if enforced else MAY_READ
    user = host.account.name
    (cure,) = denials(host.account, [(path, need)])
    if cure:
        verb = (
            "write into"
            if enforced and not any(denials(host.account, [(path, MAY_READ)]))
            else "read"
        )
        yield problem(f"{name}: {user} may not {verb} {path}.", cure)
        return
    if enforced and os.path.isdir(path) and is_sticky_for(os.stat(path), host.account.uid):
        yield problem(
            f"{name}: {path} has the sticky bit: {user} may not move what others own there.",
            f"`sudo chmod -t {path}`, or run the daemon as the job's user.",
        )
    if not os.path.isdir(path):
        condition = (
            "is no directory" if os.path.lexists(path) else "does not exist; it is waited for"
        )
        yield warning(f"{name}: {path} {condition}.", "Correct `path`, or create or mount it.")
        return
    denied = run_as(host.account, lambda: _first_unreadable(path))
    if denied:
        (cure,) = denials(host.account, [(denied, MAY_READ)])
        yield problem(f"{name}: {user} may not read {denied}.", cure)


def _first_unreadable(root: str) -> str:
    """The first unreadable path below a root; looks at a limited number of files."""
    left = _MAX_ENTRIES
    above = [root]
    while above and left > 0:
        directory = above.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    left -= 1
                    if entry.is_dir(follow_symlinks=False):
                        above.append(entry.path)
                    elif entry.is_file(follow_symlinks=False) and not os.access(entry, MAY_READ):
                        return entry.path
        except PermissionError:
            return directory
        except OSError:
            continue
    return ""


def trash(host: Host) -> Iterator[Finding]:
    """Whether what is pruned can be moved into the trash: a rename on the same file system."""
    from checkpointd.retention.trash import place_of

    if host.config is None:
        yield unknown(*NO_CONFIG)
        return
    pruned = (watch for watch in host.config.watch if not watch.bucket)
    enforced = [watch for watch in pruned if watch.retention.mode == "enforce"]
    if not enforced:
        yield ok("not needed: no watch is in mode enforce")
    for watch in enforced:
        directory = place_of(watch).directory
        try:
            above = _existing(directory)
            is_same = os.stat(above).st_dev == os.stat(watch.path).st_dev
        except OSError as error:
            yield unknown(f"{watch.name}: {directory}: {error.strerror}.", host.needs_sudo)
            continue
        if not is_same:
            yield problem(
                f"{watch.name}: {directory} is on another file system than {watch.path}.",
                "Set trash_dir to a directory on the same one.",
            )
        elif host.account.can_be_tried:
            (cure,) = denials(host.account, [(above, MAY_WRITE)])
            message = f"{watch.name}: {host.account.name} may not write into {above}."
            yield problem(message, cure) if cure else ok(f"{watch.name}: {directory}")
        else:
            yield unknown(f"{watch.name}: whether {directory} can be written.", host.needs_sudo)


def _existing(path: str) -> str:
    while path != "/" and not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def disk(host: Host) -> Iterator[Finding]:
    """How much is free for the state, the next saves and the trash, in bytes and in files."""
    watches = host.config.watch if host.config is not None else ()
    places = {"the state": str(host.state_dir)}
    places |= {watch.name: str(watch.path) for watch in watches if not watch.bucket}
    seen: dict[int, list[str]] = {}
    for name, path in places.items():
        try:
            seen.setdefault(os.stat(path).st_dev, []).append(name)
        except OSError:
            continue
    for names in seen.values():
        path = places[names[0]]
        usage = os.statvfs(path)
        free, total = usage.f_bavail * usage.f_frsize, usage.f_blocks * usage.f_frsize
        summary = f"{', '.join(names)}: {size(free)} of {size(total)} free at {path}"
        cure = (
            "Free some space; `checkpointd prune` and `checkpointd trash empty` show what can go."
        )
        if free < min(_LOW_BYTES, total // _LOW_SHARE):
            yield problem(f"{summary}.", cure)
        elif free < total // _LOW_SHARE:
            yield warning(f"{summary}.", cure)
        elif usage.f_files and usage.f_favail < min(_LOW_FILES, usage.f_files // _LOW_SHARE):
            message = f"{', '.join(names)}: {usage.f_favail:,} more files fit at {path}."
            yield problem(message, "Remove files, or make a file system with more inodes.")
        else:
            yield ok(summary)
    if not seen:
        yield unknown(
            "Neither the state nor a root is there yet.", "See `state` and `roots` above."
        )
