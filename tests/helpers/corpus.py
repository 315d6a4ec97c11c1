"""Spoiled checkpoints: every way of spoiling, applied to real ones, from one seed.

A spoiler takes the path of a copy and changes it in place. What it spoils is named by its kind.
"""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Spoiler = Callable[[Path], object]

BLOCK = 512
"""A disk's sector: what is zeroed, doubled or swapped as a whole."""


@dataclass(frozen=True)
class Spoiled:
    """One spoiled checkpoint: what it was, in which format, and what was done to it."""

    path: Path
    original: Path
    format: str
    kind: str


def files_of(path: Path) -> list[Path]:
    """The files of a checkpoint, but for its golden record."""
    if path.is_dir():
        found = [p for p in path.rglob("*") if p.is_file()]
    elif path.exists():
        found = [path]
    else:
        found = list(path.parent.glob(path.name + ".*"))
    return sorted(p for p in found if p.name != "golden.npz" and not p.name.endswith(".golden.npz"))


def copied(source: Path, target: Path, *, golden: bool) -> None:
    """Copy a checkpoint, with its golden record or without."""
    target.parent.mkdir(parents=True, exist_ok=True)
    record = source.with_name(source.name + ".golden.npz")
    if source.is_dir():
        shutil.copytree(source, target)
        if not golden:
            (target / "assets.extra" / "golden.npz").unlink(missing_ok=True)
        return
    for file in files_of(source):
        shutil.copy2(file, target.with_name(target.name + file.name[len(source.name) :]))
    if golden:
        shutil.copy2(record, target.with_name(target.name + ".golden.npz"))


def change(file: Path, edit: Callable[[bytearray], None]) -> None:
    """Edit a file's bytes and keep its times, as a disk does that rots."""
    before = file.stat()
    data = bytearray(file.read_bytes())
    edit(data)
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@dataclass(frozen=True)
class Part:
    """One file of a checkpoint: below its directory, or what is appended to its name."""

    name: str
    inside: bool

    def of(self, path: Path) -> Path:
        """Its path in a copy."""
        return path / self.name if self.inside else path.with_name(path.name + self.name)

    def edited(self, edit: Callable[..., None], *arguments: int) -> Spoiler:
        """What edits its bytes in a copy."""
        return lambda path: change(self.of(path), lambda data: edit(data, *arguments))


def parts_of(source: Path) -> list[Part]:
    """The parts of a whole checkpoint."""
    if source.is_dir():
        return [Part(str(file.relative_to(source)), True) for file in files_of(source)]
    return [Part(file.name[len(source.name) :], False) for file in files_of(source)]


def bytes_spoilers(
    source: Path, generator: random.Random, *, flips: int, others: int
) -> Iterator[tuple[str, Spoiler]]:
    """Truncation, flipped bits in every region, zeroed and doubled sectors, missing files.

    Args:
        source: the whole checkpoint.
        generator: where the places come from.
        flips: flipped bits a file, spread evenly over it.
        others: of each other kind a file.
    """
    for part in parts_of(source):
        size = part.of(source).stat().st_size
        sectors = range(0, size, BLOCK)
        for number in range(others):
            yield "truncated", part.edited(_cut, generator.randrange(size))
            one, other = generator.choice(sectors), generator.choice(sectors)
            yield "zeroed sector", part.edited(_zero, one)
            if number % 2 == 0 and one != other:
                yield "doubled sector", part.edited(_double, one, other)
        for number in range(flips):
            start, stop = number * size // flips, (number + 1) * size // flips
            at, bit = generator.randrange(start, max(start + 1, stop)), generator.randrange(8)
            yield "flipped bit", part.edited(_flip, at, 1 << bit)
        yield "missing file", lambda path, part=part: part.of(path).unlink()


def _cut(data: bytearray, at: int) -> None:
    del data[at:]


def _zero(data: bytearray, at: int) -> None:
    data[at : at + BLOCK] = bytes(len(data[at : at + BLOCK]))


def _double(data: bytearray, one: int, other: int) -> None:
    block = data[one : one + BLOCK]
    data[other : other + len(block)] = block[: len(data) - other]


def _flip(data: bytearray, at: int, bit: int) -> None:
    data[min(at, len(data) - 1)] ^= bit


def other_version_spoilers(source: Path, other: Path) -> Iterator[tuple[str, Spoiler]]:
    """Each file of a checkpoint of several, in turn, from another save."""
    parts = parts_of(source)
    if len(parts) == 1:  # it is replaced as a whole, or not at all
        return
    for part in parts:
        if part.of(source).read_bytes() != part.of(other).read_bytes():
            yield (
                "file of another save",
                lambda path, part=part: shutil.copy2(part.of(other), part.of(path)),
            )
    if source.is_dir():
        yield (
            "variables of another save",
            lambda path: shutil.copytree(
                other / "variables", path / "variables", dirs_exist_ok=True
            ),
        )


def weights_spoilers(generator: random.Random) -> Iterator[tuple[str, Spoiler]]:
    """NaN, Inf, another dtype, a missing weight, doubled and swapped values, by HDF5 itself."""
    for _ in range(3):
        choice = generator.random()
        yield "NaN written", lambda p, c=choice: edit_hdf5(p, c, lambda v: _set(v, np.nan))
        yield "Inf written", lambda p, c=choice: edit_hdf5(p, c, lambda v: _set(v, np.inf))
        yield "values changed", lambda p, c=choice: edit_hdf5(p, c, lambda v: v + np.float32(0.25))
        yield "zeroed weight", lambda p, c=choice: edit_hdf5(p, c, np.zeros_like)
        yield "wrong dtype", lambda p, c=choice: edit_hdf5(p, c, lambda v: v.astype(np.float16))
        yield "missing weight", lambda p, c=choice: edit_hdf5(p, c, lambda _: None)


def _set(values: np.ndarray, value: float) -> np.ndarray:
    values = values.copy()
    values.reshape(-1)[-1] = value
    return values


def edit_hdf5(path: Path, choice: float, edit: Callable[[np.ndarray], np.ndarray | None]) -> None:
    """Replace one of the model's weights in an `.h5`, or in the one inside a `.keras`."""
    if path.suffix != ".keras":
        with h5py.File(path, "r+", locking=False) as file:
            _edit(file, choice, edit)
        return
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
        comment = archive.comment
    buffer = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        _edit(file, choice, edit)
    parts["model.weights.h5"] = buffer.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
        archive.comment = comment


def _edit(file: h5py.File, choice: float, edit: Callable[[np.ndarray], np.ndarray | None]) -> None:
    names: list[str] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.size > 1 and not name.startswith("optimizer"):
            names.append(name)

    file.visititems(visit)
    name = names[int(choice * len(names))]
    changed = edit(np.asarray(file[name]))
    del file[name]
    if changed is not None:
        file[name] = changed
