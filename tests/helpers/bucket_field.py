"""A prefix of a versioned bucket with checkpoints, the ledger that knows them, and a pruner."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from checkpointd.buckets import storage_of
from checkpointd.buckets.stores import deleting_store
from checkpointd.config import RetentionSettings
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.formats import ProbeState, generation_of, locate, probe
from checkpointd.ledger import Entry, Ledger, State
from checkpointd.retention import Removal, RetentionPlan, plan
from checkpointd.retention.buckets import BucketPruner, BucketReferences, BucketView
from tests.helpers.bundles import bundle
from tests.helpers.formats import savedmodel
from tests.helpers.ledger import record_verdict
from tests.helpers.s3 import BUCKET, S3Server
from tests.helpers.watch import write_keras

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from checkpointd.buckets.deleting import DeletingStore

POLICY = RetentionSettings(keep_last=2, keep_min_valid=2, min_age="1ms", mode="enforce")


def enable_versioning(store: DeletingStore) -> None:
    """Have the bucket of the test's server keep what is deleted."""
    enabled = {"Status": "Enabled"}
    store._client.put_bucket_versioning(  # type: ignore[attr-defined]
        Bucket=BUCKET, VersioningConfiguration=enabled
    )


def versions(store: DeletingStore, prefix: str) -> dict[str, Any]:
    """Everything that the bucket has of some keys."""
    found: dict[str, Any] = store._client.list_object_versions(  # type: ignore[attr-defined]
        Bucket=BUCKET, Prefix=prefix
    )
    return found


class BucketField:
    """Checkpoints `ckpt-1` and so on below a prefix, all valid, each saved after the one before."""

    def __init__(
        self, server: S3Server, top: Path, prefix: str, store: DeletingStore | None = None
    ) -> None:
        self.server, self.top, self.prefix = server, top, prefix
        self.root = server.url(prefix)
        (top / "state").mkdir(parents=True)
        self.ledger = Ledger.open(top / "state")
        self.view = BucketView(self.root)
        self.references = BucketReferences(self.view)
        self.store = store or deleting_store(self.root)

    def pruner(self, on_step: Callable[[str], None] | None = None) -> BucketPruner:
        """A pruner, as of a new process."""
        return BucketPruner("w", self.view, self.ledger, store=self.store, on_step=on_step)

    def write(self, kind: str, count: int) -> list[Entry]:
        """Save checkpoints, and record that they are valid."""
        entries = []
        for number in range(1, count + 1):
            name = f"ckpt-{number}"
            entries.append(self.save(kind, name, Format(_FORMATS[kind])))
        return entries

    def save(self, kind: str, name: str, fmt: Format) -> Entry:
        """Save one, and record that it is valid."""
        local = self.top / "local" / name
        local.parent.mkdir(exist_ok=True)
        if kind == "tf_checkpoint":
            bundle(local)
        elif kind == "savedmodel":
            savedmodel(local)
        else:
            name = f"{name}.keras"
            write_keras(local.with_name(name))
        for source in sorted(local.parent.glob(f"{local.name}*")):
            self.server.put_tree(source, f"{self.prefix}/{source.name}")
        path = f"{self.root}/{name}"
        checkpoint = Checkpoint(
            path, fmt, watch="w", series="ckpt-{}", step=int(name.split("-")[1].split(".")[0])
        )
        found = generation_of(path, fmt, storage_of(self.root))
        return record_verdict(self.ledger, (checkpoint, found))

    def plan(self, policy: RetentionSettings = POLICY) -> RetentionPlan:
        """What is to be done now."""
        return plan(self.ledger.entries("w"), policy, time.time(), self.references.sweep())

    def prune(
        self, on_step: Callable[[str], None] | None = None, policy: RetentionSettings = POLICY
    ) -> list[Removal]:
        """Plan and carry out, as the daemon does."""
        pruner = self.pruner(on_step)
        return pruner.apply(self.plan(policy), self.references, pruner.safety())

    def is_whole(self, name: str) -> bool:
        """Whether a reader would take what is at a path for a checkpoint."""
        path, storage = f"{self.root}/{name}", storage_of(self.root)
        try:
            candidate = locate(path, storage)
        except FileNotFoundError:
            return False
        return candidate is not None and probe(candidate, storage).state is ProbeState.COMPLETE

    def state(self, name: str) -> State:
        """What the ledger holds of a checkpoint."""
        entry = self.ledger.entry(f"{self.root}/{name}")
        assert entry is not None
        return entry.state

    def objects(self) -> dict[str, str]:
        """The keys below the prefix with their ETags."""
        client = storage_of(self.root).client  # type: ignore[attr-defined]
        return {one.key: one.tag for page in client.pages(self.prefix) for one in page}


_FORMATS = {"tf_checkpoint": "tf_checkpoint", "savedmodel": "savedmodel", "keras": "keras"}
