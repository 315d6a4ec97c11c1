"""config.toml to settings: defaults, resolution, and every error at once with its line."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from checkpointd import config
from checkpointd.config import locate
from checkpointd.config.dump import DURATIONS, dump
from checkpointd.config.settings import Config
from checkpointd.config.types import Duration, DurationOrNever

ROOT = Path(__file__).parents[3]
EXAMPLE = files("checkpointd.config").joinpath("example.toml").read_text(encoding="utf-8")


def problems(tmp_path: Path, text: str) -> list[str]:
    """The problems of a config, as they are shown."""
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(config.ConfigError) as caught:
        config.load(path)
    return [str(problem) for problem in caught.value.problems]


def watch(*lines: str) -> str:
    """A config with one good watch and more lines in it."""
    return "\n".join(['[[watch]]\nname = "a"\npath = "runs"', *lines])


def test_an_empty_config_is_good_and_watches_nothing(tmp_path: Path) -> None:
    """Every key has a default."""
    path = tmp_path / "config.toml"
    path.touch()
    loaded = config.load(path)
    assert loaded.watch == ()
    assert loaded.web.address == ("127.0.0.1", 9746)
    assert loaded.state_dir.is_absolute()


def test_all_errors_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    """Schema and contradictions are reported together, in the order of the file."""
    text = (
        '[web]\nlisten = "nowhere"\n[worker]\nconcurrency = 0\n'
        '[[watch]]\nname = "a"\npath = "/"\nincldue = []\n'
        '[[watch]]\nname = "a"\npath = "runs"\n[watch.retention]\nkeep_last = "five"\n'
        '[[watch]]\nname = "c"\npath = "runs/deep"\n'
    )
    found = problems(tmp_path, text)
    assert [line.split(":")[0] for line in found] == [f"line {n}" for n in (2, 4, 7, 8, 10, 13, 16)]
    assert "did you mean 'include'" in found[3]
    assert 'watch[1].retention.keep_last: expected a whole number, got "five"' in found[5]
    assert "overlaps with" in found[6]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[daemon]\nstate_dir = ""', "line 2: daemon.state_dir: must not be empty"),
        ('[daemon]\nlog_format = "xml"', "must be 'auto', 'json' or 'console', got \"xml\""),
        ('[web]\nlisten = "localhost"', '"host:port"'),
        ('[web]\nlisten = "[::zz]:1"', "IPv6"),
        ('[web]\nlisten = "h:99999999999999999999"', '"host:port"'),
        ('[worker]\ntimeout = "0s"', "expected a positive duration"),
        ("[worker]\ntimeout = -1", "expected a positive duration"),
        ("[worker]\nmemory = true", "expected a positive size"),
        ("[worker]\nconcurrency = 1000", "must be at most 64"),
        ("[worker]\nconcurrency = 1.5", "expected a whole number"),
        ("[worker]\nmemoy = 1", "there is no such key; did you mean 'memory'?"),
        (
            "zzzz = 1",
            "there is no such key; choose from daemon, web, worker, attest, dispatch, watch",
        ),
        ("watch = 3", "expected a list"),
        ("daemon = 3", "expected a table"),
        ("[[watch]]\npath = 'x'", "line 1: watch[0].name: is missing"),
        ("[[watch]]\nname = 'a b'\npath = 'x'", "may contain only letters"),
        (watch('settle = "soon"'), "line 4: watch[0].settle: expected a positive duration"),
        (watch('include = "*.h5"'), 'expected a list, such as ["…"]'),
        (watch('version = "m_{}.h5"'), "expected named fields, such as {epoch:02d}"),
        (watch('version = "m_{epoch.h5"'), "is not a file name template"),
        (watch("verify.atol = nan"), "expected a finite number"),
        (watch("verify.atol = -1"), "must be at least 0"),
        (watch('verify.atol = "1"'), "expected a number"),
        (watch("verify.allow_code = 1"), "expected true or false, got 1"),
        (watch('verify.skip = ["drfit"]'), "is not a check; choose from structure"),
        (watch('verify.builder = "mylib"'), '"package.module:name"'),
        (watch('verify.python_path = ["a\\u0000b"]'), "NUL"),
        (watch('retention.require = ["nice"]'), "choose from intact, loads"),
        (watch("retention.keep_last = 0"), "must be at least 1, got 0"),
        (watch("retention.keep_weekly = -1"), "must be at least 1, got -1"),
        (watch("retention.keep_yearly = 2.5"), "expected a whole number"),
        (watch('retention.keep_every = "6 fortnights"'), "expected a positive duration"),
        (watch('retention.keep_within_daily = "7 y"'), "expected a positive duration"),
        (watch('retention.ttl = "0s"'), "expected a positive duration"),
        (watch("retention.min_age = 0"), "expected a positive duration"),
        (watch("retention.keep_steps = []"), "watch[0].retention.keep_steps: must not be empty"),
        (watch("retention.keep_steps = [5, -1]"), "keep_steps[1]: must be at least 0, got -1"),
        (
            watch("retention.keep_every_n_steps = 0"),
            "line 4: watch[0].retention.keep_every_n_steps: must be at least 1, got 0",
        ),
        (
            watch('retention.keep_every_n_steps = { n = 5, mode = "near" }'),
            "keep_every_n_steps.mode: must be 'first', 'exact', 'at_least' or 'closest'",
        ),
        (watch("retention.keep_every_n_steps = { n = 0 }"), "n_steps.n: must be at least 1"),
        (
            watch("retention.keep_every_n_steps = { nn = 5 }"),
            "keep_every_n_steps.nn: there is no such key; did you mean 'n'?",
        ),
        (watch("retention.keep_tags = []"), "watch[0].retention.keep_tags: must not be empty"),
        (watch("retention.keep_tags = ['a,,b']"), "keep_tags[0]: is not a tag, or several with"),
        (watch("retention.keep_tags = ['my tag']"), "a tag has no spaces, commas or control"),
        (watch("retention.keep_best = []"), "keep_best: must not be empty"),
        (
            watch('retention.keep_best = [{ n = 1, metric = "x", mode = "min" }, { n = 1 }]'),
            "watch[0].retention.keep_best[1].metric: is missing",
        ),
        (
            watch('retention.keep_best = { n = 0, metric = "x", mode = "min" }'),
            "watch[0].retention.keep_best.n: must be at least 1, got 0",
        ),
        (watch('retention.timezone = "Mars/Olympus"'), "not a time zone of the IANA database"),
        (watch('retention.timezone = "../etc/passwd"'), "not a time zone of the IANA database"),
        (watch('retention.mode = "enforce"'), "needs at least one keep_ rule"),
        (
            watch('retention.keep_best = { n = 1, metric = "x" }'),
            "watch[0].retention.keep_best.mode: is missing",
        ),
    ],
)
def test_each_mistake_gets_a_sentence_that_says_what_to_do(
    tmp_path: Path, text: str, expected: str
) -> None:
    """Wrong types, unknown keys, zero and negative counts, broken templates: none is taken."""
    assert any(expected in line for line in problems(tmp_path, text))


def test_the_state_may_not_lie_in_a_watched_directory(tmp_path: Path) -> None:
    """Else the daemon would watch its own ledger."""
    (error,) = problems(tmp_path, '[daemon]\nstate_dir = "runs/state"\n' + watch())
    assert error.startswith("line 2: daemon.state_dir: the state directory ")
    assert error.endswith(f"{tmp_path}/runs/state is inside watch 'a'; put it elsewhere")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff", "is not UTF-8 at byte 0"),
        (b"a = ", "is not TOML"),
        (b"a = 1\na = 2", "is not TOML"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_toml_is_reported(tmp_path: Path, content: bytes, expected: str) -> None:
    """A broken file is a problem of the config, never a traceback."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(config.ConfigError, match=expected):
        config.load(path)


