"""TensorFlow's own writer of gs:// URLs, and `checkpointd.training`, against a stub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("obstore")

from tests.helpers.scene import SCAN_ONLY
from tests.helpers.tls import needs_openssl, openssl

REPOSITORY = Path(__file__).parents[3]
HOSTS = "127.0.0.1 localhost www.googleapis.com storage.googleapis.com oauth2.googleapis.com\n"
PORT = "8765"
SCRIPT = """
set -e
ip link set lo up || ifconfig lo up
mount --bind "$HOME/hosts" /etc/hosts
"$PYTHON" -m tests.helpers.gcs "$HOME/stub.crt" "$HOME/stub.key" $PORT &
stub=$!
"$PYTHON" -m tests.helpers.gcs_job > "$HOME/job.out"
"$PYTHON" -m checkpointd --config "$HOME/config.toml" verify gs://ckpts/runs --json || true
kill $stub
"""
CONFIG = f"""
[daemon]
state_dir = "state"
[[watch]]
name = "runs"
path = "gs://ckpts/runs"
verify = {{ {SCAN_ONLY} }}
"""


def _certificate(home: Path) -> None:
    names = "DNS:www.googleapis.com,DNS:storage.googleapis.com,DNS:oauth2.googleapis.com"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", str(home / "stub.key"), "-out", str(home / "stub.crt"), "-days", "2"),
        *("-subj", "/CN=stub", "-addext", f"subjectAltName={names}"),
    )


@pytest.mark.slow(seconds=20)
@needs_openssl
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="a network namespace needs root and unshare: NOT checked",
)
def test_what_tensorflow_writes_to_a_bucket_is_valid(tmp_path: Path) -> None:
    """Every format that Keras, TensorFlow and we write to gs:// is found whole and intact there."""
    _certificate(tmp_path)
    (tmp_path / "hosts").write_text(HOSTS)
    (tmp_path / "config.toml").write_text(CONFIG)
    done = subprocess.run(
        ["unshare", "-mn", "bash", "-c", SCRIPT],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "PORT": PORT,
            "PYTHON": sys.executable,
            "CURL_CA_BUNDLE": str(tmp_path / "stub.crt"),
            "NO_GCE_CHECK": "true",
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{PORT}",
        },
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    verdicts = {row["path"].removeprefix("gs://ckpts/runs/"): row["verdict"] for row in rows}
    assert verdicts == dict.fromkeys(
        [
            *("keras/a.keras", "keras/a.weights.h5", "keras/ckpt-1", "keras/export"),
            *("ours/b.keras", "ours/b.weights.h5", "ours/ckpt-2", "ours/e-1.keras", "ours/export"),
        ],
        "valid",
    )
    printed = (tmp_path / "job.out").read_text()
    assert "b.keras.golden.npz" in printed
    assert "uploads nothing" in printed
    assert "TensorFlow writes gs:// URLs alone" in printed
