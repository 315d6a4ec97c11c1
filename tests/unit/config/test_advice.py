"""What is valid in a config and probably not meant."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from checkpointd import config
from checkpointd.config.advice import advice
from checkpointd.config.dump import dump

WATCH = '[[watch]]\nname = "a"\npath = "/runs"\n[watch.retention]\n'


def _config(text: str) -> config.Config:
    return config.parse(tomllib.loads(WATCH + text), Path("/etc/config.toml"), WATCH + text)


@pytest.mark.parametrize(
    ("metric", "mode", "meant"),
    [("val_loss", "max", "min"), ("accuracy", "min", "max"), ("val_acc", "min", "max")],
)
def test_the_wrong_direction_by_the_name_is_a_warning(metric: str, mode: str, meant: str) -> None:
    """The worst would be kept."""
    best = f'{{ n = 1, metric = "{metric}", mode = "{mode}" }}'
    ((loc, message),) = advice(_config(f"keep_best = {best}"))
    assert loc == ("watch", 0, "retention", "keep_best")
    assert metric in message
    assert f'correct it to mode = "{meant}"' in message
    right = f'{{ n = 1, metric = "{metric}", mode = "{meant}" }}'
    assert len(list(advice(_config(f"keep_best = [{right}, {best}]")))) == 1
    meant_so = best.replace(" }", ", check_mode = false }")
    assert not list(advice(_config(f"keep_best = {meant_so}")))


def test_a_name_that_shows_no_direction_is_no_warning() -> None:
    """Nobody knows better than the user."""
    assert not list(advice(_config('keep_best = { n = 1, metric = "width", mode = "max" }')))
    assert not list(advice(_config("keep_last = 1")))


def test_a_vault_that_copies_nothing_is_a_warning() -> None:
    """Only enforce writes into a root."""
    ((loc, message),) = advice(_config("vault = 1"))
    assert loc[-1] == "vault"
    assert 'before mode = "enforce"' in message
    assert not list(advice(_config('vault = 1\nmode = "enforce"')))


def test_every_form_of_a_rule_is_printed_so_that_it_can_be_read_again() -> None:
    """`config show` prints one form of each."""
    loaded = _config(
        """
        keep_best = { n = 1, metric = "x", mode = "min" }
        keep_every_n_steps = 100
        keep_steps = [0, 7]
        keep_tags = ["prod, eval", "paper"]
        keep_within_monthly = "52w"
        min_age = "90s"
        timezone = "Europe/Berlin"
        """
    )
    text = dump(loaded)
    best = '{ "n" = 1, "metric" = "x", "mode" = "min", "without_metric" = "keep", '
    best += '"check_mode" = true }'
    assert f"\nkeep_best = [{best}]\n" in text
    assert '\nkeep_every_n_steps = { "n" = 100, "mode" = "first" }\n' in text
    assert '\nkeep_tags = ["prod,eval", "paper"]\n' in text
    assert '\nmin_age = "1m30s"\n' in text
    assert config.parse(tomllib.loads(text), Path("/etc/config.toml"), text) == loaded
