"""Which modules loading a configuration may import: Keras's, and what the settings name.

Keras before 3.9 and every tf-keras import whatever module a configuration names, and run it by
that. So before either reads a file, each module in it is compared with what the user trusts:
the packages that `custom_objects`, `builder` and `evaluate` name something in, and what is below
`python_path`.

What is merely installed in the interpreter is not trusted: TensorFlow Probability, Addons and Hub
hold functions that fetch and read files, and one line in `custom_objects` lets them be used. The
three model libraries of the Keras team are, as Keras itself does it, for their classes alone.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from checkpointd.verify.keras_files.keras_names import CODE, KERAS_TEAM, OTHER, owner
from checkpointd.verify.keras_files.keras_nodes import Node, nodes
from checkpointd.verify.keras_files.origin import release
from checkpointd.verify.load.runtime import LEGACY, generation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.core.verify_settings import VerifySettings

_CAREFUL = (3, 9)


def foreign_code(config: Any, custom: Mapping[str, Any]) -> Node | None:
    """Find the first object that only an attacker would name; see `keras_names`."""
    return next((n for n in nodes(config) if n.key not in custom and _owner(n) == CODE), None)


def not_to_import(
    config: Any, library: Any, custom: Mapping[str, Any], settings: VerifySettings
) -> tuple[str, ...]:
    """Name the classes and functions for which a library would import what the user does not trust.

    Args:
        config: of the model, as the file holds it.
        library: the Keras that it is loaded with.
        custom: the custom objects, which have been imported, and have registered what they will.
        settings: what the user trusts.
    """
    if generation(library) != LEGACY and release(str(library.__version__)) >= _CAREFUL:
        return ()
    registered = getattr(getattr(library, "saving", None), "get_registered_object", None)
    names: dict[str, None] = {}
    for node in nodes(config):
        known = node.key in custom or (registered is not None and registered(node.key) is not None)
        if not known and _owner(node) == OTHER and not _is_trusted(node, settings):
            names[node.key or node.name or node.module] = None
    return tuple(names)


def _owner(node: Node) -> str:
    if not node.module or node.kind == "__lambda__":
        return ""
    names = node.lookups or {""}  # a module is imported before its name is looked up
    owners = {owner(node.module, name, is_function=node.is_function) for name in names}
    return CODE if CODE in owners else OTHER if OTHER in owners else ""


def _is_trusted(node: Node, settings: VerifySettings) -> bool:
    top = node.module.partition(".")[0]
    if node.module == "builtins":  # which is there already, and what does harm in it is CODE
        return True
    if top in KERAS_TEAM:
        return not node.is_function and node.name[:1].isupper() and "." not in node.name
    trusted = top in _packages(settings) or is_below(node.module, settings.python_path)
    return trusted and _is_defined_there(node)


def _is_defined_there(node: Node) -> bool:
    """Whether a module of the user's defines what it has under a name, and does not import it.

    Keras writes the module that a function was defined in; `from os import system` is no reason
    to call that for a checkpoint.
    """
    try:
        module = importlib.import_module(node.module)
    except (Exception, SystemExit):  # noqa: BLE001 - a user's module; Keras will report it
        return True
    top = node.module.partition(".")[0]
    named = (getattr(module, name.partition(".")[0], None) for name in node.lookups)
    return all(
        str(getattr(one, "__module__", None) or top).partition(".")[0] == top for one in named
    )


def _packages(settings: VerifySettings) -> set[str]:
    """The packages that the settings name anything in."""
    named = [*settings.custom_objects.values(), settings.builder, settings.evaluate.function]
    return {target.partition(":")[0].partition(".")[0] for target in named if target}


def is_below(module: str, directories: Sequence[str]) -> bool:
    """Whether a module is below one of some directories, and none of that name is loaded yet.

    Looked for as a file: to ask Python for a module within a package is to import the package.

    Args:
        module: a dotted name, from a checkpoint.
        directories: of `python_path`.
    """
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    loaded = getattr(sys.modules.get(parts[0]), "__file__", None)
    roots = [os.path.join(os.path.abspath(directory), "") for directory in directories]
    if loaded is not None and not any(os.path.abspath(loaded).startswith(r) for r in roots):
        return False
    paths = [os.path.join(root, *parts) for root in roots]
    return any(os.path.isfile(f"{path}.py") or os.path.isdir(path) for path in paths)
