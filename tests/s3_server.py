"""A real server that speaks S3, for tests: moto's, in a process that may be killed."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx

from tests.killable import KillableServer
from tests.redis_server import free_port

START_S: Final = 45.0
PAGE_KEYS: Final = 5
"""Objects that a listing gives at once; S3 itself gives a thousand."""
SECRET: Final = "wJalrXUtnFEMI-not-a-real-one"


class S3Server(KillableServer):
    """A server on a port of this machine, its output in `folder`. Inside the context it answers.

    It keeps buckets in memory: a killed one that starts again has the same port and nothing else. A `guarded`
    one knows nobody, and so refuses everybody's credentials.
    """

    name = "The S3 server"
    start_s = START_S

    def __init__(self, folder: Path, *, guarded: bool = False) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._guarded = guarded

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which clients find it."""
        return {
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }

    def _command(self) -> Sequence[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def _environment(self) -> Mapping[str, str]:
        settings = {"MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE_KEYS)}
        if self._guarded:
            settings["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"
        return {**os.environ, **settings}

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def make(self, bucket: str) -> str:
        """Make a bucket; gives the URL of it that the option takes."""
        httpx.put(f"{self.url}/{bucket}", trust_env=False).raise_for_status()
        return f"s3://{bucket}"

    def keys(self, bucket: str) -> list[str]:
        """Names of everything in a bucket, however many pages that are."""
        found: list[str] = []
        while True:
            query = {"list-type": "2", "start-after": found[-1] if found else ""}
            answer = httpx.get(f"{self.url}/{bucket}", params=query, trust_env=False).raise_for_status().text
            found += re.findall(r"<Key>([^<]+)</Key>", answer)
            if "<IsTruncated>true" not in answer:
                return found

    def object(self, bucket: str, key: str) -> httpx.Response:
        """An object, as a CDN gets it that may read the bucket."""
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=cdn/20260101/us-east-1/s3/aws4_request"}
        return httpx.get(f"{self.url}/{bucket}/{key}", headers=signed, trust_env=False).raise_for_status()

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object, as something else that uses the bucket."""
        httpx.put(f"{self.url}/{bucket}/{key}", content=data, trust_env=False).raise_for_status()

    def requests(self) -> list[str]:
        """Method and path of every request so far."""
        return re.findall(r'"(?:\x1b\[\d+m)*([A-Z]+ \S+) HTTP', self.output())

    def hang(self) -> None:
        """Answer nothing any more, until killed or woken."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Go on after `hang`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
