"""A real daemon on a bucket of a real S3 server, and the commands that take URLs."""

from __future__ import annotations

import base64
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("obstore")
pytest.importorskip("boto3")

from checkpointd.buckets.stores import deleting_store
from tests.helpers.bucket_field import enable_versioning
from tests.helpers.bundles import bundle
from tests.helpers.daemon import Daemon, daemon_in, eventually
from tests.helpers.scene import SCAN_ONLY
from tests.helpers.watch import write_hdf5, write_keras
from tests.unit.attestation.conftest import make_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.helpers.s3 import S3Server

CONFIG = """
[daemon]
state_dir = "state"
log_format = "json"

[web]
listen = "127.0.0.1:0"

[attest]
key_file = "attest.key"

[[watch]]
name = "pruned"
path = "PRUNED"
poll_interval = "1s"
retention = { mode = "enforce", keep_last = 2, min_age = "1s" }
verify = { SCAN }

[[watch]]
name = "runs"
path = "URL"
poll_interval = "1s"
torn_after = "1h"
publish = { verdict_file = true }
"""


@pytest.fixture(scope="module")
def daemon(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon that watches s3://…/runs, for all tests."""
    home = tmp_path_factory.mktemp("daemon")
    make_key(home, "attest", "-algorithm", "ed25519")
    config = CONFIG.replace("URL", server.url("runs")).replace("PRUNED", server.url("pruned"))
    config = config.replace("SCAN", SCAN_ONLY) + f"verify = {{ {SCAN_ONLY} }}\n"
    with daemon_in(home, config) as running:
        yield running.start()
        running.stop()


def _watch(daemon: Daemon, name: str = "runs") -> dict[str, Any]:
    return next(w for w in daemon.status()["watches"] if w["name"] == name)


def _staged(daemon: Daemon) -> list[Path]:
    staging = daemon.home / "state/staging"
    return [path for path in staging.rglob("*") if path.is_file()] if staging.exists() else []


def test_each_format_gets_one_verdict_a_generation(
    daemon: Daemon, server: S3Server, tmp_path: Path
) -> None:
    """Objects are verified as files are, once; the copies are gone, the store is asked rarely."""
    write_hdf5(tmp_path / "a.h5")
    write_keras(tmp_path / "b.keras")
    bundle(tmp_path / "ckpt-1")
    lists = server.lists()
    server.put_tree(tmp_path, "runs/a")
    paths = [f"{server.url('runs/a')}/{name}" for name in ("a.h5", "b.keras", "ckpt-1")]
    assert [daemon.verdict(path)["state"] for path in paths] == ["valid"] * 3
    polls = _watch(daemon)
    assert polls["up"]
    assert polls["method"] == "list"
    assert not _staged(daemon)
    events = map(json.loads, (daemon.home / "daemon.log").read_text().splitlines())
    verified = [event["path"] for event in events if event["event"] == "valid"]
    assert sorted(path for path in verified if path in paths) == paths
    lines = daemon.text("/metrics").splitlines()
    pages = next(line for line in lines if line.startswith("checkpointd_list_pages_total{"))
    assert float(pages.rpartition(" ")[2]) >= 1
    assert server.lists() > lists


def test_commands_take_urls(daemon: Daemon, server: S3Server, tmp_path: Path) -> None:
    """`latest`, `wait`, `verify`, `inspect`, `list` and `show` take what a watch lists."""
    bundle(tmp_path / "ckpt-7")
    server.put_tree(tmp_path, "runs/commands")
    root = server.url("runs/commands")
    url = f"{root}/ckpt-7"
    assert daemon.cli("wait", url, "--timeout", "100s").returncode == 0
    assert daemon.cli("latest", root).stdout == f"{url}\n"
    shown = json.loads(daemon.cli("show", f"{url}.index", "--json").stdout)
    assert (shown["path"], shown["state"]) == (url, "valid")
    listed = [json.loads(line)["path"] for line in daemon.cli("list", "--json").stdout.splitlines()]
    assert url in listed
    verified = daemon.cli("verify", root, "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["path"] == url
    inspected = json.loads(daemon.cli("inspect", url, "--json").stdout)
    assert (inspected["path"], inspected["format"]) == (url, "tf_checkpoint")
    missing = daemon.cli("verify", f"{root}/missing")
    assert missing.returncode == 2
    assert f"{root}/missing" in missing.stderr
    checked = daemon.cli("config", "check").stdout
    assert "watch[1]" not in checked
    findings = daemon.cli("doctor", "roots", "--json").stdout.splitlines()
    finding = next(one for one in map(json.loads, findings) if server.url("runs") in one["message"])
    assert finding["level"] == "ok"
    assert url in daemon.cli("prune", "--watch", "runs").stdout


def test_a_bucket_is_pruned_once_it_is_versioned_and_a_person_has_confirmed(
    daemon: Daemon, server: S3Server, tmp_path: Path
) -> None:
    """First the hold says what is missing; then `--apply` removes, and `restore` brings back."""
    urls = [server.url(f"pruned/ckpt-{number}") for number in range(1, 5)]
    for url in urls:  # one after the other: listings have times in whole seconds
        bundle(tmp_path / url.rpartition("/")[2])
        server.put_tree(tmp_path, "pruned")
        shutil.rmtree(tmp_path)
        daemon.verdict(url)
    without = daemon.cli("prune", "pruned", "--apply")
    assert "put-bucket-versioning" in without.stdout
    assert all(daemon.entry(url)["state"] == "valid" for url in urls)
    assert "put-bucket-versioning" in daemon.cli("config", "check").stdout
    enable_versioning(deleting_store(server.url()))
    applied = daemon.cli("prune", "pruned", "--apply")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert [url for url in urls if daemon.entry(url)] == urls[2:]
    (first, second) = map(json.loads, daemon.cli("trash", "list", "--json").stdout.splitlines())
    assert {first["path"], second["path"]} == set(urls[:2])
    assert first["bucket"]
    restored = daemon.cli("restore", urls[0])
    assert restored.returncode == 0, restored.stderr
    assert daemon.cli("wait", urls[0], "--timeout", "60s").returncode == 0
    assert daemon.entry(urls[0])["pinned"]
    assert daemon.cli("pin", urls[3]).returncode == 0
    bundle(tmp_path / "more/ckpt-5")
    server.put_tree(tmp_path / "more", "pruned")
    eventually("the daemon to prune", lambda: not daemon.entry(urls[2]))
    assert daemon.entry(urls[0])["state"] == daemon.entry(urls[3])["state"] == "valid"


def test_damage_in_an_object_is_found(daemon: Daemon, server: S3Server, tmp_path: Path) -> None:
    """A flipped byte in a shard is invalid, with the URL in the report and no local path."""
    files = bundle(tmp_path / "ckpt-1")
    content = bytearray(files[0].read_bytes())
    content[3] ^= 1
    files[0].write_bytes(bytes(content))
    server.put_tree(tmp_path, "runs/damaged")
    url = server.url("runs/damaged/ckpt-1")
    assert daemon.verdict(url)["state"] == "invalid"
    report = daemon.cli("show", url, "--json").stdout
    assert "staging" not in report
    assert json.loads(report)["reason"] == "integrity.checksum_mismatch"


def test_what_is_in_a_bucket_is_attested_and_read_once(
    daemon: Daemon, server: S3Server, tmp_path: Path
) -> None:
    """The statement names URL and content, and holds for that content alone, wherever it is."""
    bundle(tmp_path / "old/ckpt-3")
    before = len(server.requests)
    server.put_tree(tmp_path / "old", "runs/attested")
    url = server.url("runs/attested/ckpt-3")
    daemon.verdict(url)
    file = daemon.home / "state/verdicts/runs/attested%2Fckpt-3.intoto.jsonl"
    data = eventually("the attestation", lambda: file.exists() and file.read_bytes())
    read = [one for one in server.requests[before:] if "attested/ckpt-3.data" in one]
    assert len([one for one in read if one.startswith("GET")]) == 1, read
    stated = json.loads(base64.b64decode(json.loads(data)["payload"]))
    name, _, content = stated["subject"][0]["name"].partition("#")
    assert (name, len(content)) == (url, 32)
    assert all(stated["predicate"]["checkpointd"]["objects"].values())

    gate = ("attest", "verify", "--key", str(daemon.home / "attest.pub"))
    assert "attested (intact)" in daemon.cli(*gate, url).stdout
    (tmp_path / "copy.intoto.jsonl").write_bytes(data)
    named = ("--attestation", str(tmp_path / "copy.intoto.jsonl"))
    assert daemon.cli(*gate, str(tmp_path / "old/ckpt-3"), *named).returncode == 0
    bundle(tmp_path / "new/ckpt-3", [b"other/kernel", b"other/bias"])
    server.put_tree(tmp_path / "new", "runs/attested")
    stale = daemon.cli(*gate, url, *named)
    assert (stale.returncode, "other content" in stale.stderr) == (1, True), stale
    missing = daemon.cli(*gate, server.url("runs/attested/ckpt-9"))
    assert (missing.returncode, "there is no such path" in missing.stderr) == (2, True), missing


def test_what_is_written_over_while_it_is_copied_is_superseded(
    daemon: Daemon, server: S3Server, tmp_path: Path
) -> None:
    """The daemon never reports on a mixture: the new content gets the verdict."""
    bundle(tmp_path / "old/ckpt-1")
    bundle(tmp_path / "new/ckpt-1", [b"other/kernel", b"other/bias"])
    done: list[str] = []

    def write_over(request: str) -> None:
        if not done and request.endswith("over/ckpt-1.index") and "staging" not in request:
            method = request.partition(" ")[0]
            seen.append(method)
            if len(seen) >= 3:  # two small reads of the probe come first
                done.append(request)
                server.put_tree(tmp_path / "new", "runs/over")

    seen: list[str] = []
    server.before = write_over
    try:
        server.put_tree(tmp_path / "old", "runs/over")
        url = server.url("runs/over/ckpt-1")
        eventually("the overwrite", lambda: done, 60)
        size = sum(file.stat().st_size for file in (tmp_path / "new").iterdir())
        eventually(
            "a verdict on the new content",
            lambda: (
                daemon.entry(url).get("state") == "valid"
                and daemon.entry(url)["size_bytes"] == size
            ),
        )
    finally:
        server.before = lambda _request: None


def test_a_store_that_is_down_keeps_every_verdict(
    daemon: Daemon, server: S3Server, tmp_path: Path
) -> None:
    """`watch_up` is 0 with the reason, `status` answers, and all is well when it is back."""
    bundle(tmp_path / "ckpt-1")
    server.put_tree(tmp_path, "runs/kept")
    url = server.url("runs/kept/ckpt-1")
    daemon.verdict(url)
    server.stop()
    down = eventually(
        "the watch to be down",
        lambda: None if (found := _watch(daemon))["up"] else found,
    )
    assert "cannot be listed" in down["message"]
    assert 'checkpointd_watch_up{watch="runs"} 0.0' in daemon.text("/metrics")
    assert daemon.entry(url)["state"] == "valid"
    server.start()
    eventually("the watch to be up", lambda: _watch(daemon)["up"])
    assert daemon.entry(url)["state"] == "valid"
    assert os.listdir(daemon.home / "state/verdicts/runs")
    shutil.rmtree(tmp_path)
