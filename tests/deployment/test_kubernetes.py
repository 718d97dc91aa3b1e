"""The manifest for Kubernetes: valid, and in step with the image and with the configuration that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]  # has no types
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not installed

from tests.deployment.compose import ROOT, variables
from tests.deployment.dockerfile import stages

MANIFEST: Final[list[dict[str, Any]]] = list(
    yaml.safe_load_all((ROOT / "examples" / "kubernetes" / "jackfield.yaml").read_text())
)
BY_KIND: Final = {part["kind"]: part for part in MANIFEST}
POD: Final[dict[str, Any]] = BY_KIND["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
SETTINGS: Final[dict[str, str]] = BY_KIND["ConfigMap"]["data"]
CONFIGURATION: Final = ROOT / "examples" / Path(SETTINGS["JACKFIELD_CONFIG"]).name
IMAGE: Final = stages((ROOT / "Dockerfile").read_text())[-1]


@pytest.mark.parametrize("part", MANIFEST, ids=lambda part: part["kind"])
def test_kubernetes_accepts_it(part: dict[str, Any]) -> None:
    kubernetes_validate.validate(part, "1.31", strict=True)


def test_every_object_is_there_once_under_one_name() -> None:
    assert len(BY_KIND) == len(MANIFEST)
    assert {part["metadata"]["name"] for part in MANIFEST} == {"jackfield"}


def test_it_sets_what_the_configuration_reads() -> None:
    read = set(re.findall(r"\$\{(\w+)", CONFIGURATION.read_text()))
    assert set(SETTINGS) - {"JACKFIELD_CONFIG"} <= read


def test_the_page_names_every_secret_that_the_configuration_cannot_do_without() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    (secrets,) = re.findall(r"<<'EOF'\n(.*?)^EOF$", page, re.MULTILINE | re.DOTALL)
    needed = set(re.findall(r"\$\{(\w+)\}", CONFIGURATION.read_text()))
    assert needed | {"API_TOKEN", "DATABASE_URL", "REDIS_URL"} <= set(variables(secrets))


def test_it_runs_as_the_images_user_and_writes_where_the_image_does() -> None:
    rights = POD["securityContext"]
    mounts = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert IMAGE.last("USER").words == [f"{rights['runAsUser']}:{rights['runAsGroup']}"]
    assert {*IMAGE.last("VOLUME").words, "/tmp"} == mounts  # the pod's own
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"]


def test_a_pod_has_time_to_leave() -> None:
    waits_s = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    readiness = CONTAINER["readinessProbe"]
    assert POD["terminationGracePeriodSeconds"] > waits_s + 10  # timeouts.shutdown_seconds
    assert readiness["httpGet"]["path"] == "/health"
    assert "tcpSocket" in CONTAINER["livenessProbe"]  # a store that is away restarts nobody
