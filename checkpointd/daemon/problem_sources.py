"""Which part of the daemon reports which problems, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.observe import problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.daemon.active_config import ActiveConfig
    from checkpointd.daemon.attestation_runner import AttestationRunner
    from checkpointd.daemon.event_handler import EventHandler
    from checkpointd.daemon.health_monitor import HealthMonitor
    from checkpointd.daemon.hooks import HookRunner
    from checkpointd.daemon.publish_runner import PublishRunner
    from checkpointd.daemon.replicator import Replicator
    from checkpointd.daemon.retention_runner import RetentionRunner
    from checkpointd.daemon.servers import Servers
    from checkpointd.daemon.staging import StagingDispatcher
    from checkpointd.daemon.status_builder import StatusBuilder


def add_problem_sources(
    health: HealthMonitor,
    *,
    active: ActiveConfig,
    handler: EventHandler,
    retention: RetentionRunner,
    publishing: PublishRunner,
    attesting: AttestationRunner,
    replicating: Replicator,
    hooks: HookRunner,
    staging: StagingDispatcher,
    servers: Servers,
    status: StatusBuilder,
) -> None:
    """Register the problems of every part with the health monitor."""
    rows: tuple[tuple[str, Callable[[], Iterable[str]]], ...] = (
        (problems.CONFIG, active.problems),
        (problems.LEDGER, lambda: [handler.ledger_error]),
        (problems.PRUNE_REFUSED, retention.outcomes.refusals.values),
        (problems.SIZE_LIMIT, retention.outcomes.unmet.values),
        (problems.DISK_SPACE, retention.disk_problems),
        (problems.VAULT, retention.vault_problems),
        (problems.REPLICATE, replicating.problems),
        (problems.PUBLISH, publishing.problems.values),
        (problems.ATTEST, attesting.problems.values),
        (problems.HOOK, hooks.problems),
        (problems.STAGING, staging.problems.values),
        (problems.WEB, servers.problems),
        (problems.FLEET, lambda: staging.engine().get("problems", ())),
        (problems.SANDBOX, lambda: [status.sandbox().problem]),
    )
    for reason, source in rows:
        health.add_source(reason, source)
