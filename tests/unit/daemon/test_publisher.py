"""Verdict files and links on a real disk: each in one step, and never in the way of others."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from checkpointd.config import WatchSettings, parse
from checkpointd.core.verdict import Verdict
from checkpointd.daemon import published_content, publisher
from checkpointd.daemon.publisher import Publisher, sweep
from checkpointd.ledger import Ledger, State
from checkpointd.retention import find_references
from tests.helpers.ledger import (
    WRITERS,
    generation_on_disk,
    record_verdict,
    report,
    write_file,
    write_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Published:
    """A watch `w` on `root`, its ledger, and what it publishes."""

    def __init__(self, directory: Path, **publish: Any) -> None:
        self.directory, self.root = directory, directory / "root"
        self.root.mkdir()
        (directory / "state").mkdir()
        self.ledger = Ledger.open(directory / "state")
        self.settings = self.configured(**{"verdict_file": True, "latest_link": True, **publish})
        self.publisher = Publisher(self.settings, [self.root], self.ledger.report_of)

    def configured(self, **publish: Any) -> WatchSettings:
        """The watch's settings."""
        watch = {"name": "w", "path": "root", "publish": publish}
        data = {"daemon": {"state_dir": "state"}, "watch": [watch]}
        return parse(data, self.directory / "config.toml").watch[0]

    def publish(self) -> None:
        """Bring files and links up to date."""
        self.publisher.publish(self.ledger.entries("w"))

    def verdict(self, path: Path) -> dict[str, Any] | None:
        """The verdict file of a checkpoint."""
        name = quote(os.fsencode(os.path.relpath(path, self.root)), safe="") + ".json"
        file = self.directory / "state" / "verdicts" / "w" / name
        found: dict[str, Any] | None = json.loads(file.read_bytes()) if file.exists() else None
        return found

    @property
    def links(self) -> dict[str, str]:
        """Where each link leads."""
        directory = self.directory / "state" / "latest" / "w"
        return {
            str(path.relative_to(directory)): os.readlink(path)
            for path in directory.rglob("*")
            if path.is_symlink()
        }


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Published]:
    """Everything published, below the state directory."""
    made = Published(tmp_path)
    yield made
    made.ledger.close()


