"""Every reason of the closed list, as `verify --json` or a daemon's `show --json` tells it.

`timeout`, `crashed`, `out_of_memory`, `unreadable` and `environment` can end every check. Where
the check's process ends, `dispatch/child_outcome.py` decides so, and where it raises,
`verify/suite.py`, for all checks alike; so there is one example of each word here. `load` stands
for the checks that run with TensorFlow and the user's code, `structure` for those that only read.
More checks that end so are in `tests/integration`: `evaluate` and users' checks in
`test_user_code`, hostile children of every kind in `integration/dispatch/test_local.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.core import decode
from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.format_specs import Format
from checkpointd.core.reasons.general import GENERAL
from checkpointd.core.report import Facts
from checkpointd.core.request import Request
from checkpointd.core.suite import REASONS
from checkpointd.core.verify_settings import Evaluation, VerifySettings
from checkpointd.dispatch.reports import make_report
from tests.helpers.cli import ROOT, checkpointd, environment
from tests.helpers.daemon import daemon_in
from tests.helpers.fleet import as_answered
from tests.helpers.reasons_spoiled import USER_CODE, config, spoil, without_tf_keras
from tests.helpers.strangers import without_privileges

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.daemon import Daemon

pytestmark = pytest.mark.timeout(300)

ONE_SHOT = {
    "structure.truncated": "plain/truncated.keras",
    "structure.missing_member": "plain/ckpt-1",
    "structure.malformed": "plain/malformed",
    "structure.not_a_checkpoint": "plain/page.keras",
    "structure.unsupported": "plain/old.ckpt-7",
    "integrity.checksum_mismatch": "plain/flipped-1",
    "integrity.mixed_versions": "plain/mixed",
    "integrity.digest_mismatch": "plain/digest.h5",
    "integrity.golden_unbound": "plain/unbound.keras",
    "safety.code": "plain/code.keras",
    "safety.foreign_reference": "plain/foreign.h5",
    "safety.traversal": "plain/traversal.keras",
    "safety.bomb": "plain/bomb.weights.h5",
    "safety.needs_code": "plain/lambda.keras",
    "safety.unsafe_op": "plain/writes",
    "safety.given_path": "plain/given",
    "safety.keras_metadata_code": "plain/metadata",
    "safety.not_served": "plain/beside",
    "finite.nan": "plain/nan.keras",
    "finite.inf": "plain/inf.keras",
    "finite.nan_elsewhere": "plain/nan_elsewhere.keras",
    "load.load_error": "plain/load_error.keras",
    "load.unknown_object": "plain/unknown.keras",
    "load.needs_legacy": "legacy/keras2.keras",
    "load.misnamed": "plain/misnamed.h5",
    "load.compile_failed": "plain/string_loss.h5",
    "signatures.missing_signature": "signed/export",
    "inference.inference_error": "plain/failing",
    "inference.non_finite_output": "plain/infinite",
    "inference.wrong_shape": "plain/misshapen",
    "inference.non_finite_unrecorded": "plain/unrecorded",
    "inference.non_finite_made_up": "plain/made_up",
    "inference.not_run": "plain/not_run",
    "inference.uninitialized": "plain/no_table.h5",
    "predictions.mismatch": "plain/mismatch.keras",
    "predictions.environment_differs": "plain/elsewhere.keras",
    "resume.optimizer_missing": "plain/string_loss.h5",
    "resume.optimizer_changed": "plain/after_h5.keras",
    "resume.step_failed": "plain/first.h5",
    "evaluate.below_threshold": "below/good.keras",
    "evaluate.evaluate_error": "raises/good.keras",
    "load.crashed": "segfault/weights.weights.h5",
    "load.out_of_memory": "greedy/weights.weights.h5",
    "load.environment": "nowhere/good.keras",
    "load.timeout": "sleeps/weights.weights.h5",
}
"""What one call of `verify --json` says, and of which checkpoint."""

DAEMON = {
    "drift.unchanged": "drift/m_step_02.keras",
    "drift.exploding": "drift/m_step_03.keras",
    "drift.dead": "drift/m_step_04.keras",
    "drift.shape_changed": "drift/m_step_05.keras",
    "evaluate.below_threshold": "best/m_step_02.keras",
    "signatures.signature_changed": "served/2",
}
"""What only a daemon knows, which has the checkpoints before it in its ledger."""

LOCKED = {"structure.unreadable": ("locked", "locked.keras")}
"""What permissions forbid to read."""

ELSEWHERE = {
    "structure.workers_lost": "integration/dispatch/fleet/test_fleet.py",
    "integrity.signature_mismatch": "unit/verify/scan/test_signature.py",
    "integrity.not_readable": "integration/tensors/test_file_readers.py",
    "load.not_restored": "integration/verify/load/test_unsaved_state.py",
    "integrity.bit_rot": "end_to_end/test_daemon_scrub.py",
    "load.sandbox_unavailable": "integration/worker/test_sandbox.py",
}
"""Needs a disk of its own, whose blocks rot while it is not mounted, a kernel that cannot confine a
process, or many files of a kind; those tests show it."""

_ROUNDS = {
    "drift": ("drift_first", "drift_unchanged", "drift_exploding", "drift_dead", "drift_shape"),
    "best": ("best_first", "best_below"),
    "served": ("served_first", "served_changed"),
}
_BOUND = 'evaluate = "user_code:score"\nbounds = { accuracy = { within_of_best = 0.1 } }'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a job has saved, spoiled, with the user's code and a directory for each setting."""
    home = tmp_path_factory.mktemp("reasons")
    subprocess.run(
        [sys.executable, "-m", "tests.helpers.reasons_job", str(home)],
        env=environment(home),
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=240,
    )
    spoil(home)
    (home / "user_code.py").write_text(USER_CODE)
    for name in ("below", "raises", "nowhere"):
        (home / name).mkdir()
        shutil.copy(home / "plain" / "good.keras", home / name)
    for name in ("segfault", "greedy", "sleeps"):
        (home / name).mkdir()
        shutil.copy(home / "weights.weights.h5", home / name)
    shutil.copytree(home / "plain" / "export", home / "signed" / "export")
    return home


