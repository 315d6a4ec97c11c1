"""Which numbers of a name count the saves of one job, and which are the values of metrics.

Pure; from one name alone, so that no other file changes what a name means. In doubt a number is
part of the name: it may distinguish one model from another.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from checkpointd.series.model_words import is_of_models, numbers_models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.series.labels import Span

MAX_STEP = 2**63 - 1
"""The largest integer that the ledger holds."""

_NAMES = 2048
"""The size of the cache of names: the runs of a job give their checkpoints the same ones."""

_NOT_AFTER = r"(?<![0-9A-Za-z])"
_NOT_BEFORE = r"(?![0-9A-Za-z]|\.[0-9])"
_FRACTION = r"[-+]?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]{1,3})?|[-+]?(?:nan|inf)(?![A-Za-z])"
_VALUE = r"(?:[0-9]+\.[0-9]{2,}(?:e[-+]?[0-9]{1,3})?|nan|inf)"
_NUMBER = rf"{_FRACTION}|[-+]?[0-9]+(?:[eE][-+]?[0-9]{{1,3}})?"

_COUNTER = re.compile(
    rf"""(?ix) {_NOT_AFTER}
    (?: (?P<word>epoch|ep|step|iteration|iter|batch|version|checkpoint|chkpt|ckpt) [-_=.]?
      | (?P<short>cp) [-_.]
      | (?P<weights>weights) (?: [.](?=[0-9]+{_NOT_BEFORE}) | [-_](?=0[0-9]) )
    ) (?P<number>[0-9]+) {_NOT_BEFORE}"""
)
"""A word for what a number counts; after `weights_` it may count the members of an ensemble."""

_DATE = re.compile(
    r"""(?x) (?:19|20)[0-9]{2} (?P<by>[-_.]) (?:0?[1-9]|1[0-2]) (?P=by) [0-3]?[0-9] (?![0-9])
    | [0-3][0-9] (?P<of>[-_.]) [0-3][0-9] (?P=of) (?:19|20)[0-9]{2} (?![0-9])
    | (?:19|20)[0-9]{2} (?:0[1-9]|1[0-2]) [0-3][0-9] [-_T] [0-2][0-9] (?P<at>[-:._]?) [0-5][0-9]
      (?:(?P=at) [0-5][0-9])? (?![0-9])"""
)
"""A date, or one with its time: its first number counts nothing, whatever word is before it."""

_COARSE = frozenset({"epoch", "ep"})
_FINE = frozenset({"step", "iteration", "iter", "batch"})
"""What is counted within an epoch: the two together identify a save."""

_STEPS = _COARSE | _FINE | {"checkpoint", "chkpt", "ckpt", "cp", "weights"}

_KERAS = re.compile(
    rf"""(?ix)
    {_NOT_AFTER} (?<![0-9]\.) (?P<number>[0-9]+)
    (?P<between>[-_ ]) [-_ ]? (?P<value>{_VALUE}) (?: [-_ ]{{1,2}} {_VALUE} )*
    (?: \.(?:keras|h5|hd5|hdf5|hdf|ckpt|weights|tf) )* \Z"""
)
"""A number with nothing but fractions behind it: `{epoch:02d}-{val_loss:.2f}`."""

_LAST_WORD = re.compile(r"(?:\A|[^A-Za-z0-9])(?P<word>[A-Za-z]+)[-_. ]+\Z")
CERTAIN_WORDS = frozenset({"weights", "improvement", "checkpoint", "chkpt", "ckpt", "cp"})
LIKELY_WORDS = frozenset({"model", "best", "snapshot"})
"""Words before such a number. After any other word, as in `lstm_128_0.20`, it may be units."""

_BEFORE_METRIC = re.compile(
    rf"""(?ix) {_NOT_AFTER} (?<![0-9]\.) (?P<number>[0-9]{{1,6}}) [-_. ] [-_ ]?
    (?: (?:val|valid|validation)[-_][a-z] | (?:train[-_]?)?(?:loss|acc|accuracy)[-_=. 0-9] )"""
)
"""A number before the name of a metric: `{epoch:02d}-val_loss_{val_loss:.2f}`."""

_SETTING = re.compile(
    r"(?:[0-9]+\.(?:[0-9][05]|0[0-9]|9[89]|[0-9]?[0-9]?[05]0|00[0-9]|0[0-9]0|999|125|375|0{3,}[0-9]))\Z"
)
"""A fraction that people choose, such as a rate; a measured one seldom looks like it."""

_UNNAMED = re.compile(rf"(?i)[-_ ](?P<value>{_FRACTION}){_NOT_BEFORE}")

METRIC_WORDS = (
    r"loss|logloss|crossentropy|acc|accuracy|auc|error|err|mse|mae|rmse|msle|mape|f1|fscore"
    r"|precision|recall|iou|miou|dice|jaccard|map|psnr|ssim|perplexity|ppl|bleu|wer|cer|score"
    r"|reward|metric|kappa|mcc|fid|elbo|kl|nll|ndcg|mrr|sensitivity|specificity|similarity"
)
_NAMED = re.compile(
    rf"""(?ix) {_NOT_AFTER}
    (?P<name> (?:(?:val|valid|validation|train|test|dev|eval)[-_]?)? (?:[a-z][a-z0-9]*_){{0,3}}
        (?:{METRIC_WORDS})
      | val[-_] (?!\w*(?:split|size|frac|ratio)) [a-z] (?:[a-z0-9_]*[a-z] | [a-z0-9_]*(?==))? )
    (?: (?P<equals>=) (?P<any>{_NUMBER}) | [-_. ]? (?P<value>{_FRACTION}) ) {_NOT_BEFORE}"""
)
"""A value after the name of a metric. After other words it may be a setting of the model."""


_VALIDATION = re.compile(
    rf"(?i)(?:\A|[-_])(?P<name>(?:val|valid|validation)[-_].*(?:{METRIC_WORDS}))\Z"
)
"""Before a counter only such a value is a metric's: `focal_loss_2.0_epoch_3` has none."""

