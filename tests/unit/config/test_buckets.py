"""Watches of buckets in the config: their defaults, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checkpointd.config import ConfigError, parse
from checkpointd.config import buckets as module

URL = "s3://bucket/runs"


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "missing_extra", lambda *_modules: "")


def _parse(**watch: Any) -> Any:
    (found,) = parse({"watch": [{"name": "w", "path": URL, **watch}]}, Path("/c.toml")).watch
    return found


def _message(*watches: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse({"watch": [{"name": f"w{i}", **w} for i, w in enumerate(watches)]}, Path("/c.toml"))
    return str(caught.value)


def test_a_url_stays_as_it_is_and_changes_the_defaults() -> None:
    """A listing a minute, no scrub: both cost money; what is written counts."""
    watch = _parse(path=f"{URL}/")
    assert (watch.path, watch.bucket) == (URL, URL)
    assert (watch.poll_interval, watch.scrub_every) == (60.0, None)
    watch = _parse(poll_interval="5s", scrub_every="30d")
    assert (watch.poll_interval, watch.scrub_every) == (5.0, 30 * 86400.0)
    assert _parse(path="runs").path == Path("/runs")
    assert _parse(path="runs").bucket == ""


@pytest.mark.parametrize(
    ("watch", "part"),
    [
        ({"retention": {"vault": 2}}, "the bucket's own versions keep what is overwritten"),
        ({"retention": {"trash_ttl": "1d"}}, "is a setting of the bucket"),
        ({"retention": {"links": ["/srv"]}}, "symbolic links cannot lead to a bucket"),
        ({"publish": {"latest_link": True}}, "a link cannot lead to a bucket"),
        ({"method": "inotify"}, "no file events"),
        ({"path": "hdfs://host/x"}, "hdfs:// is not known here, only gs:// and s3:// are"),
        ({"path": "s3://bucket/../x"}, "no path can have"),
    ],
)
def test_what_a_bucket_cannot_do_is_an_error(watch: dict[str, Any], part: str) -> None:
    """Each error names its key and why."""
    assert part in _message({"path": URL, **watch})


def test_overlapping_urls_are_an_error() -> None:
    """One watch would report what another one reports."""
    assert "overlaps" in _message({"path": URL}, {"path": f"{URL}/a"})
    parse(
        {"watch": [{"name": "a", "path": URL}, {"name": "b", "path": f"{URL}-2"}]}, Path("/c.toml")
    )


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The config is refused at once, not the first poll."""
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "pip install 'checkpointd[buckets]'" in _message({"path": URL})


@pytest.mark.parametrize(("url", "package"), [(URL, "boto3"), ("gs://bucket/runs", "google.auth")])
def test_enforcing_needs_what_deletes_by_identity(
    monkeypatch: pytest.MonkeyPatch, url: str, package: str
) -> None:
    """A watch that only reads a bucket does not need it."""
    monkeypatch.setattr(module, "missing_extra", lambda *modules: ", ".join(modules))
    retention = {"mode": "enforce", "keep_last": 3}
    assert package in _message({"path": url, "retention": retention})
    monkeypatch.setattr(module, "missing_extra", lambda *_modules: "")
    assert _parse(path=url, retention=retention).retention.mode == "enforce"
