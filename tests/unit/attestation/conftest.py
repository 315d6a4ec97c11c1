"""Keys as the manual makes them, with openssl."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "checkpointd" / "docs" / "attestations.md"


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A private and a public key: the commands of the manual, in a directory of their own."""
    directory = tmp_path_factory.mktemp("keys")
    block = re.search(r"```sh\n(# make the keys\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    for line in block[1].splitlines():
        if line.strip() and not line.startswith(("#", "sudo chown")):
            words = [
                word.replace("/etc/checkpointd/", f"{directory}/") for word in shlex.split(line)
            ]
            words = words[1:] if words[0] == "sudo" else words
            subprocess.run(words, check=True, capture_output=True)
    return str(directory / "attest.key"), str(directory / "attest.pub")


def make_key(directory: Path, name: str, *arguments: str) -> tuple[str, str]:
    """Make another pair."""
    private, public = str(directory / f"{name}.key"), str(directory / f"{name}.pub")
    subprocess.run(
        ["openssl", "genpkey", "-out", private, *arguments], check=True, capture_output=True
    )
    Path(private).chmod(0o600)
    subprocess.run(
        ["openssl", "pkey", "-in", private, "-pubout", "-out", public],
        check=True,
        capture_output=True,
    )
    return private, public
