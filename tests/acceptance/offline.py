"""The default configuration as a server, and what is asked of it."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Final

import httpx

from jackfield.cli.configuration import STARTER
from tests.server_process import ServerProcess

MODELS: Final = ("smollm2-135m-instruct", "whisper-tiny.en", "piper-en-us-joe", "silero-vad")

# No rates, for one client asks everything.
_FOR_TESTS: Final = """
[limits]
enabled = false
"""


class OfflineServer(ServerProcess):
    """The server that `jackfield serve` without a file starts, but for the limits of rates."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        file = folder / "jackfield.toml"
        file.write_text(STARTER.read_text() + _FOR_TESTS)
        super().__init__(folder, [str(file), "--port", "0"], os.environ)

    def ask(self, message: str) -> str:
        """Type a message into a new conversation; gives the answer."""
        response = self.client.post("/chat", data=_form(message, "text"))
        assert response.status_code == 200, response.text
        return str(response.json()["message"])

    def say(self, sound: bytes, media_type: str) -> dict[str, str]:
        """Post a recorded message into a new conversation; gives the body of the answer."""
        files = {"audio": ("clip", sound, media_type)}
        response = self.client.post("/chat", data=_form("[Voice Message]", "voice"), files=files)
        assert response.status_code == 200, response.text
        body: dict[str, str] = response.json()
        return body

    def fetch(self, url: str) -> httpx.Response:
        """Give a spoken answer."""
        return self.client.get(url).raise_for_status()


def _form(message: str, kind: str) -> dict[str, str]:
    return {
        "message": message,
        "type": kind,
        "sessionId": uuid.uuid4().hex,
        "userId": "tester",
        "username": "Tess",
    }
