"""Whether a changed policy keeps at least what the previous one kept; pure.

Only what is certain counts: larger values where larger means more, and further rules beside others
that keep. Everything else may remove what stayed before.
"""

from __future__ import annotations

import json
from typing import Any

from checkpointd.config import RetentionSettings
from checkpointd.retention_rules import Effect, table

_LARGER_KEEPS_MORE = frozenset(
    {
        "min_age",
        "keep_min_valid",
        "keep_last",
        "keep_hourly",
        "keep_daily",
        "keep_weekly",
        "keep_monthly",
        "keep_yearly",
        "keep_within",
        "keep_within_hourly",
        "keep_within_daily",
        "keep_within_weekly",
        "keep_within_monthly",
        "keep_within_yearly",
        "keep_steps",
        "keep_tags",
        "keep_best",
        "ttl",
        "quarantine_ttl",
    }
)
_WITH_DEFAULT = frozenset({"min_age", "keep_min_valid"})
_PROTECTING_LISTS = frozenset({"links"})
_REGARDLESS_OF_FLOOR = frozenset({"keep_last", "min_age", "keep_min_valid"}) | _PROTECTING_LISTS
"""What can change although `keep_min_valid` fills slots: both take the newest."""


def keeps_no_less(new: str, old: str) -> bool:
    """Whether a policy is sure to keep all that another one keeps, whatever there is.

    Args:
        new: its canonical text (`checkpointd.retention.policy.policy_text`).
        old: that of the other one.
    """
    after, before = _parsed(new), _parsed(old)
    rules, old_rules = after.pop("retention", None), before.pop("retention", None)
    # To be copied first only keeps more, wherever that is to.
    is_copied, was_copied = after.pop("replicate", None), before.pop("replicate", None)
    if was_copied and not is_copied:
        return False
    if after != before or not isinstance(rules, dict) or not isinstance(old_rules, dict):
        return False
    changed = {key for key in {*rules, *old_rules} if rules.get(key) != old_rules.get(key)}
    keeping = frozenset(table.names(Effect.KEEP))
    if changed & keeping and not keeping & old_rules.keys():
        return False  # without a rule that keeps, all that has not expired stayed
    if changed - _REGARDLESS_OF_FLOOR and _value(old_rules, "keep_last") < _value(
        rules, "keep_min_valid"
    ):
        return False  # what a rule keeps now may take the place of what filled the floor
    return all(_is_wider(key, old_rules, rules) for key in changed)


def _parsed(policy: str) -> dict[str, Any]:
    try:
        data = json.loads(policy)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _value(rules: dict[str, Any], key: str) -> float:
    default = RetentionSettings.model_fields[key].default
    value = rules.get(key, default)
    return value if isinstance(value, int | float) else 0


def _is_wider(key: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    if key in _WITH_DEFAULT:
        return _value(new, key) >= _value(old, key)
    if key in _PROTECTING_LISTS:
        return _is_larger(old.get(key, []), new.get(key, []))
    spec = next((spec for spec in table.RULES if spec.name == key), None)
    if spec is None:
        return False
    if new.get(key) is None:
        return spec.effect is not Effect.KEEP
    if old.get(key) is None:
        return spec.effect is Effect.KEEP
    return key in _LARGER_KEEPS_MORE and _is_larger(old[key], new[key])


def _is_larger(old: Any, new: Any) -> bool:
    """Whether a value is larger: a number, a list with more, or a table with a larger `n`."""
    if isinstance(old, dict) and isinstance(new, dict):
        others = {**old, "n": None} == {**new, "n": None}
        return others and _is_larger(old.get("n"), new.get("n"))
    if isinstance(old, list) and isinstance(new, list):
        return all(any(one == other or _is_larger(one, other) for other in new) for one in old)
    is_number = isinstance(old, int | float) and isinstance(new, int | float)
    return is_number and new >= old
