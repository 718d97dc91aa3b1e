"""The server of the default configuration, with its real models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jackfield.models import is_fetched
from tests.acceptance.offline import MODELS, OfflineServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real models take longer than a unit test may, and one server answers all of these tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfflineServer]:
    """The default server, started once."""
    missing = [name for name in MODELS if not is_fetched(name)]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"Needs models: jackfield models fetch {' '.join(missing)}")
    with OfflineServer(tmp_path_factory.mktemp("offline") / "server") as server:
        yield server