def verified(home: Path, written: Path, *names: str) -> dict[str, dict[str, Any]]:
    """Verify directories with one config; the public objects by their place below `home`."""
    done = checkpointd("-c", str(written), "verify", "--json", *names, home=home)
    assert done.returncode in (1, 3), done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {os.path.relpath(one["path"], home): one for one in found}


@pytest.fixture(scope="module")
def one_shot(home: Path) -> dict[str, dict[str, Any]]:
    """What the command line alone says of each; three calls, one with a short time-out."""
    watches = {
        "plain": "",
        "legacy": f"python = {str(without_tf_keras(home / 'venv'))!r}",
        "signed": 'required_signatures = ["classify"]',
        "below": 'evaluate = "user_code:score"\nbounds = { accuracy = { min = 0.9 } }',
        "raises": 'evaluate = "user_code:raises"',
        "segfault": 'builder = "user_code:segfault"',
        "greedy": 'builder = "user_code:greedy"',
        "nowhere": 'custom_objects = { Thing = "nowhere_at_all:Thing" }',
    }
    written = config(home, **watches)
    found = verified(home, written, "plain")
    found |= verified(home, written, *[name for name in watches if name != "plain"])
    hung = config(home, timeout="8s", sleeps='builder = "user_code:sleeps"')
    return {**found, **verified(home, hung, "sleeps")}


