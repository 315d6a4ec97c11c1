"""How a rule's dataclass declares its options."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Literal, get_args

from checkpointd.config.settings import RetentionSettings
from checkpointd.retention_rules import Effect, Value, table
from checkpointd.retention_rules.best import KeepBest
from checkpointd.retention_rules.latest import KeepLast


def _options(name: str) -> dict[str, object]:
    spec = next(spec for spec in table.RULES if spec.name == name)
    return {option.name: option.type for option in spec.options}


def test_the_fields_of_a_rule_are_its_options() -> None:
    """A plain value for one field, a table of them for several."""
    assert _options("keep_hourly") == {"n": Value.HOURS}
    assert _options("keep_within") == {"seconds": Value.DURATION}
    best = _options("keep_best")
    assert (best["n"], best["metric"]) == (Value.CHECKPOINTS, Value.TEXT)
    assert get_args(best["mode"]) == get_args(Literal["min", "max"])


def test_a_policy_makes_the_rules_that_it_sets() -> None:
    """With the values of the config, in the order of the table."""
    best = {"n": 3, "metric": "loss", "mode": "min"}
    policy = RetentionSettings.model_validate({"keep_best": best, "keep_last": 2})
    assert table.rules_of(policy, Effect.KEEP) == (KeepLast(2), KeepBest(3, "loss", "min"))
    assert table.rules_of(policy, Effect.REMOVE_INVALID) == ()
    unset = SimpleNamespace(**{spec.name: None for spec in table.RULES})
    assert table.rules_of(unset, Effect.KEEP) == ()


def test_every_rule_has_its_own_name_and_a_sentence() -> None:
    """They are shown in the schema of the config and in the manual."""
    names = [spec.name for spec in table.RULES]
    assert len(set(names)) == len(names)
    assert all(spec.help.endswith(".") for spec in table.RULES)
    assert all(option.help for spec in table.RULES for option in spec.options)