def test_a_verdict_file_names_the_content_of_its_verdict(watch: Published) -> None:
    """A consumer can compare the sizes and times of the members with the disk."""
    path = watch.root / "m-1.h5"
    record_verdict(watch.ledger, write_file(path, 1000.0))
    watch.publish()
    document = watch.verdict(path)
    assert document is not None
    assert document["path"] == str(path)
    assert (document["verdict"], document["reason"]) == ("valid", "")
    assert document["shown"] == ["intact", "loads"]
    status = path.stat()
    assert document["generation"]["members"] == [
        {"name": "", "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    ]
    assert document["format_version"] == 1
    file = watch.directory / "state" / "verdicts" / "w" / "m-1.h5.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o750


def test_it_is_removed_with_the_content_that_it_is_about(watch: Published) -> None:
    """Written over, deleted or pruned: no file claims anything."""
    paths = [watch.root / f"m-{n}.h5" for n in range(3)]
    for n, path in enumerate(paths):
        record_verdict(watch.ledger, write_file(path, 1000.0 + n))
    watch.publish()
    assert all(watch.verdict(path) for path in paths)
    changed = write_file(paths[0], 5000.0, b"something else")
    watch.ledger.record_seen(*changed, State.WRITING)
    watch.ledger.record_gone(str(paths[1]))
    watch.ledger.record_trashed(str(paths[2]), rule="x", reason="x", item="x")
    watch.publish()
    assert [watch.verdict(path) for path in paths] == [None, None, None]
    record_verdict(watch.ledger, changed, Verdict.INVALID)
    watch.publish()
    document = watch.verdict(paths[0])
    assert document is not None
    assert document["verdict"] == "invalid"


def test_a_verdict_that_is_being_renewed_is_kept_until_then(watch: Published) -> None:
    """The content has not changed, and the new verdict replaces the old one."""
    path = watch.root / "m-1.h5"
    saved = write_file(path, 1000.0)
    record_verdict(watch.ledger, saved)
    watch.publish()
    watch.ledger.record_seen(*saved, State.PENDING)
    watch.publish()
    assert watch.verdict(path)
    watch.ledger.record_report(report(*saved, Verdict.INVALID, finished_at=3000.0))
    watch.publish()
    document = watch.verdict(path)
    assert document is not None
    assert (document["verdict"], document["verified_at"]) == ("invalid", 3000.0)


def test_another_daemon_goes_on_where_the_last_one_stopped(watch: Published) -> None:
    """What is right is not written again; what is unknown or half written is removed."""
    paths = [watch.root / f"m-{n}.h5" for n in range(2)]
    for n, path in enumerate(paths):
        record_verdict(watch.ledger, write_file(path, 1000.0 + n))
    watch.publish()
    directory = watch.directory / "state" / "verdicts" / "w"
    before = (directory / "m-0.h5.json").stat().st_ino
    (directory / ".checkpointd-tmp-0123").write_bytes(b"{")
    (directory / "theirs.json").write_bytes(b'{"somebody": "else"}')
    watch.ledger.record_gone(str(paths[1]))
    watch.publisher = Publisher(watch.settings, [watch.root], watch.ledger.report_of)
    watch.publish()
    assert sorted(os.listdir(directory)) == ["m-0.h5.json", "theirs.json"]
    assert (directory / "m-0.h5.json").stat().st_ino == before


@pytest.mark.parametrize(
    "name",
    ["a\nb.h5", "ü 模型.h5", "x" * 251 + ".h5", "\udcff\udcfe.h5", "..h5", "%2F.h5", "a b.h5"],
)
def test_every_name_has_a_safe_file_name(watch: Published, name: str) -> None:
    """Newlines, bytes that are no UTF-8, the longest names there are."""
    saved = write_file(watch.root / "sub" / name, 1000.0)
    record_verdict(watch.ledger, saved)
    watch.publish()
    (file,) = (watch.directory / "state" / "verdicts" / "w").iterdir()
    assert file.name.isascii()
    assert "/" not in file.name
    assert json.loads(file.read_bytes())["path"] == saved[0].path


def test_two_names_never_share_a_file(watch: Published) -> None:
    """Names that look alike once they are encoded stay apart."""
    root = str(watch.root)
    names = ["a/b", "a%2Fb", "a%252Fb", "a\\b", "x" * 240, "x" * 241, "x" * 240 + "/y"]
    files = {published_content.verdict_name(root, f"{root}/{name}") for name in names}
    assert len(files) == len(names)


@pytest.mark.parametrize(
    ("kind", "name", "link"),
    [
        ("file", "m-{}.h5", "m-{}.h5/latest-valid.h5"),
        ("prefix", "ckpt-{}", "ckpt-{}/latest-valid"),
        ("directory", "{}", "sm%2F{}/latest-valid"),
    ],
)
def test_the_link_leads_to_the_newest_valid_one(
    watch: Published, kind: str, name: str, link: str
) -> None:
    """And moves when that changes, goes or is found invalid; with none it is gone itself."""
    saved = [WRITERS[kind](watch.root / name.format(n), 1000.0 + n) for n in range(3)]
    for n, one in enumerate(saved):
        record_verdict(watch.ledger, one, Verdict.INVALID if n == 2 else Verdict.VALID)
    watch.publish()
    assert watch.links == {link: saved[1][0].path}
    assert find_references(str(watch.root), str(watch.settings.link_directory)).paths >= {
        saved[1][0].path
    }
    watch.ledger.record_report(report(*saved[1], Verdict.INVALID))
    watch.publish()
    assert watch.links == {link: saved[0][0].path}
    member = saved[0][1].members[0]
    os.utime(saved[0][0].path + member.name, (9000.0, 9000.0))
    watch.publish()
    assert watch.links == {}
    assert not (watch.directory / "state" / "latest" / "w" / link).parent.exists()


def test_tensorflow_finds_a_prefix_by_the_state_file_beside_its_link(watch: Published) -> None:
    """`tf.train.latest_checkpoint(directory)` works; it is TensorFlow's text format."""
    path = watch.root / 'ck"pt\\-ü-7'
    record_verdict(watch.ledger, write_prefix(path, 1000.0))
    watch.publish()
    state = watch.directory / "state" / "latest" / "w" / "ckpt-{}" / "checkpoint"
    encoded = 'ck\\042pt\\134-\\303\\274-7"\n'
    assert state.read_text().endswith(encoded)
    assert str(path) in find_references(str(state.parent)).paths
    watch.ledger.record_gone(str(path))
    watch.publish()
    assert not state.exists()


def test_the_link_asks_for_what_is_required(tmp_path: Path) -> None:
    """As `latest --requires` does."""
    watch = Published(tmp_path, require=["resumes"])
    whole, served = (write_file(watch.root / f"m-{n}.h5", 1000.0 + n) for n in range(2))
    watch.ledger.record_report(report(*whole, shown=("intact", "loads", "resumes")))
    watch.ledger.record_report(report(*served, shown=("intact", "loads")))
    watch.publish()
    assert watch.links == {"m-{}.h5/latest-valid.h5": whole[0].path}
    watch.ledger.close()


def test_nothing_is_ever_put_into_a_watched_directory(tmp_path: Path) -> None:
    """Not by way of a symlink either, which the config cannot see."""
    (tmp_path / "elsewhere").mkdir()
    watch = Published(tmp_path, verdict_file="elsewhere", latest_link=False)
    record_verdict(watch.ledger, write_file(watch.root / "m-1.h5", 1000.0))
    (tmp_path / "elsewhere").rmdir()
    (tmp_path / "elsewhere").symlink_to(watch.root)
    with pytest.raises(OSError, match="leads into the watched directory"):
        watch.publish()
    assert os.listdir(watch.root) == ["m-1.h5"]
    watch.ledger.close()


def test_a_directory_that_cannot_be_written_is_reported_and_tried_again(
    watch: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdicts come although the links cannot, nothing half is left, and all comes later."""
    path = watch.root / "m-1.h5"
    record_verdict(watch.ledger, write_file(path, 1000.0))
    latest = watch.directory / "state" / "latest"
    latest.write_bytes(b"in the way")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        watch.publish()
    assert watch.verdict(path)
    latest.unlink()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(publisher.os, "rename", full)
        with pytest.raises(OSError, match=r"No space left.*latest-valid") as caught:
            watch.publish()
    assert caught.value.filename.endswith("latest-valid.h5")
    assert [p.name for p in latest.rglob("*") if p.is_symlink()] == []
    watch.publish()
    assert watch.links == {"m-{}.h5/latest-valid.h5": str(path)}


def test_what_is_published_no_longer_is_removed(watch: Published) -> None:
    """On a reload by the watch itself, at a start for watches that are gone; others' files stay."""
    record_verdict(watch.ledger, write_file(watch.root / "m-1.h5", 1000.0))
    watch.publish()
    state = watch.directory / "state"
    keep = watch.settings.verdict_directory
    assert keep is not None
    watch.publisher.withdraw([keep])
    assert watch.links == {}
    assert (keep / "m-1.h5.json").exists()
    watch.publish()
    (state / "verdicts" / "w" / "notes.txt").write_text("mine")
    sweep(state, [])
    assert not (state / "latest" / "w").exists()
    assert os.listdir(state / "verdicts" / "w") == ["notes.txt"]


def test_a_link_is_exchanged_in_one_step(watch: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader sees the old target or the new one at every moment."""
    seen: list[str] = []
    real = os.rename

    def rename(old: str, new: Any) -> None:
        seen.append(os.readlink(new) if os.path.islink(new) else "")
        real(old, new)

    monkeypatch.setattr(publisher.os, "rename", rename)
    paths = [watch.root / f"m-{n}.h5" for n in range(2)]
    for n, path in enumerate(paths):
        record_verdict(watch.ledger, write_file(path, 1000.0 + n))
        watch.publish()
    assert str(paths[0]) in seen
    assert watch.links == {"m-{}.h5/latest-valid.h5": str(paths[1])}
    assert generation_on_disk(str(paths[1]), [""]).key


@pytest.mark.parametrize(
    ("publish", "document"),
    [
        ({"verdict_file": "root/verdicts"}, "is inside watch 'w' or contains it"),
        ({"latest_link": "root"}, "is inside watch 'w' or contains it"),
        ({"verdict_file": "."}, None),
        ({"verdict_file": "out", "latest_link": "out"}, "is also the directory of verdict_file"),
        ({"latest_link": 7}, "latest_link"),
        ({"verdict_file": ""}, "must not be empty"),
    ],
)
def test_the_config_refuses_a_directory_that_is_watched(
    tmp_path: Path, publish: dict[str, Any], document: str | None
) -> None:
    """With the key that is wrong."""
    from checkpointd.config import ConfigError

    data = {"watch": [{"name": "w", "path": "root", "publish": publish}]}
    if document is None:
        assert parse(data, tmp_path / "c.toml").watch[0].verdict_directory == tmp_path / "w"
        return
    with pytest.raises(ConfigError, match="publish") as caught:
        parse(data, tmp_path / "c.toml")
    assert document in str(caught.value)


def test_a_watch_is_never_named_like_a_parent_directory(tmp_path: Path) -> None:
    """Its name is a directory's."""
    from checkpointd.config import ConfigError

    with pytest.raises(ConfigError, match="is not a name"):
        parse({"watch": [{"name": "..", "path": "root"}]}, tmp_path / "c.toml")
