"""Signatures that TensorFlow 2 loads and does not run: run in a session of TensorFlow 1."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING, Any

from checkpointd.verify.load.loaders import session
from checkpointd.verify.tf_errors import environment_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from checkpointd.verify.load.loaded import Loaded, Signature

_MOST_TWICE = 256 << 20
"""Bytes of a SavedModel beyond which it is not loaded a second time beside the first."""


def without_frames(error: Exception) -> Exception:
    """An exception without its frames, which would keep a model alive that was half loaded."""
    chained: BaseException | None = error
    while chained is not None:
        chained.__traceback__ = None
        chained = chained.__cause__ or chained.__context__
    return error


class _Session:
    """The same SavedModel in a session, loaded when a signature does not run in TensorFlow 2."""

    def __init__(self, path: str, tags: tuple[str, ...]) -> None:
        self._path = path
        self._tags = tags
        self._loaded: Loaded | None = None
        self._error: Exception | None = None
        self.notes: dict[str, str] = {}

    def run(self, name: str, arrays: Mapping[str, Any], first: Exception) -> dict[str, Any]:
        """Run a signature that failed with `first`.

        Raises:
            Exception: what explains better why it does not run.
        """
        reason = environment_problem(first)
        if reason is not None and reason.word == "out_of_memory":
            raise first
        try:
            outputs = self._model().signatures[name].run(arrays)
        except Exception as second:
            if (
                reason is None
                and not isinstance(second, KeyError)
                and environment_problem(second) is not None
            ):
                raise second from first
            raise first from None
        self.notes[name] = f"{name!r} runs only in {session.TITLE}."
        return outputs

    def _model(self) -> Loaded:
        if self._error is not None:
            raise self._error
        if self._loaded is None:
            try:
                if _bytes_below(self._path) > _MOST_TWICE:
                    raise KeyError("too large to be loaded twice")  # noqa: TRY301 - kept like others
                self._loaded = session.load_graph(self._path, [self._tags])
            except Exception as error:
                self._error = without_frames(error)
                raise
        return self._loaded

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """A block after which the session is as it was loaded."""
        try:
            yield
        finally:
            if self._loaded is not None:
                with self._loaded.unchanged():
                    pass


def with_session(loaded: Loaded, path: str, tags: tuple[str, ...]) -> Loaded:
    """Have signatures run in a session where they do not run in TensorFlow 2."""
    fallback = _Session(path, tags)

    def in_either(name: str, signature: Signature) -> Signature:
        def run(arrays: Mapping[str, Any]) -> dict[str, Any]:
            try:
                return signature.run(arrays)
            except Exception as error:  # noqa: BLE001 - a model raises anything
                return fallback.run(name, arrays, error)

        return dataclasses.replace(signature, run=run)

    signatures = {name: in_either(name, s) for name, s in loaded.signatures.items()}
    return dataclasses.replace(
        loaded, signatures=signatures, guard=fallback.unchanged, notes=fallback.notes
    )


def _bytes_below(path: str) -> int:
    return sum(
        os.stat(os.path.join(where, name)).st_size
        for where, _, names in os.walk(path)
        for name in names
    )
