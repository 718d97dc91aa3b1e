"""Fuzzing what `/openapi.json` describes: schemathesis asks for everything in it, rightly and wrongly.

It runs in a process and a folder of its own, since it keeps things beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CONFIG: Final = "schemathesis.toml"
_REPORT: Final = "report.json"
_UNSUITABLE: Final = ("positive_data_acceptance",)
"""A schema can express neither cursors, nor texts that are empty once they are normalised."""
_TWICE: Final = "^/relay-wallets/(chat|audio|sessions)|^/voice-people/|^/census"
"""Routes that other mounts have too, with the same authentication, and what counts."""


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """What came of it; `problems` are told in the words of schemathesis."""

    cases: int
    operations: int
    problems: Sequence[str]
    output: str


def fuzz_document(
    folder: Path,
    url: str,
    authorization: Mapping[str, str],
    *,
    max_examples: int,
    skip: str = "^$",
    seed: int | None = None,
    max_s: int | None = None,
) -> DocumentResult:
    """Ask for everything that the document has, as somebody who has signed in, and as nobody where one must.

    Without a `seed` the cases are always the same. `authorization` maps beginnings of paths to headers, and
    `skip` is a regular expression of paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).write_text("".join(_signed_in(mount, held) for mount, held in authorization.items()))
    limits = [f"--max-examples={max_examples}", *([f"--max-time={max_s}"] if max_s else [])]
    dice = ["--generation-deterministic"] if seed is None else [f"--seed={seed}"]
    command = [
        *(sys.executable, "-m", "schemathesis.cli", f"--config-file={_CONFIG}", "run", f"{url}/openapi.json"),
        *("--phases=coverage,fuzzing", "--workers=1", "--continue-on-failure", "--no-shrink", "--no-color"),
        *(
            "--warnings=off",
            f"--exclude-path-regex={_TWICE}|{skip}",
            f"--exclude-checks={','.join(_UNSUITABLE)}",
        ),
        *(f"--report-json-path={_REPORT}", "--request-timeout=20", *limits, *dice),
    ]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return _result(folder, ran)


def _signed_in(mount: str, authorization: str) -> str:
    path, header = json.dumps(f"^{mount}/"), json.dumps(authorization)
    return f"[[operations]]\ninclude-path-regex = {path}\nheaders = {{ Authorization = {header} }}\n"


def _result(folder: Path, ran: subprocess.CompletedProcess[str]) -> DocumentResult:
    report = folder / _REPORT
    if not report.exists():
        return DocumentResult(0, 0, ["schemathesis did not run"], ran.stdout + ran.stderr)
    found = json.loads(report.read_text())
    groups = [(group["title"], group.get("operations", "")) for group in found["failures"] + found["errors"]]
    problems = [f"{title}: {operations}" for title, operations in groups]
    if ran.returncode and not problems:
        problems = [f"schemathesis ended with {ran.returncode}"]
    return DocumentResult(
        found["test_cases"]["generated"], found["operations"]["tested"], problems, ran.stdout
    )
