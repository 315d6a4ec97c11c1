"""What a pickled torch module would import and call, determined without unpickling it.

`TorchModuleWrapper` keeps its module in the configuration as base64 of what `torch.save` writes: a
zip with a pickle in it. Unpickling imports each class that the pickle names and calls it.
Source: torch/serialization.py, Lib/pickletools.py.
"""

from __future__ import annotations

import base64
import io
import pickletools
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BYTES = 64 << 20
_COMPUTED = ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4")
_ARRAYS = ("_reconstruct", "ndarray", "dtype", "scalar")
_PLAIN = frozenset({"set", "frozenset", "dict", "list", "tuple", "complex", "slice", "bytearray"})
_REACHING = frozenset(
    {
        *("builtins", "__builtin__", "os", "posix", "nt", "sys", "subprocess", "shutil", "runpy"),
        *("importlib", "pickle", "_pickle", "marshal", "types", "functools", "operator", "ctypes"),
        *("socket", "urllib", "http", "code", "pty", "pdb", "timeit", "webbrowser", "io", "_io"),
        *("tempfile", "pathlib", "glob", "multiprocessing", "threading", "asyncio", "pip"),
        *("pkgutil", "inspect", "commands", "bdb", "cProfile", "profile", "trace", "platform"),
    }
)


def module_is_plain(stored: Any) -> bool:
    """Whether a stored module names nothing but layers of torch and the user's classes.

    What cannot be read is not plain: its effects are unknown.
    """
    try:
        return all(_is_plain(module, name) for module, name in _named(stored))
    except Exception:  # noqa: BLE001 - it may be anything
        return False


def _is_plain(module: str, name: str) -> bool:
    root = module.partition(".")[0]
    if root == "torch":
        layers = module == "torch.nn" or module.startswith("torch.nn.")
        rebuilt = module == "torch._utils" and name.startswith("_rebuild_")
        values = module == "torch" and (name.endswith("Storage") or name in ("Size", "device"))
        return (layers and name[:1].isupper()) or rebuilt or values
    if module == "collections":
        return name in ("OrderedDict", "defaultdict")
    if module in ("builtins", "__builtin__"):
        return name in _PLAIN
    return name in _ARRAYS if root == "numpy" else root not in _REACHING


def _named(stored: Any) -> Iterator[tuple[str, str]]:
    """Yield the module and name of every object that a pickle imports.

    Raises:
        Exception: it is not a pickle that `torch.save` writes.
    """
    data = base64.b64decode(stored, validate=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = next(m for m in archive.infolist() if m.filename.endswith("/data.pkl"))
        if member.file_size > _MOST_BYTES:
            raise ValueError("the pickle is larger than any module's")
        pickle = archive.read(member)
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name in ("GLOBAL", "INST"):
            module, _, name = str(argument).partition(" ")
            yield module, name
        elif opcode.name in _COMPUTED:
            raise ValueError("what it names is computed, which torch.save does not do")
