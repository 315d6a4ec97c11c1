"""What can need attention other than a verdict: a closed list, one row for each reason.

The row is where a reason is declared: the label of `checkpointd_problems`, the sentence about it in
the documentation, and the heading of the runbook that says what to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class ProblemSpec:
    """A reason: what it means, and the heading in the page `operations` that says what to do."""

    summary: str
    runbook: str


@dataclass(frozen=True)
class Problem:
    """A problem that there is now: its reason, and a sentence about this very case."""

    reason: str
    text: str


def anchor(heading: str) -> str:
    """Return the fragment of a link to a heading."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


EVENT_LOOP_STUCK = "event_loop_stuck"
SUPERVISOR_STUCK = "supervisor_stuck"
WATCH_DOWN = "watch_down"
FIRST_SCAN = "first_scan"
CONFIG = "config"
LEDGER = "ledger"
PRUNE_REFUSED = "prune_refused"
SIZE_LIMIT = "size_limit"
DISK_SPACE = "disk_space"
VAULT = "vault"
REPLICATE = "replicate"
PUBLISH = "publish"
ATTEST = "attest"
HOOK = "hook"
WEB = "web"
STAGING = "staging"
SANDBOX = "sandbox"
FLEET = "fleet"

PROBLEMS: dict[str, ProblemSpec] = {
    EVENT_LOOP_STUCK: ProblemSpec(
        "The event loop of the daemon does not run.", "The daemon is down"
    ),
    SUPERVISOR_STUCK: ProblemSpec(
        "The daemon does not supervise its parts any more.", "The daemon is down"
    ),
    WATCH_DOWN: ProblemSpec("The directory of a watch cannot be read.", "A watch is down"),
    FIRST_SCAN: ProblemSpec("The first scan of a watch is not done yet.", "A watch is down"),
    CONFIG: ProblemSpec(
        "Something in the config is probably not what was meant.", "The config has a warning"
    ),
    LEDGER: ProblemSpec(
        "The ledger cannot be written: no verdict is recorded.", "The ledger cannot be written"
    ),
    PRUNE_REFUSED: ProblemSpec("Checkpoints could not be pruned.", "Pruning fails"),
    SIZE_LIMIT: ProblemSpec(
        "`max_total_bytes` cannot be met with what must be kept.", "Pruning is on hold"
    ),
    DISK_SPACE: ProblemSpec(
        "The next saves may not fit, and the trash cannot give way.", "The disk fills up"
    ),
    VAULT: ProblemSpec("A valid checkpoint could not be copied to the vault.", "The vault fails"),
    REPLICATE: ProblemSpec(
        "Valid checkpoints could not be copied to their bucket; they are not pruned.",
        "Copying to a bucket fails",
    ),
    PUBLISH: ProblemSpec(
        "Verdict files or `latest-valid` links could not be written.", "Publishing fails"
    ),
    ATTEST: ProblemSpec("Valid checkpoints could not be attested.", "Attesting fails"),
    HOOK: ProblemSpec("The last hook of a watch failed.", "A hook fails"),
    WEB: ProblemSpec(
        "A file of the web server (certificate, password) is broken.", "A web file is broken"
    ),
    STAGING: ProblemSpec(
        "A checkpoint could not be copied from its bucket to be verified.", "A bucket fails"
    ),
    SANDBOX: ProblemSpec("The sandbox is not in force as a whole.", "Nothing is loaded"),
    FLEET: ProblemSpec(
        "The Dask scheduler or its workers cannot be reached, or see other files.",
        "The fleet does not verify",
    ),
}
"""Every value of the label `reason` of `checkpointd_problems`."""
