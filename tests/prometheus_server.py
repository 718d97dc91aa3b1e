"""A real Prometheus for tests, on a port of this machine."""

from __future__ import annotations

import math
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.killable import KillableServer
from tests.redis_server import free_port

START_S: Final = 20.0
_LABEL_VALUES: Final = re.compile(r"label_values\((.*), (\w+)\)")


def program(name: str) -> str:
    """Give the path of `prometheus` or `promtool`; skips the test where there is none."""
    install = "apt-get install --no-install-recommends prometheus"
    return shutil.which(name) or pytest.skip(f"Needs {name}: {install}")


class PrometheusServer(KillableServer):
    """Prometheus with a configuration, its data in `folder`. Inside the context it answers."""

    name = "Prometheus"
    start_s = START_S

    def __init__(self, folder: Path, config: Path) -> None:
        super().__init__(folder)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.client = httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=20)
        self._config = config
        self._began_s = time.time()

    async def values(self, query: str) -> list[float]:
        """Ask for a query at every second since the start; gives the numbers of all series that there are."""
        span = {"start": self._began_s, "end": time.time(), "step": 1}
        series = (await self._ask("query_range", query=query, **span))["result"]
        found = [float(value) for one in series for _, value in one["values"]]
        return [value for value in found if math.isfinite(value)]

    async def label_values(self, query: str) -> list[str]:
        """Answer `label_values(SERIES, LABEL)` as a variable of Grafana does."""
        parts = _LABEL_VALUES.fullmatch(query)
        assert parts is not None, query
        found: list[str] = await self._ask(f"label/{parts[2]}/values", **{"match[]": parts[1]})
        return found

    async def _ask(self, path: str, **parameters: Any) -> Any:
        answer = (await self.client.get(f"/api/v1/{path}", params=parameters)).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/-/ready", trust_env=False).status_code == 200
        return False

    def _command(self) -> Sequence[str]:
        address = self.url.removeprefix("http://")
        command = [program("prometheus"), f"--config.file={self._config}", f"--web.listen-address={address}"]
        command += ["--scrape.discovery-reload-interval=100ms"]  # not 5 s more
        return [*command, f"--storage.tsdb.path={self.folder / 'data'}"]
