"""config.toml to frozen, validated settings.

Names are imported on first use: `latest` needs only paths, and must not wait until the schema is
imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.lazy_names import importer_of

if TYPE_CHECKING:
    from checkpointd.config.dispatch import DispatchSettings
    from checkpointd.config.errors import ConfigDeniedError, ConfigError, Problem
    from checkpointd.config.locate import (
        Locations,
        default_state_dir,
        find,
        locations,
        named_config,
        root_at,
        salvage,
        unnamed_state_dir,
    )
    from checkpointd.config.replicate import ReplicateSettings
    from checkpointd.config.retention import RetentionSettings
    from checkpointd.config.settings import (
        Config,
        PublishSettings,
        WatchSettings,
        WorkerSettings,
    )
    from checkpointd.config.validate import load, parse
    from checkpointd.config.verify import VerifyConfig
    from checkpointd.config.web import WebSettings

_MODULE = {
    "Config": "settings",
    "ConfigDeniedError": "errors",
    "ConfigError": "errors",
    "DispatchSettings": "dispatch",
    "Locations": "locate",
    "Problem": "errors",
    "PublishSettings": "settings",
    "ReplicateSettings": "replicate",
    "RetentionSettings": "retention",
    "VerifyConfig": "verify",
    "WatchSettings": "settings",
    "WebSettings": "web",
    "WorkerSettings": "settings",
    "default_state_dir": "locate",
    "find": "locate",
    "load": "validate",
    "parse": "validate",
    "locations": "locate",
    "named_config": "locate",
    "root_at": "locate",
    "salvage": "locate",
    "unnamed_state_dir": "locate",
}

__all__ = [
    "Config",
    "ConfigDeniedError",
    "ConfigError",
    "DispatchSettings",
    "Locations",
    "Problem",
    "PublishSettings",
    "ReplicateSettings",
    "RetentionSettings",
    "VerifyConfig",
    "WatchSettings",
    "WebSettings",
    "WorkerSettings",
    "default_state_dir",
    "find",
    "load",
    "locations",
    "named_config",
    "parse",
    "root_at",
    "salvage",
    "unnamed_state_dir",
]

__getattr__ = importer_of(__name__, _MODULE)
