"""Every command that the README and the manual show, run beside a real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helpers import manual
from tests.helpers.daemon import SCANNING, daemon_in
from tests.helpers.formats import bundle

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow(45), pytest.mark.timeout(300)]

ELSEWHERE = {"run", "demo", "systemd", "worker", "attest"}
"""What other tests run: they do not return at once, change this machine, or need a key."""

RUNS = {0, 1, 3, 4, 7}
"""How a command ends that is used rightly and whose service answers."""


def filled(words: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """A command with a real path, watch, topic and reason in place of what stands for them."""
    stands_for = {
        "PATH": str(path),
        "/data/runs/resnet/ckpt-7": str(path),
        "DIRECTORY": str(path.parent),
        "WATCH": "resnet",
        "TOPIC": "formats",
        "REASON": "finite.nan",
        "runs/resnet": str(path.parent),
        "runs/": str(path.parent),
        **dict.fromkeys(("A", "B", "epoch_01.keras", "epoch_02.weights.h5"), str(path)),
    }
    kept = words[2:] if words[0] == "--config" else words
    return tuple(stands_for.get(word, word) for word in kept)


NO_STORE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",
}
"""No store answers the URLs that are shown, neither one of this machine nor one of other tests."""


def test_every_command_that_is_shown_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is a usage error, a fault of ours, or cannot reach the service."""
    for name, value in NO_STORE.items():
        monkeypatch.setenv(name, value)
    config = SCANNING.replace('name = "runs"', 'name = "resnet"')
    config += '\n[watch.retention]\nmode = "enforce"\nkeep_last = 1\n'
    with daemon_in(tmp_path, config) as daemon:
        for step in (6, 7):
            bundle(daemon.runs / f"ckpt-{step}")
        daemon.start()
        path = daemon.runs / "ckpt-7"
        daemon.verdict(path)
        wrong = []
        shown = {filled(words, path): words for words in manual.commands()}
        for arguments, words in shown.items():
            if arguments[0] in ELSEWHERE:
                continue
            done = daemon.cli(*arguments)
            # In prose a command may stand without its argument.
            asked = ("Missing argument", "Name what to restore")
            incomplete = done.returncode == 2 and any(text in done.stderr for text in asked)
            if not incomplete and (done.returncode not in RUNS or "Traceback" in done.stderr):
                wrong.append(f"{' '.join(words)}: {done.returncode}\n{done.stderr}")
        assert daemon.stop() == 0
    assert not wrong, "\n".join(wrong)
