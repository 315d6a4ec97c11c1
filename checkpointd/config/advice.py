"""What is valid in a config, and is probably not what was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.core import verify_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.config.settings import Config

    Loc = tuple[str | int, ...]

_BEST = {verify_settings.MIN: "smallest", verify_settings.MAX: "largest"}


def advice(config: Config) -> Iterator[tuple[Loc, str]]:
    """Yield the key and the message of what a person should look at though it is no error."""
    for i, watch in enumerate(config.watch):
        policy: Any = watch.retention
        if policy.vault is not None and policy.mode != "enforce":
            message = 'nothing is copied into the vault before mode = "enforce"'
            yield ("watch", i, "retention", "vault"), message
        for best in policy.keep_best or ():
            message = _wrong_direction(best.metric, best.mode) if best.check_mode else ""
            if message:
                yield ("watch", i, "retention", "keep_best"), message


def _wrong_direction(metric: str, mode: str) -> str:
    meant = verify_settings.better(metric)
    if not meant or meant == mode:
        return ""
    return (
        f'mode = "{mode}" keeps the {_BEST[mode]} {metric}; by its name the {_BEST[meant]} is the '
        f'best: correct it to mode = "{meant}", or add check_mode = false; until then nothing of '
        "a series is pruned"
    )