def test_a_file_that_is_not_there_and_a_directory_have_different_messages(tmp_path: Path) -> None:
    """Both messages name what is wrong with the path."""
    with pytest.raises(config.ConfigError, match="config example"):
        config.load(tmp_path / "none.toml")
    with pytest.raises(config.ConfigError, match="this is a directory"):
        config.load(tmp_path)


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """So that a config can be moved together with its runs, wherever the daemon is started."""
    path = tmp_path / "config.toml"
    path.write_text(
        '[daemon]\nstate_dir = "state"\n' + watch('verify.python_path = ["src", "/abs"]')
    )
    loaded = config.load(path)
    assert loaded.state_dir == tmp_path / "state"
    assert loaded.watch[0].path == tmp_path / "runs"
    assert loaded.watch[0].verify.python_path == (tmp_path / "src", Path("/abs"))


def test_the_state_directory_is_systemds_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`$STATE_DIRECTORY` may name several; the first is ours."""
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/one:{tmp_path}/two")
    assert config.default_state_dir() == tmp_path / "one"


def test_commands_find_the_state_of_the_service_by_its_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell has no `$STATE_DIRECTORY`, and `status` must find the daemon all the same."""
    service, etc, other = tmp_path / "var", tmp_path / "etc", tmp_path / "other"
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setattr(locate, "DEFAULT_PATH", etc / "config.toml")
    monkeypatch.setattr(locate, "SERVICE_STATE_DIR", service)
    for directory in (etc, other):
        directory.mkdir()
        (directory / "config.toml").write_text(watch())
    assert config.load(etc / "config.toml").state_dir != service  # not installed as a service
    service.mkdir()
    assert config.load(etc / "config.toml").state_dir == service
    locations = config.locations(etc / "config.toml")
    assert locations is not None
    assert locations.state_dir == service
    assert config.salvage(etc / "config.toml").state_dir == service
    assert config.load(other / "config.toml").state_dir != service


