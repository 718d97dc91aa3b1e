"""New versions of what is pinned are proposed: renovate.json, and `make upgrade` for whoever has no bot."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROPOSALS: dict[str, Any] = json.loads((ROOT / "renovate.json").read_text())


@pytest.mark.contract("SA-29")
def test_the_proposals_are_configured_as_their_schema_asks() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.renovate"]
    done = subprocess.run(
        [*command, str(ROOT / "renovate.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/renovate.json").read_text())
    assert set(PROPOSALS) - {"$schema"} <= set(schema["properties"])


@pytest.mark.contract("SA-29")
def test_new_versions_are_proposed_for_every_file_that_pins() -> None:
    patterns = PROPOSALS["pip_requirements"]["managerFilePatterns"]
    names = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "requirements").iterdir())]
    proposed = {name for name in names for pattern in patterns if re.search(pattern.strip("/"), name)}
    pinned = {name for name in names if name.endswith(".txt") and "--hash=" in (ROOT / name).read_text()}
    assert proposed == pinned
    assert {"pip_requirements", "dockerfile", "docker-compose"} == set(PROPOSALS["enabledManagers"])


@pytest.mark.parametrize(
    ("packages", "option"),
    [("", "--upgrade"), ("anyio idna", "--upgrade-package anyio --upgrade-package idna")],
    ids=["all", "two"],
)
def test_one_command_raises_the_pins(packages: str, option: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "upgrade", f"PACKAGES={packages}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    compiled = re.findall(r"^uv pip compile (.*?) --quiet", done.stdout, re.MULTILINE)
    assert compiled == [option] * 5