@pytest.fixture(scope="module")
def shown(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a daemon says that saw each series grow, one checkpoint after the other."""
    place = tmp_path_factory.mktemp("daemon")
    lines = ['[daemon]\nstate_dir = "state"\nlog_format = "json"\n[web]\nlisten = "127.0.0.1:0"']
    for name in _ROUNDS:
        verify = _BOUND if name == "best" else ""
        lines.append(f'[[watch]]\nname = "{name}"\npath = "runs/{name}"\nsettle = "1s"')
        lines.append(f"[watch.verify]\npython_path = [{str(home)!r}]\n{verify}")
        (place / "runs" / name).mkdir(parents=True)
    found = {}
    with daemon_in(place, "\n".join(lines)) as daemon:
        daemon.start()
        for number in range(max(map(len, _ROUNDS.values()))):
            put = {s: _put(daemon, home, s, number) for s in _ROUNDS if number < len(_ROUNDS[s])}
            for path in put.values():
                daemon.verdict(path)
                shown = daemon.cli("show", "--json", str(path))
                assert shown.returncode == 0, shown.stderr
                found[str(path.relative_to(daemon.runs))] = json.loads(shown.stdout)
        daemon.stop()
    return found


def _put(daemon: Daemon, home: Path, series: str, number: int) -> Path:
    """Put the next one of a series where it is watched, whole and at once."""
    source = next((home / "daemon").glob(f"{_ROUNDS[series][number]}*"))
    ready = daemon.home / "ready"
    shutil.copytree(source, ready) if source.is_dir() else shutil.copy(source, ready)
    os.utime(ready, (time.time() - 100 + number,) * 2)
    name = f"{number + 1}" if source.is_dir() else f"m_step_{number + 1:02d}.keras"
    return ready.rename(daemon.runs / series / name)


def assert_reported(public: dict[str, Any], reason: str) -> None:
    """A check ends with this reason, as gravely as the list says, and with a sentence."""
    checks = {check["reason"]: check for check in public["checks"] if check["reason"]}
    assert reason in checks, {name: check["message"] for name, check in checks.items()}
    severity = REASONS[reason].severity.value
    assert checks[reason]["outcome"] == {"note": "skip"}.get(severity, severity)
    assert checks[reason]["message"].strip()
    assert public["reason"] in checks
    grave = {check["outcome"] for check in checks.values()}
    expected = "invalid" if "fail" in grave else "inconclusive" if "error" in grave else "valid"
    assert public["verdict"] == expected


@pytest.mark.parametrize("reason", ONE_SHOT)
def test_verify_prints_the_reason(one_shot: dict[str, dict[str, Any]], reason: str) -> None:
    """Of the checkpoint that has it, whatever else was verified in the same call."""
    assert_reported(one_shot[ONE_SHOT[reason]], reason)


def test_what_is_whole_has_no_reason(one_shot: dict[str, dict[str, Any]]) -> None:
    """The checkpoints that all the others are spoiled copies of are valid."""
    for name in ("plain/good.keras", "plain/export", "plain/export_other"):
        assert (one_shot[name]["verdict"], one_shot[name]["reason"]) == ("valid", "")


@pytest.mark.parametrize("reason", DAEMON)
def test_a_daemon_that_knows_the_series_reports_the_reason(
    shown: dict[str, dict[str, Any]], reason: str
) -> None:
    """Through `show --json`; the first of each series, which nothing came before, is valid."""
    assert_reported(shown[DAEMON[reason]], reason)
    first = {"best": "best/m_step_01.keras", "served": "served/1"}
    before = shown[first.get(DAEMON[reason].partition("/")[0], "drift/m_step_01.keras")]
    assert (before["verdict"], before["reason"]) == ("valid", "")


def test_each_counts_as_well_where_a_worker_of_a_fleet_sends_it(
    one_shot: dict[str, dict[str, Any]], shown: dict[str, dict[str, Any]]
) -> None:
    """The daemon validates what comes from another host, and refuses none of them."""
    found = [public for public in (*one_shot.values(), *shown.values()) if public["checks"]]
    assert len(found) > len(ONE_SHOT) // 2
    for public in found:
        checks = [decode.check_result(check) for check in public["checks"]]
        asked = any(check.name == "evaluate" for check in checks)
        settings = VerifySettings(evaluate=Evaluation("user_code:score" if asked else ""))
        fmt = Format(public["format"])
        request = Request(Checkpoint(public["path"], fmt), Generation(()), settings)
        report = make_report(request, Facts(format=fmt), checks, public["duration_seconds"], "")
        assert as_answered(request, report) == report
        assert (str(report.verdict), report.reason) == (public["verdict"], public["reason"])


@pytest.mark.parametrize("reason", LOCKED)
def test_what_may_not_be_read_is_reported_as_unreadable(
    home: Path, tmp_path: Path, reason: str
) -> None:
    """A directory that cannot be listed, a file that cannot be opened: nobody's verdict."""
    (tmp_path / "locked").mkdir(mode=0)
    shutil.copy(home / "plain" / "good.keras", tmp_path / "locked.keras")
    (tmp_path / "locked.keras").chmod(0)
    done = without_privileges("verify", "--json", ".", home=tmp_path)
    assert done.returncode == 3, done.stderr
    found = {os.path.basename(o["path"]): o for o in map(json.loads, done.stdout.splitlines())}
    assert set(found) == set(LOCKED[reason])
    for public in found.values():
        assert_reported(public, reason)


def test_the_tables_hold_every_reason_of_the_closed_list() -> None:
    """A new reason needs an example here; a word that can end every check needs one for all."""
    covered = {*ONE_SHOT, *DAEMON, *LOCKED, *ELSEWHERE}
    assert covered <= set(REASONS)
    own = {reason for reason in REASONS if reason.partition(".")[2] not in GENERAL}
    assert {reason for reason in covered if reason in own} == own
    assert {reason.partition(".")[2] for reason in covered - own} == set(GENERAL)
    for reason, file in ELSEWHERE.items():
        assert f'"{reason}"' in (ROOT / "tests" / file).read_text()
