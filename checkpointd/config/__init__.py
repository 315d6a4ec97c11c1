"""config.toml to frozen, validated settings.

The names come when they are asked for: `latest` needs only where things are, and must not wait
for the schema to be imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checkpointd.config.errors import ConfigError, Problem
    from checkpointd.config.locate import Places, default_state_dir, find, places, salvage
    from checkpointd.config.settings import (
        Config,
        KeepBest,
        PublishSettings,
        RetentionSettings,
        VerifyConfig,
        WatchSettings,
        WorkerSettings,
    )
    from checkpointd.config.validate import load, parse
    from checkpointd.config.web import WebSettings

_HOME = {
    **dict.fromkeys(("ConfigError", "Problem"), "errors"),
    **dict.fromkeys(("load", "parse"), "validate"),
    **dict.fromkeys(("Places", "default_state_dir", "find", "places", "salvage"), "locate"),
    **dict.fromkeys(
        (
            "Config",
            "KeepBest",
            "PublishSettings",
            "RetentionSettings",
            "VerifyConfig",
            "WatchSettings",
            "WorkerSettings",
        ),
        "settings",
    ),
    "WebSettings": "web",
}

__all__ = [
    "Config",
    "ConfigError",
    "KeepBest",
    "Places",
    "Problem",
    "PublishSettings",
    "RetentionSettings",
    "VerifyConfig",
    "WatchSettings",
    "WebSettings",
    "WorkerSettings",
    "default_state_dir",
    "find",
    "load",
    "parse",
    "places",
    "salvage",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