def test_the_config_is_never_taken_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option wins over the environment, and that over the system's file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").touch()
    monkeypatch.delenv("CHECKPOINTD_CONFIG", raising=False)
    assert config.find(None) == Path("/etc/checkpointd/config.toml")
    monkeypatch.setenv("CHECKPOINTD_CONFIG", "/named.toml")
    assert config.find(None) == Path("/named.toml")
    assert config.find(Path("option.toml")) == Path("option.toml")


def test_the_locations_are_those_of_the_whole_config(tmp_path: Path) -> None:
    """What is read without the schema agrees with the schema."""
    path = tmp_path / "config.toml"
    text = '[daemon]\nstate_dir = "s"\n' + watch() + '\n[[watch]]\nname="b"\npath="/b"'
    path.write_text(text + '\nretention.order = "number"')
    loaded, locations = config.load(path), config.locations(path)
    assert locations is not None
    assert locations.state_dir == loaded.state_dir
    assert locations.roots == {w.name: w.path for w in loaded.watch}
    assert {w.name: locations.orders.get(w.name, "witnesses") for w in loaded.watch} == {
        w.name: w.retention.order for w in loaded.watch
    }


@pytest.mark.parametrize("text", ["daemon = 1", "watch = 1", "[[watch]]\nname = 1", "watch = [1]"])
def test_locations_leave_a_wrong_config_to_the_schema(tmp_path: Path, text: str) -> None:
    """None rather than something wrong."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert config.locations(path) is None


def test_the_shipped_config_works_and_watches_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """The top-level config.toml needs no editing."""
    loaded = config.load(ROOT / "config.toml")
    assert [w.path for w in loaded.watch] == [ROOT / "checkpoints"]
    assert loaded.watch[0].retention.mode == "dry-run"


def test_the_example_is_a_good_config_and_names_every_key(tmp_path: Path) -> None:
    """Also those that it leaves commented out."""
    config.parse(tomllib.loads(EXAMPLE), tmp_path / "config.toml", EXAMPLE)
    for key in keys(Config):
        assert re.search(rf"\b{key}\b *=", EXAMPLE) or f"{key}]" in EXAMPLE, key


def keys(model: type[BaseModel]) -> list[str]:
    """Every key of a section and of those in it."""
    names = []
    for name, field in model.model_fields.items():
        names.append(name)
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                names += keys(inner)
    return names


@pytest.mark.parametrize("text", [EXAMPLE, "", watch(), watch('scrub_every = "never"')])
def test_what_is_shown_is_read_again_as_the_same_config(tmp_path: Path, text: str) -> None:
    """`config show` prints a config that can be used."""
    first, second = tmp_path / "config.toml", tmp_path / "shown.toml"
    first.write_text(text, encoding="utf-8")
    loaded = config.load(first)
    second.write_text(dump(loaded), encoding="utf-8")
    assert config.load(second) == loaded


def test_awkward_names_survive_being_shown(tmp_path: Path) -> None:
    """Quotes, backslashes, control characters and other scripts."""
    name = 'a"b\\c\x7f\td é 模型'
    path = tmp_path / "config.toml"
    parsed = config.parse({"watch": [{"name": "a", "path": f"/x/{name}"}]}, path)
    path.write_text(dump(parsed), encoding="utf-8")
    assert config.load(path).watch[0].path == Path(f"/x/{name}")


def test_every_duration_is_shown_as_one() -> None:
    """The list of keys that hold seconds is complete."""

    def durations(model: type[BaseModel]) -> set[str]:
        found: set[str] = set()
        for name, field in model.model_fields.items():
            whole: list[Any] = [field.annotation, *get_args(field.annotation), *field.metadata]
            marks = {getattr(mark, "func", None) for mark in whole}
            marks |= {
                getattr(m, "func", None)
                for inner in whole
                for m in getattr(inner, "__metadata__", ())
            }
            if marks & {get_args(kind)[1].func for kind in (Duration, DurationOrNever)}:
                found.add(name)
            for inner in whole:
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    found |= durations(inner)
        return found

    assert durations(Config) == DURATIONS
