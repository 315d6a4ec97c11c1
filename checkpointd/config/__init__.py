"""config.toml to frozen, validated settings."""

from checkpointd.config.load import ConfigError, Problem, find, load, parse
from checkpointd.config.settings import (
    Config,
    KeepBest,
    RetentionSettings,
    VerifyConfig,
    WatchSettings,
    WebSettings,
    WorkerSettings,
)

__all__ = [
    "Config",
    "ConfigError",
    "KeepBest",
    "Problem",
    "RetentionSettings",
    "VerifyConfig",
    "WatchSettings",
    "WebSettings",
    "WorkerSettings",
    "find",
    "load",
    "parse",
]
