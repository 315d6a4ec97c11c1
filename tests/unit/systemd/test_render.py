"""The texts that are generated: drop-ins and the first config."""

from __future__ import annotations

import tomllib
from pathlib import Path

from checkpointd.config import parse
from checkpointd.systemd.render import config, directories, quoted


def test_the_drop_in_names_the_directories_of_the_config() -> None:
    """Mounts to wait for, what may be written though it may be missing, and the groups."""
    text = directories(["/data/a", "/data/b c"], ["/data/a"], ["trainers"])
    assert 'RequiresMountsFor=/data/a "/data/b c"\n' in text
    assert "[Service]\nReadWritePaths=-/data/a\nSupplementaryGroups=trainers\n" in text


def test_a_watch_that_only_reads_needs_no_right() -> None:
    """And without a watch nothing is waited for."""
    assert "[Service]" not in directories(["/data/a"], [], [])
    assert "[Unit]" not in directories([], [], [])


def test_hooks_may_connect_to_this_host() -> None:
    """And to no other, unless a person adds it."""
    text = directories([], [], [], has_hooks=True)
    assert "RestrictAddressFamilies=AF_INET AF_INET6\nIPAddressAllow=localhost\n" in text


def test_a_path_cannot_break_out_of_its_line() -> None:
    """Nor be taken for a specifier of systemd."""
    assert quoted("/data/50%") == "/data/50%%"
    assert quoted('/a "b"\\c') == '"/a \\"b\\"\\\\c"'


def test_the_first_config_is_valid_and_removes_nothing() -> None:
    """Each directory once, under a name that Prometheus can show, also without a directory."""
    paths = ["/data/runs", "/srv/runs", "/data/Größe 7/", "/#", "/" + "x" * 100, '/a"b\\c']
    found = parse(tomllib.loads(config(paths, "", "")), Path("/etc/checkpointd/config.toml"))
    names = [watch.name for watch in found.watch]
    assert names[:4] == ["runs", "runs-2", "Gr-e-7", "all"]
    assert len(set(names)) == len(paths)
    assert {watch.retention.mode for watch in found.watch} == {"dry-run"}
    assert not any(watch.retention.has_rules for watch in found.watch)
    assert parse(tomllib.loads(config([], "", "")), Path("/x/config.toml")).watch == ()


def test_an_instance_names_its_state_and_its_address() -> None:
    """Because the program finds only those of the host's own service by itself."""
    text = config([], "/var/lib/checkpointd-alice", "127.0.0.1:9747")
    found = parse(tomllib.loads(text), Path("/etc/checkpointd-alice/config.toml"))
    assert str(found.state_dir) == "/var/lib/checkpointd-alice"
    assert found.web.listen == "127.0.0.1:9747"
