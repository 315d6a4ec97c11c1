"""What the checks of the scan stage share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.verify.suite import Context

if TYPE_CHECKING:
    from checkpointd.golden import Golden
    from checkpointd.tensors import Contents
    from checkpointd.tensors.reading import ReadPlan
    from checkpointd.verify.scan.findings import Finding
    from checkpointd.verify.scan.saved_model.meta_graph import MetaGraph


@dataclass
class ScanContext(Context):
    """What the checks of one scan have read, so that no check reads it again.

    Three messages, empty where they do not apply: `incomplete` names what its writer has not
    written yet, `unreadable` why its layout is not known here, `uncertain` why it may hold more
    than was read. `graphs` are the graphs of a SavedModel and `findings` those of `safety`, each
    None before they are read.
    """

    planned: ReadPlan | None = None
    contents: Contents | None = None
    golden: Golden | None = None
    incomplete: str = ""
    unreadable: str = ""
    uncertain: str = ""
    graphs: list[MetaGraph] | None = None
    findings: tuple[Finding, ...] | None = None
