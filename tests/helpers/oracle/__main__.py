"""Ask the real loaders: `python -m tests.helpers.oracle OUT.json < PATHS`, a path a line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.helpers.oracle.loaders import LOADS, READS, RUNS, loaders_for

_SECONDS = 100
_TEXT = 160


def versions() -> dict[str, str]:
    """The libraries that the answers are of."""
    import keras
    import tensorflow as tf
    import tf_keras

    return {lib.__name__: str(lib.__version__) for lib in (tf, keras, tf_keras)}


def ask(path: str) -> dict[str, Any]:
    """Try every loader on one artifact."""
    answer: dict[str, Any] = {RUNS: [], LOADS: [], READS: [], "refused": {}}
    for name, loader in loaders_for(path):
        try:
            answer[loader(path)].append(name)
        except Exception as error:  # noqa: BLE001 - a loader raises anything
            said = " ".join(f"{type(error).__name__}: {error}".split())
            answer["refused"][name] = said.replace(path, "PATH")[:_TEXT]
    return answer


def ask_apart(path: str) -> dict[str, Any]:
    """Try every loader on one artifact, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        import signal

        signal.alarm(_SECONDS)
        os.close(reading)
        with os.fdopen(writing, "w") as out:
            json.dump(ask(path), out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    _, status = os.waitpid(child, 0)
    if status or not text:
        return {RUNS: [], LOADS: [], READS: [], "refused": {"all": f"ended by {status}"}}
    return dict(json.loads(text))


def main() -> None:
    """Answer for every path on standard input, and name the versions that answered."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    of = versions()
    paths = sys.stdin.read().splitlines()
    answers = {path: ask_apart(path) for path in paths}
    text = json.dumps({"versions": of, "answers": answers}, indent=1, sort_keys=True)
    Path(sys.argv[1]).write_text(text + "\n")


if __name__ == "__main__":
    main()
