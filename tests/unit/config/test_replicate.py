"""`[watch.replicate]` in the config: what it takes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checkpointd.config import ConfigError, parse
from checkpointd.config import buckets as buckets_module
from checkpointd.config import replicate as module

TO = "s3://backups/runs"


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (module, buckets_module):
        monkeypatch.setattr(place, "missing_extra", lambda *_: "")


def _parse(*watches: dict[str, Any]) -> Any:
    rows = [{"name": f"w{i}", "path": f"/runs{i}", **w} for i, w in enumerate(watches)]
    return parse({"watch": rows}, Path("/c.toml")).watch


def _message(*watches: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        _parse(*watches)
    return str(caught.value)


def test_a_destination_is_a_url_without_slashes_at_its_end() -> None:
    """Without one nothing is copied; a size is the rate in bytes a second."""
    (plain,) = _parse({})
    assert plain.replicate.to is None
    (found,) = _parse({"replicate": {"to": f"{TO}/", "rate": "50MiB"}})
    assert (found.replicate.to, found.replicate.rate) == (TO, 50 << 20)


@pytest.mark.parametrize(
    ("replicate", "words"),
    [
        ({"to": "/mnt/backup"}, 'expected "s3://bucket/prefix"'),
        ({"to": "https://host/x"}, 'expected "s3://bucket/prefix"'),
        ({"to": "s3://bucket/a//b"}, "has an empty part"),
        ({"rate": "1MiB"}, 'needs to = "s3://bucket/prefix"'),
        ({"to": TO, "rate": 0}, "expected a positive size"),
    ],
)
def test_what_cannot_be_a_destination_is_refused(replicate: dict[str, Any], words: str) -> None:
    """Each with what is expected."""
    assert words in _message({"replicate": replicate})


def test_a_bucket_is_not_copied_elsewhere() -> None:
    """So a destination inside its own root is refused as well."""
    message = _message({"path": "s3://bucket/runs", "replicate": {"to": "s3://bucket/runs/copies"}})
    assert "what is in a bucket is not copied from here" in message


def test_two_watches_do_not_share_a_destination() -> None:
    """Files of both could have the same key; beside each other they are fine."""
    one, other = {"replicate": {"to": TO}}, {"replicate": {"to": f"{TO}/more"}}
    assert "overlaps with" in _message(one, other)
    assert len(_parse(one, {"replicate": {"to": f"{TO}2"}})) == 2


def test_copies_may_be_watched_but_not_pruned() -> None:
    """What a watch removed there would be copied again."""
    copies = {"path": TO, "retention": {"mode": "dry-run", "keep_last": 1}}
    assert len(_parse({"replicate": {"to": TO}}, copies)) == 2
    copies["retention"] = {"mode": "enforce", "keep_last": 1}
    assert "would be copied again" in _message({"replicate": {"to": f"{TO}/a"}}, copies)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(module, "missing_extra", lambda *_: "install it")
    assert "install it" in _message({"replicate": {"to": TO}})
