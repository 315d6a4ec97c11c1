"""The schema of config.toml: frozen, validated settings with a safe default for everything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from checkpointd.config.dispatch import DispatchSettings
from checkpointd.config.replicate import ReplicateSettings
from checkpointd.config.retention import RetentionSettings
from checkpointd.config.section import Section
from checkpointd.config.types import (
    Checkpoints,
    Duration,
    DurationOrNever,
    Location,
    Share,
    ShownName,
    SizeOrAuto,
    SwitchOrDirectory,
    Templates,
    Text,
    ThreadsOrAuto,
    WatchName,
    WatchRoot,
)
from checkpointd.config.verify import VerifyConfig
from checkpointd.config.web import WebSettings


class DaemonSettings(Section):
    """`[daemon]`: where the state is kept, and how the log looks."""

    state_dir: Location | None = None
    """Ledger, scratch and control socket; default: the service's, else the user's own."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto`: for people on a terminal, fields in the journal, JSON elsewhere."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is logged."""

    staging_bytes: SizeOrAuto = Field(default="auto", json_schema_extra={"x-since": "0.2"})
    """The most that copies from buckets take of the disk; `auto`: half of what is free."""


class WorkerSettings(Section):
    """`[worker]`: the limits of the processes that read and load checkpoints."""

    concurrency: Annotated[Checkpoints, Field(le=64)] = 1
    """How many checkpoints are verified at a time."""

    timeout: Duration = 1800.0
    """The longest time that one checkpoint may take."""

    memory: SizeOrAuto = "auto"
    """The memory limit of one worker; `auto`: what the machine can spare, less a tenth."""

    threads: ThreadsOrAuto = "auto"
    """TensorFlow's threads for 64 MiB or more; `auto`: one a core, at most 16; 1 under a quota."""

    duty_cycle: Share | None = None
    """At most this share of the time is spent verifying, per worker; unset: all of it."""

    idle_exit: Duration = 600.0
    """The load worker, which holds TensorFlow, exits after this long without work."""

    spares: Annotated[int, Field(ge=0, le=8)] = 1
    """How many warm children wait for a small checkpoint, 220 MB each; `0`: none."""

    sandbox: Literal["enforce", "best-effort"] = "enforce"
    """If the kernel cannot confine a worker, `enforce` loads nothing and `best-effort` loads."""


class PublishSettings(Section):
    """`[watch.publish]`: verdicts for consumers that cannot ask the daemon."""

    verdict_file: SwitchOrDirectory = False
    """A JSON file for each verdict: `true` in `STATE_DIR/verdicts`, or below a directory."""

    latest_link: SwitchOrDirectory = False
    """A link to the newest valid one of a series: `true` in `STATE_DIR/latest`, or a directory."""

    require: tuple[ShownName, ...] = ()
    """What the target of a link must have shown."""


class AttestSettings(Section):
    """`[attest]`: signed statements about valid checkpoints, for others to verify."""

    key_file: Annotated[Location | None, Field(json_schema_extra={"x-since": "0.2"})] = None
    """A private key in PEM (ECDSA or Ed25519); without one nothing is attested."""


HOOK_EVENTS = ("on_verdict", "on_valid", "on_hold", "on_pruned")
"""What a hook can be run for."""


class HookSettings(Section):
    """`[watch.hooks]`: commands and their arguments; what has happened is JSON on stdin."""

    on_verdict: tuple[Text, ...] = ()
    """Run after each verdict, with the report."""

    on_valid: tuple[Text, ...] = ()
    """Run after each verdict that is `valid`, with the report."""

    on_hold: tuple[Text, ...] = ()
    """Run when a series or the watch is put on hold, with the reason and the cure."""

    on_pruned: tuple[Text, ...] = ()
    """Run after each checkpoint that was moved to the trash, with the rule and the reason."""

    timeout: Duration = 30.0
    """Time after which a command and all that it has started are killed."""

    @property
    def commands(self) -> dict[str, tuple[str, ...]]:
        """The command of each event that has one."""
        by_event = {name: getattr(self, name) for name in HOOK_EVENTS}
        return {name: command for name, command in by_event.items() if command}


class WatchSettings(Section):
    """`[[watch]]`: one root directory and how it is treated."""

    name: WatchName
    """Letters, digits and `_ . -`; a label in Prometheus."""

    path: WatchRoot
    """The root directory, or a URL: `gs://bucket/prefix`, `s3://…`. Roots may not overlap."""

    method: Literal["auto", "inotify", "poll"] = "auto"
    """How changes are noticed; `auto` decides by the file system."""

    poll_interval: Duration = 10.0
    """How often the root is compared where no events come: NFS, FUSE. Of a bucket: `"60s"`."""

    settle: Duration = 5.0
    """Quiet time after which a save counts as finished, where its format does not prove it."""

    torn_after: Duration = 900.0
    """An unfinished save is verified as it is after this long without a change."""

    scrub_every: DurationOrNever = 30 * 86400.0
    """How often valid checkpoints are read again, to find bit rot; or `"never"`, as of a bucket."""

    include: tuple[Text, ...] = ("**",)
    """Globs, relative to the root, of what is watched."""

    exclude: tuple[Text, ...] = ()
    """Globs, relative to the root, of what is not watched."""

    version: Templates = ()
    """The file name template of `ModelCheckpoint`, or several: which fields vary in a series."""

    verify: VerifyConfig = Field(default_factory=VerifyConfig)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    replicate: ReplicateSettings = Field(default_factory=ReplicateSettings)
    publish: PublishSettings = Field(default_factory=PublishSettings)
    hooks: HookSettings = Field(default_factory=HookSettings)

    @property
    def bucket(self) -> str:
        """The URL of a watch of a bucket; empty for one of a directory."""
        return self.path if isinstance(self.path, str) else ""

    @property
    def verdict_directory(self) -> Path | None:
        """Where a file for each verdict is written; set by `load`."""
        base = self.publish.verdict_file
        return base / self.name if isinstance(base, Path) else None

    @property
    def link_directory(self) -> Path | None:
        """Where each series has a directory with its `latest-valid`; set by `load`."""
        base = self.publish.latest_link
        return base / self.name if isinstance(base, Path) else None


class Config(Section):
    """The whole config.toml."""

    daemon: DaemonSettings = Field(default_factory=DaemonSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    attest: AttestSettings = Field(default_factory=AttestSettings)
    dispatch: DispatchSettings = Field(default_factory=DispatchSettings)
    watch: tuple[WatchSettings, ...] = ()

    @property
    def state_dir(self) -> Path:
        """Where ledger, scratch and the control socket are; set by `load`."""
        if self.daemon.state_dir is None:
            raise AssertionError("load() resolves state_dir")
        return self.daemon.state_dir

    def attestation_directory(self, watch: WatchSettings) -> Path | None:
        """Where the attestations of a watch are: with its verdict files; None without a key."""
        if self.attest.key_file is None:
            return None
        return watch.verdict_directory or self.state_dir / "verdicts" / watch.name

    def to_public(self) -> dict[str, Any]:
        """Return what `config show` prints."""
        public = self.model_dump(mode="json", exclude_none=True)
        for watch in public["watch"]:
            watch.setdefault("scrub_every", "never")  # the only key for which None is a value
        return public
