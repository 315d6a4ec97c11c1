"""What a config value is checked for, beyond its type in TOML."""

from __future__ import annotations

import re
import string
from pathlib import Path

from checkpointd.config.units import parse_duration, parse_size
from checkpointd.core import verify_settings
from checkpointd.core.tags import why_no_tag
from checkpointd.core.urls import SCHEMES, is_url, other_scheme, parse_url
from checkpointd.retention_rules.local_time import zone

MOST_THREADS = 1024


def check_trash_mode(value: object) -> object:
    """Refuse what is neither `inherit` nor a mode with which the daemon can use the trash.

    Raises:
        ValueError: it is neither.
    """
    if value == "inherit" or (isinstance(value, str) and re.fullmatch(r"[0-3]?7[0-7]{2}", value)):
        return value
    raise ValueError('must be "inherit", or a mode in which the owner may do all, such as "0770"')


def check_path(value: object) -> object:
    """Refuse text that cannot be a path.

    Raises:
        ValueError: it is empty or holds a NUL character.
    """
    if isinstance(value, str) and not value:
        raise ValueError("must not be empty")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("a path cannot contain a NUL character")
    return value


def check_root(value: object) -> Path | str:
    """Return a directory as a path, and a URL of a bucket as a text.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise ValueError("expected a path or a URL in quotes")  # noqa: TRY004 - pydantic's way
    check_path(value)
    if scheme := other_scheme(value):
        known = " and ".join(f"{name}://" for name in SCHEMES)
        raise ValueError(f"{scheme}:// is not known here, only {known} are")
    return str(parse_url(value)) if is_url(value) else Path(value)


def check_bucket_url(value: object) -> str:
    """Return a URL of a bucket without slashes at its end.

    Raises:
        ValueError: it is none.
    """
    if not is_url(value):
        raise ValueError('expected "s3://bucket/prefix" or "gs://bucket/prefix"')
    return str(parse_url(str(value)))


def duration_or_never(value: object) -> object:
    """Return a duration in seconds, and None for `never`.

    Raises:
        ValueError: it cannot be read so.
    """
    return None if value == "never" else parse_duration(value)


def size_or_auto(value: object) -> object:
    """Return a size in bytes, and `auto` as it is.

    Raises:
        ValueError: it cannot be read so.
    """
    return value if value == "auto" else parse_size(value)


def count_or_auto(value: object) -> object:
    """Refuse what is neither `auto` nor a number of threads.

    Raises:
        ValueError: it cannot be read so.
    """
    if value == "auto" or (type(value) is int and 0 < value <= MOST_THREADS):
        return value
    raise ValueError(f'must be "auto", or a whole number from 1 to {MOST_THREADS}')


def switch_or_path(value: object) -> object:
    """Refuse what is neither true or false nor a path.

    Raises:
        ValueError: it cannot be read so.
    """
    return value if isinstance(value, bool) else check_path(value)


def dotted(value: str) -> str:
    """Refuse what is not `package.module:name`.

    Raises:
        ValueError: it cannot be read so.
    """
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", value) is None:
        raise ValueError('expected "package.module:name"')
    return value


def not_relative(value: str) -> str:
    """Refuse the names that stand for a directory in every directory.

    Raises:
        ValueError: it cannot be read so.
    """
    if value in (".", ".."):
        raise ValueError("is not a name: it stands for a directory in every directory")
    return value


def template(value: str) -> str:
    """Refuse what is not a file name template with named fields.

    Raises:
        ValueError: it cannot be read so.
    """
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(value) if name is not None]
    except ValueError as error:
        raise ValueError(f"is not a file name template: {error}") from None
    if not fields or not all(fields):
        raise ValueError("expected named fields, such as {epoch:02d}")
    return value


def tags(value: str) -> str:
    """Return one tag, or several with commas between, without spaces.

    Raises:
        ValueError: it cannot be read so.
    """
    names = [name.strip() for name in value.split(",")]
    wrong = next(filter(None, map(why_no_tag, names)), None)
    if wrong is not None:
        raise ValueError(f"is not a tag, or several with commas between: {wrong}")
    return ",".join(names)


def time_zone(value: str) -> str:
    """Refuse the name of a time zone that this machine does not know.

    Raises:
        ValueError: it cannot be read so.
    """
    zone(value)
    return value


def check_name(value: str) -> str:
    """Refuse what is not the name of a check.

    Raises:
        ValueError: it cannot be read so.
    """
    if not verify_settings.is_check_name(value):
        raise ValueError(
            "may contain only a-z, 0-9 and _, must begin with a letter, 32 characters at most"
        )
    return value


def metric_name(value: str) -> str:
    """Refuse what is not the name of a metric.

    Raises:
        ValueError: it cannot be read so.
    """
    if not verify_settings.is_metric_name(value):
        raise ValueError("is not a metric name: letters, digits and _ . : @ - only, 64 at most")
    return value
