"""What a configuration may make Keras import: decided before Keras is let at it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.core.verify_settings import VerifySettings
from checkpointd.verify.load.loaders.trusted_modules import foreign_code, is_below, not_to_import

if TYPE_CHECKING:
    from pathlib import Path

TF_KERAS = SimpleNamespace(__version__="2.21.0")
EARLY = SimpleNamespace(__version__="3.8.0")
CAREFUL = SimpleNamespace(__version__="3.15.1")


def named(kind: str, module: str, registered: str | None = "") -> dict[str, Any]:
    """A model with one object in it."""
    inner: dict[str, Any] = {"class_name": kind, "module": module, "config": {"name": "x"}}
    if registered != "":
        inner["registered_name"] = registered
    return {"class_name": "Sequential", "module": "keras", "config": {"layers": [inner]}}


def refused(config: Any, library: Any = TF_KERAS, **settings: Any) -> tuple[str, ...]:
    """The names for which nothing is imported."""
    trusted = VerifySettings(**settings)
    return not_to_import(config, library, dict.fromkeys(trusted.custom_objects), trusted)


@pytest.mark.parametrize("library", [TF_KERAS, EARLY])
@pytest.mark.parametrize("module", ["mylib.layers", "__main__", "evil", "tensorflow_addons.x"])
def test_what_is_not_named_is_not_imported(library: Any, module: str) -> None:
    """tf-keras, and Keras before 3.9, import any module: to be installed is not to be trusted."""
    assert refused(named("Mine", module), library) == ("Mine",)
    assert refused(named("Mine", module, "pkg>Mine"), library) == ("pkg>Mine",)


@pytest.mark.parametrize("kind", ["Lambda", "function", "__typespec__", 7, None])
def test_a_module_counts_whatever_is_looked_up_in_it(kind: Any) -> None:
    """It is imported, and run by that, before the name is looked at."""
    assert refused({"class_name": kind, "module": "evil", "config": None}) != ()
    assert foreign_code({"class_name": kind, "module": "os", "config": None}, {}) is not None


def test_a_later_keras_imports_nothing_and_is_let_try() -> None:
    """It looks among its own and the registered ones alone, and reports itself what it misses."""
    assert refused(named("Mine", "mylib.layers"), CAREFUL) == ()


@pytest.mark.parametrize(
    "config",
    [
        named("Dense", "keras.layers"),
        named("Functional", "tf_keras.src.engine.functional", "Functional"),
        named("Dense", "tensorflow.python.keras.layers.core"),
        named("Constant", "tensorflow.python.ops.init_ops_v2", "Constant"),
        named("CustomScaleLayer", "keras.src.applications.x", "Custom>CustomScaleLayer"),
        named("GemmaBackbone", "keras_hub.src.models.gemma"),
        named("function", "builtins"),
        {"class_name": "Dense", "config": {}},
    ],
)
def test_what_belongs_to_keras_is_imported(config: Any) -> None:
    """Its modules by every name that they had, and the classes of the Keras team's libraries."""
    assert refused(config) == ()


def test_functions_of_the_keras_teams_libraries_are_not_called() -> None:
    """They fetch presets and read files."""
    call = {"class_name": "function", "module": "keras_hub.utils", "config": "get"}
    assert refused(call) == ("get",)
    assert refused(named("get_preset", "keras_hub.utils")) == ("get_preset",)


def test_the_packages_that_the_settings_name_are_trusted(tmp_path: Path) -> None:
    """The object itself by its registered name, its package, and what lies below python_path."""
    config = named("Mine", "mylib.layers", "pkg>Mine")
    assert refused(config, custom_objects={"pkg>Mine": "other:Mine"}) == ()
    assert refused(config, custom_objects={"Mine": "other:Mine"}) == ("pkg>Mine",)
    assert refused(config, custom_objects={"Other": "mylib.more:Other"}) == ()
    assert refused(config, builder="mylib:build") == ()
    assert refused(config, python_path=(str(tmp_path),)) == ("pkg>Mine",)
    (tmp_path / "mylib").mkdir()
    (tmp_path / "mylib" / "layers.py").touch()
    assert refused(config, python_path=(str(tmp_path),)) == ()


def test_what_a_module_of_the_users_imports_is_not_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint may name what the module defines, and not `from os import system`."""
    (tmp_path / "mine_alone.py").write_text("from os import system\nclass Mine: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    below = {"python_path": (str(tmp_path),)}
    assert refused(named("Mine", "mine_alone"), **below) == ()
    call = {"class_name": "function", "module": "mine_alone", "config": "system"}
    assert refused(call, **below) == ("system",)
    assert foreign_code({**call, "config": "os.system"}, {}) is not None


def test_what_a_module_has_registered_needs_no_import() -> None:
    """A decorator in a module that the settings name has done its work by then."""
    saving = SimpleNamespace(get_registered_object=lambda name: name == "pkg>Mine" or None)
    library = SimpleNamespace(__version__="2.21.0", saving=saving)
    assert refused(named("Mine", "gone", "pkg>Mine"), library) == ()
    assert refused(named("Mine", "gone", None), library) == ("Mine",)


def test_a_module_below_a_directory_is_looked_for_as_a_file(tmp_path: Path) -> None:
    """Nothing is imported to find it; what is loaded from elsewhere does not become one's own."""
    (tmp_path / "os").mkdir()
    (tmp_path / "train.py").write_text("raise SystemExit('it was imported')")
    below = (str(tmp_path),)
    assert is_below("train", below)
    assert not is_below("os", below)
    assert not is_below("..etc", below)
    assert not is_below("train", ())
    assert not is_below("absent", below)


@pytest.mark.parametrize(
    ("module", "kind", "registered"),
    [("os", "system", None), ("keras.utils", "get_file", None), ("os", "X", "system")],
)
def test_load_itself_refuses_what_no_model_names(module: str, kind: str, registered: Any) -> None:
    """Also when `skip` leaves out safety; a name that the user configured is the user's."""
    node = foreign_code(named(kind, module, registered), {})
    assert node is not None
    assert node.path == "x"
    call = {"class_name": "function", "module": module, "config": kind}
    assert foreign_code(call, {kind: object()}) is None
