"""Words after which a number tells models apart, whatever else is in the name: folds, horizons."""

from __future__ import annotations

import re

_MODELS = (
    r"folds?|kfold|cv|splits?|trials?|runs?|exp|expt|experiments?|seeds?|members?|ensembles?|bags?"
    r"|replicas?|clients?|peers?|workers?|ranks?|tasks?|horizons?|leads?|ahead|lags?|windows?|hour"
    r"|day|week|month|subjects?|patients?|stores?|sites?|stations?|sensors?|stages?|phases?|layers?"
    r"|levels?|agents?|players?|shards?|parts?|class|classes|clusters?|customers?|users?|ids?"
)
_LAST_IS_MODELS = re.compile(rf"(?i)(?:\A|[^A-Za-z])(?:{_MODELS})[-_.= ]*\Z")

_ONE = re.compile(r"(?i)(?:\A|/)(?:run|exp|experiment)\Z")
"""A directory of this name is one run, and the numbers in it are its versions."""

_AHEAD = (
    r"forecast|forecasting|horizon|ahead|lead|lag|predict|prediction|pred|time|multi|n|nth"
    r"|pipeline|stage|phase"
)
_DATA = r"data|dataset|datasets|corpus|features?|schema|tokenizer|vocab|vocabulary|api|labels?"
_BEFORE = {
    **dict.fromkeys(
        ("step", "iteration", "iter"), re.compile(rf"(?i)(?:\A|[^A-Za-z])(?:{_AHEAD})[-_. ]*\Z")
    ),
    "version": re.compile(rf"(?i)(?:\A|[^A-Za-z])(?:{_DATA})[-_. ]*\Z"),
}
_AFTER = re.compile(r"(?i)[-_. ]*(?:ahead|horizon|forecast|lead)(?![A-Za-z])")


def is_of_models(before: str) -> bool:
    """Whether the text before a number ends with a word for models that exist side by side."""
    return _LAST_IS_MODELS.search(before) is not None


def holds_models(directory: str) -> bool:
    """Whether the numbers in a directory tell models apart, as in `ensemble/0` or `folds/3`."""
    return is_of_models(directory) and not _ONE.search(directory)


def numbers_models(word: str, before: str, after: str) -> bool:
    """Whether a word that counts saves numbers models here, as in `forecast_step_3`.

    Args:
        word: the word before the number: step, version, …
        before: what is before the word.
        after: what is after the number.
    """
    pattern = _BEFORE.get(word)
    if pattern is None:
        return False
    return bool(pattern.search(before)) or (word != "version" and bool(_AFTER.match(after)))
