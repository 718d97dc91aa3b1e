"""The audit of the pinned requirements, by pip-audit against a package index of the test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

# pip-audit asks the index that pip has by default, at an address that cannot be set.
from pip._internal.models.index import PyPI

from tests.tunnel import TunnelHandler, make_certificate, serving

ROOT = Path(__file__).parents[2]
KNOWN = {
    "id": "PYSEC-2024-60",
    "aliases": ["CVE-2024-3651"],
    "fixed_in": ["3.7"],
    "summary": "Takes very long over crafted names.",
    "details": "",
    "withdrawn": None,
    "published": "2024-07-07T18:15:00Z",
}
WITHDRAWN = KNOWN | {"id": "PYSEC-2024-61", "aliases": [], "withdrawn": "2024-08-01T00:00:00Z"}
RELEASES = {"idna/3.4": [KNOWN], "idna/3.6": [WITHDRAWN], "anyio/4.9.0": []}


class Index(TunnelHandler):
    """Answers for a release with its advisories, as the JSON interface of a package index does."""

    status: ClassVar[HTTPStatus | None] = None
    """What it answers whatever is asked."""

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        asked = re.fullmatch(r"/pypi/([^/]+/[^/]+)/json", self.path)
        advisories = RELEASES.get(asked[1]) if asked else None
        status = self.status or (HTTPStatus.OK if advisories is not None else HTTPStatus.NOT_FOUND)
        answer = json.dumps({"info": {}, "vulnerabilities": advisories}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


Audit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "index.pem"
    make_certificate(file, [PyPI.netloc])
    return file


def audit_at(proxy: str, certificate: Path, folder: Path) -> Audit:
    """Give what audits pins, and reaches the index through a proxy."""

    def run(*pins: str, accepted: str = "") -> subprocess.CompletedProcess[str]:
        requirements, passed_over = folder / "pinned.txt", folder / "accepted.toml"
        requirements.write_text("".join(f"{pin} \\\n    --hash=sha256:{'0' * 64}\n" for pin in pins))
        passed_over.write_text(f"[accepted]\n{accepted}\n")
        named = ["--requirement", str(requirements), "--accepted", str(passed_over)]
        command = [sys.executable, "requirements/audit.py", *named, "--cache-dir", str(folder / "cache")]
        ours = {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
        environment = os.environ | ours | {"REQUESTS_CA_BUNDLE": str(certificate)}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def audit(certificate: Path, tmp_path: Path) -> Iterator[Audit]:
    with serving(Index, certificate) as proxy:
        yield audit_at(proxy, certificate, tmp_path)


@pytest.mark.contract("SA-29")
def test_a_pin_with_a_known_vulnerability_fails_the_audit(audit: Audit) -> None:
    done = audit("anyio==4.9.0", "idna==3.4")
    assert done.returncode == 1, done.stderr
    assert "idna 3.4: PYSEC-2024-60, CVE-2024-3651; mended in 3.7" in done.stdout
    assert "make upgrade PACKAGES='idna'" in done.stdout


def test_pins_without_a_known_vulnerability_pass_the_audit(audit: Audit) -> None:
    done = audit("anyio==4.9.0", "idna==3.6")
    assert done.returncode == 0, done.stdout
    assert "2 pinned requirements, no vulnerability known" in done.stdout


def test_an_advisory_that_was_accepted_with_a_reason_passes(audit: Audit) -> None:
    assert audit("idna==3.4", accepted='CVE-2024-3651 = "Names come from the file."').returncode == 0


def test_a_pin_that_the_index_does_not_know_is_named(audit: Audit) -> None:
    done = audit("anyio==4.9.0", "of-our-own==1.0")
    assert done.returncode == 0, done.stdout
    assert "the package index does not know of-our-own" in done.stdout
    assert "1 pinned requirements, no vulnerability known" in done.stdout


def test_an_index_without_advisories_audits_nothing_and_says_so(audit: Audit) -> None:
    done = audit("anyio==4.8.0", "idna==3.5")
    assert done.returncode == 0, done.stdout
    assert "NOT DONE. The package index has no advisories" in done.stdout
    assert "no vulnerability known" not in done.stdout


def test_without_a_connection_nothing_is_audited_which_is_said(certificate: Path, tmp_path: Path) -> None:
    with serving(Index, certificate) as closed:
        pass
    done = audit_at(closed, certificate, tmp_path)("idna==3.4")
    assert done.returncode == 0, done.stdout
    assert "NOT DONE. The package index cannot be asked" in done.stdout


def test_an_index_that_is_out_of_order_is_told_of(certificate: Path, tmp_path: Path) -> None:
    broken = type("Broken", (Index,), {"status": HTTPStatus.SERVICE_UNAVAILABLE})
    with serving(broken, certificate) as proxy:
        done = audit_at(proxy, certificate, tmp_path)("idna==3.4")
    assert done.returncode == 0, done.stdout
    assert "NOT DONE. The package index cannot be asked" in done.stdout


def test_a_file_that_cannot_be_read_fails_the_audit(audit: Audit) -> None:
    done = audit("idna==3.4", "idna <<< 3")
    assert done.returncode == 2
    assert "pip-audit failed" in done.stdout


@pytest.mark.contract("SA-29")
def test_continuous_integration_audits_every_file_that_pins(script: Callable[[str], ModuleType]) -> None:
    lines = (ROOT / ".ci/run").read_text().splitlines()
    assert any(line.startswith("make ") and "audit" in line.split() for line in lines)
    assert "set -euo pipefail" in lines
    told = {"MAKEFLAGS", "MAKELEVEL", "ARGS"}  # what make, within which the tests run, was told
    environment = {name: value for name, value in os.environ.items() if name not in told}
    commands = subprocess.run(
        ["make", "--dry-run", "audit"], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert commands.rstrip().endswith("python requirements/audit.py")
    names = {path.name for path in script("audit").pinned_files()}
    assert names == {path.name for path in (ROOT / "requirements").glob("*.txt")} - {"apt.txt"}
