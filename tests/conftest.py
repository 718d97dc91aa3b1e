"""Fixtures for all tests, and the rule that nothing is skipped unnoticed."""

from __future__ import annotations

import gc
import os
import signal
import tomllib
from collections.abc import Generator
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

import pytest

ReportT = TypeVar("ReportT", pytest.TestReport, pytest.CollectReport)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers of this suite, and let Ctrl-C reach what the tests start.

    A process that was started in the background ignores Ctrl-C, and so would its children.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    text = "contract(*ids): names the requirements of a contract, three at most, that the test holds."
    config.addinivalue_line("markers", text)


def pytest_collection_finish() -> None:
    """Keep what was collected from the garbage collector, which each server of a test asks to run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the server does; session-wide, so that fixtures may be too."""
    return "asyncio"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test be skipped in continuous integration that tests/skips.toml does not list."""
    return _unless_allowed((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let no module be skipped either."""
    return _unless_allowed((yield))


def _unless_allowed(report: ReportT) -> ReportT:
    if not report.skipped or hasattr(report, "wasxfail") or os.environ.get("CI") != "true":
        return report
    allowed: dict[str, str] = tomllib.loads(Path(__file__).with_name("skips.toml").read_text())["skips"]
    if any(fnmatch(report.nodeid, pattern) for pattern in allowed):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"Skipped in CI, where every part should be: {reason}. See tests/skips.toml."
    return report
