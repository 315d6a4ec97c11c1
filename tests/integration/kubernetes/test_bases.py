"""The bases for Kubernetes, built by kubectl, checked by kubernetes-validate and promtool."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from checkpointd.cli.main import run
from checkpointd.config import parse
from checkpointd.kubernetes.bases import bases
from checkpointd.systemd.shipped import LISTEN, STATE_DIR
from tests.helpers import manual
from tests.prometheus.programs import PROMTOOL

if TYPE_CHECKING:
    from pathlib import Path

KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl here")
VALIDATE = [sys.executable, "-m", "kubernetes_validate", "--strict"]
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: train}
spec:
  template:
    spec:
      restartPolicy: Never
      initContainers:
      - {name: data, image: busybox, command: ["true"]}
      containers:
      - {name: train, image: tensorflow, volumeMounts: [{name: runs, mountPath: /runs}]}
      volumes:
      - {name: runs, emptyDir: {}}
"""
CONFIG = '[[watch]]\nname = "mine"\npath = "/runs"\n'


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What the two kustomizations of the manual come to, by the base that they use."""
    home = tmp_path_factory.mktemp("kubernetes")
    assert run(["kubernetes", "write", str(home / "checkpointd-bases")]) == 0
    found = {}
    for base in ("shared", "sidecar"):
        overlay = home / base
        overlay.mkdir()
        text = manual.block("yaml", f"checkpointd-bases/{base}")
        (overlay / "kustomization.yaml").write_text(
            text.replace("checkpointd-bases/", "../checkpointd-bases/")
        )
        (overlay / "config.toml").write_text(CONFIG)
        (overlay / "job.yaml").write_text(JOB)
        found[base] = list(yaml.safe_load_all(_kustomize(overlay)))
    return found


def _kustomize(directory: Path) -> str:
    assert KUBECTL is not None
    command = [KUBECTL, "kustomize", str(directory)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _problems(tmp_path: Path, resources: list[dict[str, Any]]) -> str:
    """What kubernetes-validate says, without the kinds of operators, which it does not know."""
    file = tmp_path / "resources.yaml"
    file.write_text(yaml.safe_dump_all(resources))
    done = subprocess.run(
        [*VALIDATE, "--no-warn", "--quiet", str(file)], check=False, capture_output=True, text=True
    )
    return done.stdout + done.stderr if done.returncode else ""


def _one(resources: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    [found] = [one for one in resources if one["kind"] == kind]
    return found


@needs_kubectl
@pytest.mark.parametrize("base", ["shared", "sidecar"])
def test_what_is_built_is_valid_and_a_misspelt_key_is_not(
    built: dict[str, list[dict[str, Any]]], tmp_path: Path, base: str
) -> None:
    """By the schemas of Kubernetes, strictly: so a misspelt key would have been seen."""
    assert not _problems(tmp_path, built[base])
    planted = yaml.safe_dump_all(built[base]).replace("livenessProbe", "livenesProbe")
    wrong = list(yaml.safe_load_all(planted))
    assert wrong != built[base]
    assert "'livenesProbe' was unexpected" in _problems(tmp_path, wrong)


@needs_kubectl
def test_the_config_of_the_overlay_is_the_one_that_is_mounted(
    built: dict[str, list[dict[str, Any]]],
) -> None:
    """Kustomize names the map by its content, so that a change brings new Pods."""
    config = _one(built["shared"], "ConfigMap")
    assert config["data"] == {"config.toml": CONFIG}
    volumes = _one(built["shared"], "StatefulSet")["spec"]["template"]["spec"]["volumes"]
    [mounted] = [one["configMap"]["name"] for one in volumes if "configMap" in one]
    assert mounted == config["metadata"]["name"]


@needs_kubectl
def test_the_sidecar_neither_delays_the_job_nor_counts_for_its_readiness(
    built: dict[str, list[dict[str, Any]]],
) -> None:
    """It starts first and ends last, and what the job had is still there."""
    pod = _one(built["sidecar"], "Job")["spec"]["template"]["spec"]
    sidecar, data = pod["initContainers"]
    assert (sidecar["restartPolicy"], data["name"]) == ("Always", "data")
    assert not {"startupProbe", "readinessProbe"} & set(sidecar)
    assert [one["name"] for one in pod["containers"]] == ["train"]
    assert pod["restartPolicy"] == "Never"
    waits = sidecar["lifecycle"]["preStop"]["exec"]["command"]
    assert waits[:3] == ["checkpointd", "wait", "--all"]
    assert int(waits[-1].rstrip("s")) + 20 < pod["terminationGracePeriodSeconds"]


@needs_kubectl
@pytest.mark.parametrize("base", ["shared", "sidecar"])
def test_every_container_is_confined_as_the_sandbox_was_tried(
    built: dict[str, list[dict[str, Any]]], base: str
) -> None:
    """As in `test_container`: no root, no capability, nothing to write but volumes."""
    [workload] = [one for one in built[base] if one["kind"] in ("StatefulSet", "Job")]
    pod = workload["spec"]["template"]["spec"]
    every = [*pod["initContainers"], *pod["containers"]]
    own = [one for one in every if "checkpointd" in one["image"]]
    assert own
    for container in own:
        context = {**pod.get("securityContext", {}), **container["securityContext"]}
        assert context["runAsNonRoot"]
        assert context["runAsUser"] > 0
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        mounts = {one["mountPath"] for one in container["volumeMounts"]}
        assert mounts >= {"/etc/checkpointd", "/tmp"}  # noqa: S108 - a mount point
        if "args" not in container:
            assert STATE_DIR in mounts
            port = int(LISTEN.rpartition(":")[2])
            assert container["ports"] == [{"containerPort": port, "name": "web"}]


@needs_kubectl
def test_monitoring_selects_the_pods_and_has_the_shipped_rules(
    built: dict[str, list[dict[str, Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the label that both kinds of Pod carry, under the job name of the rules."""
    for resources in built.values():
        [workload] = [one for one in resources if one["kind"] in ("StatefulSet", "Job")]
        labels = workload["spec"]["template"]["metadata"]["labels"]
        monitor = _one(resources, "PodMonitor")["spec"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        [endpoint] = monitor["podMetricsEndpoints"]
        assert endpoint["port"] == "web"
        assert {"targetLabel": "job", "replacement": "checkpointd"} in endpoint["relabelings"]
    capsys.readouterr()
    assert run(["monitoring", "rules"]) == 0
    rules = _one(built["shared"], "PrometheusRule")["spec"]
    assert rules == yaml.safe_load(capsys.readouterr().out)
    if PROMTOOL is not None:
        file = tmp_path / "rules.yml"
        file.write_text(yaml.safe_dump(rules))
        subprocess.run([PROMTOOL, "check", "rules", str(file)], check=True, capture_output=True)


@pytest.mark.parametrize("name", ["shared/config.toml", "sidecar/config.toml"])
def test_the_shipped_configs_are_right_and_remove_nothing(name: str, tmp_path: Path) -> None:
    """They are what a first try runs with."""
    config = parse(tomllib.loads(bases()[name]), tmp_path / "config.toml")
    assert {str(watch.path) for watch in config.watch} == {"/runs"}
    assert all(watch.retention.mode != "enforce" for watch in config.watch)


def test_a_file_that_was_edited_is_overwritten_only_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And then nothing else is written either."""
    write = ["kubernetes", "write", str(tmp_path)]
    assert run(write) == 0
    assert json.dumps(str(tmp_path / "shared" / "config.toml"))[1:-1] in capsys.readouterr().out
    edited, removed = tmp_path / "shared" / "service.yaml", tmp_path / "shared" / "config.toml"
    text = edited.read_text()
    edited.write_text("mine")
    removed.unlink()
    assert run(write) == 2
    assert str(edited) in capsys.readouterr().err
    assert edited.read_text() == "mine"
    assert not removed.exists()
    assert run([*write, "--overwrite"]) == 0
    assert edited.read_text() == text
    capsys.readouterr()
    assert run(write) == 0
    assert "is as it ships" in capsys.readouterr().out
