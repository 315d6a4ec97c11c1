"""The rules of `[watch.retention]`: each a small pure dataclass, all of them rows of one table.

A rule looks at the checkpoints of one series, and at neither the ledger nor the disk nor another
rule. The schema of the config, the plan, `prune`, the metrics and the manual read the table.

To add a rule: write the dataclass in a module here, and add its row to `table.RULES`.
"""

from checkpointd.retention_rules.spec import (
    Effect,
    Measuring,
    Obstacle,
    Option,
    Rule,
    RuleSpec,
    SavedCheckpoint,
    Value,
)

__all__ = [
    "Effect",
    "Measuring",
    "Obstacle",
    "Option",
    "Rule",
    "RuleSpec",
    "SavedCheckpoint",
    "Value",
]
