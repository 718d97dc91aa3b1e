"""Which tests hold which requirement: `python tests/contracts/report.py`, or `make contracts`.

Tests name requirements with the marker `contract`. With `--run` the named tests are run, and a requirement
whose tests fail is reported as failing. Exits with 1 when a requirement has no test and is not listed in
later.toml, when a test names more than three or an unknown one, and when a test cannot be collected or fails.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
MOST_IDS: Final = 3


@dataclass
class Census:
    """A pytest plugin that notes which tests name which ids, and which of them failed."""

    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Test, without its parameters, to the ids it names."""
    failed: set[str] = field(default_factory=set)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what is collected."""
        for item in session.items:
            ids = [str(name) for marker in item.iter_markers("contract") for name in marker.args]
            if ids:
                self.names[_function(item.nodeid)] = tuple(dict.fromkeys(ids))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what fails."""
        if report.failed:
            self.failed.add(_function(report.nodeid))


def _function(node_id: str) -> str:
    return node_id.partition("[")[0].removeprefix("tests/")


def requirements() -> dict[str, str]:
    """Every id and what it asks for."""
    contracts = tomllib.loads((HERE / "requirements.toml").read_text())
    return {name: text for contract in contracts.values() for name, text in contract.items()}


def later() -> dict[str, str]:
    """Ids without a test, and what they wait for."""
    waiting: dict[str, str] = tomllib.loads((HERE / "later.toml").read_text())["later"]
    return waiting


def problems(
    known: Mapping[str, str], waiting: Mapping[str, str], names: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """Everything that is wrong, a line each."""
    named = {name for ids in names.values() for name in ids}
    found = [
        f"{name} has no test and is not in later.toml" for name in known if name not in named | set(waiting)
    ]
    found += [
        f"{name} is in later.toml and not in requirements.toml" for name in waiting if name not in known
    ]
    for test, ids in names.items():
        if len(ids) > MOST_IDS:
            found.append(f"{test} names {len(ids)} requirements; {MOST_IDS} are the most")
        found += [
            f"{test} names {name}, which is not in requirements.toml" for name in ids if name not in known
        ]
    return found


def table(known: Mapping[str, str], waiting: Mapping[str, str], census: Census) -> list[str]:
    """The report's lines: id, status, requirement, and below it the tests."""
    lines: list[str] = []
    for name, text in known.items():
        tests = [test for test, ids in census.names.items() if name in ids]
        status = "failing" if census.failed.intersection(tests) else "held" if tests else "missing"
        reason = f" Waits for {waiting[name]}." if name in waiting else ""
        lines.append(f"{name}  {'later' if reason else status:<8}  {text}{reason}")
        lines += [f"{'':17} {test}" for test in tests]
    return lines


def collect(*, run: bool) -> tuple[Census, int | pytest.ExitCode]:
    """Collect all tests, and run those that name requirements if they are to be run."""
    census = Census()
    root = HERE.parents[1]
    sys.path.insert(0, str(root))
    common = [f"--rootdir={root}", "-q", "-p", "no:cacheprovider", str(root / "tests")]
    if run:
        return census, pytest.main(["-m", "contract", *common], plugins=[census])
    with redirect_stdout(StringIO()) as said:
        outcome = pytest.main(["--collect-only", *common], plugins=[census])
    if outcome != pytest.ExitCode.OK:
        print(said.getvalue(), file=sys.stderr)
    return census, outcome


def main(arguments: Sequence[str]) -> int:
    """Print the report; gives the exit code."""
    census, outcome = collect(run="--run" in arguments)
    known, waiting = requirements(), later()
    found = problems(known, waiting, census.names)
    found += [f"{test} fails" for test in sorted(census.failed)]
    if outcome not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        found.append("the tests cannot be collected; see above")
    print("\n".join(table(known, waiting, census)))
    print(f"\n{len(known)} requirements, {len(waiting)} of them later; {len(census.names)} tests name them.")
    for line in found:
        print(f"contracts: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