_LONG = 3
"""With fewer digits, a number after some words may say how long a model was trained."""


@dataclass(frozen=True)
class Numbers:
    """What the numbers of a name mean: `spans` of the counters that vary together, and of metrics.

    `metric_spans` are values of metrics, `metrics` those with a name; `step` is the counter.
    `words` are what the counters count, as far as the name says it; with `guessed` there is a
    counter only because a fraction follows it, and the word is whatever comes before it.
    `metric_names` has the name, or "", for each of `metric_spans`.
    """

    spans: tuple[Span, ...] = ()
    step: int | None = None
    metric_spans: tuple[Span, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    guessed: bool = False
    metric_names: tuple[str, ...] = ()


@lru_cache(_NAMES)
def of_name(stem: str) -> Numbers:
    """Return what the numbers of a name mean.

    The last counter is the version, together with the epoch before a step within it. Every other
    number is part of the name: trials, folds, horizons, versions of the data.
    """
    counters = [match for match in _COUNTER.finditer(stem) if _counts(match)]
    while counters and _word(counters[-1]) == "batch" and not _within(counters):
        counters.pop()
    if counters:
        chosen = [counters[-1]]
        if _within(counters):
            chosen.insert(0, counters[-2])
        spans = tuple(match.span("number") for match in chosen)
        counted = _word(chosen[-1]) in _STEPS
        step = step_of(chosen[-1]["number"]) if counted else None
        words: tuple[str, ...] = tuple(_word(match) for match in chosen)
        guessed = chosen[-1]["weights"] is not None and "." not in chosen[-1][0]
    elif match := _before_values(stem) or _before_metric(stem):
        spans, step = (match.span("number"),), step_of(match["number"])
        words, guessed = (_word_before(match),), True
    else:
        spans, step, words, guessed = (), None, (), False
    after = spans[-1][1] if spans else len(stem)
    named = [
        match
        for match in _NAMED.finditer(stem)
        if match.start() >= after or _VALIDATION.search(match["name"])
    ]
    metrics = {}
    names: dict[Span, str] = {}
    for match in named:
        which = "any" if match["equals"] else "value"
        validation = _VALIDATION.search(match["name"])
        name = (validation or match)["name"].replace("-", "_")
        names[match.span(which)] = name
        value = float(match[which])
        if math.isfinite(value):
            metrics[name] = value
    if spans:
        at = max(b for _, b in (*spans, *names))
        while match := _UNNAMED.match(stem, at):
            names[match.span("value")] = ""
            at = match.end()
    at_metrics = tuple(sorted(names))
    return Numbers(
        spans, step, at_metrics, metrics, words, guessed, tuple(names[span] for span in at_metrics)
    )


def of_directory(name: str) -> Numbers:
    """Return the counters of a directory that is named only after them: `checkpoint_000010`.

    Its name may consist of words for what is counted and of values of metrics, and nothing else.
    """
    parsed = of_name(name)
    rest, at = "", 0
    for a, b in sorted((*parsed.spans, *parsed.metric_spans)):
        rest += name[at:a]
        at = b
    rest += name[at:]
    counted = parsed.step is not None and parsed.spans
    staged = _STAGE.search(name)  # step_1, step_2 may be the stages of a pipeline
    return parsed if counted and not staged and _BARE.fullmatch(rest) else Numbers()


_STAGE = re.compile(rf"(?i)\A(?:step|iteration|iter)[-_=.]?[0-9]{{1,2}}{_NOT_BEFORE}")

_BARE = re.compile(
    rf"(?i)(?:[-_=.]|epoch|ep|step|iteration|iter|global|batch|checkpoint|chkpt|ckpt|cp|val"
    rf"|{METRIC_WORDS})+"
)


def step_of(text: str) -> int | None:
    """Return a number as a step; None if it is not one, or too large for the ledger."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if 0 <= number <= MAX_STEP else None


def _counts(match: re.Match[str]) -> bool:
    """Whether a word counts saves here: not in `bs32_ep50`, nor before a date."""
    word, number = _word(match), match["number"]
    if _DATE.match(match.string, match.start("number")):
        return False
    if numbers_models(word, match.string[: match.start()], match.string[match.end() :]):
        return False
    if word == "ep":
        return len(number) >= _LONG or number.startswith("0")
    if word in ("iter", "iteration"):
        return len(number) >= _LONG or match.start() == 0
    return True


def _within(counters: list[re.Match[str]]) -> bool:
    """Whether the last number counts within the epoch before it."""
    if len(counters) < 2:  # noqa: PLR2004 - it takes two
        return False
    return _word(counters[-1]) in _FINE and _word(counters[-2]) in _COARSE


def _is_epoch(match: re.Match[str]) -> bool:
    """Whether a number with fractions behind it counts epochs."""
    number = match["number"]
    before = match.string[: match.start()]
    if is_of_models(before):
        return False
    if number.startswith("0") and len(number) > 1:
        return True
    word = _word_before(match)
    likely = not before or word in LIKELY_WORDS
    if word in CERTAIN_WORDS or (likely and match["between"] == "-"):
        return True
    return not _SETTING.match(match["value"])


def _before_values(stem: str) -> re.Match[str] | None:
    """The number with nothing but fractions behind it, if it counts epochs."""
    match = _KERAS.search(stem)
    return match if match and _is_epoch(match) else None


def _before_metric(stem: str) -> re.Match[str] | None:
    """The number right before the value of a metric with its name, if it may count epochs."""
    for match in _BEFORE_METRIC.finditer(stem):
        start, end = match.span("number")
        value = _NAMED.search(stem, end)
        if value is None or stem[end : value.start()].strip("-_. "):
            continue
        in_date = any(d.start() < end and start < d.end() for d in _DATE.finditer(stem))
        if not in_date and not is_of_models(stem[:start]):
            return match
    return None


def _word_before(match: re.Match[str]) -> str:
    word = _LAST_WORD.search(match.string[: match.start()])
    return word["word"].lower() if word else ""


def _word(match: re.Match[str]) -> str:
    return next(match[g].lower() for g in ("word", "short", "weights") if match[g])
