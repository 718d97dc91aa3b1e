"""A server that speaks the protocols of the services that SpeechRecognition calls.

Google's address is an argument; the addresses of others are fixed in SpeechRecognition, so the server is
their HTTPS proxy too and shows a certificate for their names.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from jackfield.audio.decode import decode
from tests.tunnel import TunnelHandler, serving

HOSTS = (
    "eastus.api.cognitive.microsoft.com",
    "eastus.stt.speech.microsoft.com",
    "api.wit.ai",
    "api.houndify.com",
    "gateway-wdc.watsonplatform.net",
)
SAID = "it was the best of times"


@dataclass
class Service:
    """What the server does, and what it was sent: address, headers in lower case, body."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    """What is answered instead of the words."""
    hangs: bool = False
    """Whether it answers only when all is over."""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)


class Handler(TunnelHandler):
    """Answers as Google, Azure, Wit, Houndify, IBM or OpenAI, by the address that was asked for."""

    service: ClassVar[Service]

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        body = self._body()
        service = self.service
        headers = {name.lower(): value for name, value in self.headers.items()}
        service.requests.append((f"{self.headers['Host']}{self.path}", headers, body))
        if service.hangs:
            service.over.wait(20)
        answer = service.raw if service.raw is not None else self._answer(body)
        self.send_response(service.status)
        for name, value in {**service.headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = bytearray()
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def _answer(self, body: bytes) -> bytes:
        asked = f"{self.headers['Host']}{self.path}"
        if "issueToken" in asked:
            return b"token-of-azure"
        loud = any(decode(body[body.find(b"RIFF") :] if b"RIFF" in body else body, max_s=300))
        answer: object
        if "microsoft.com" in asked:
            answer = {"RecognitionStatus": "Success", "NBest": [{"Display": SAID, "Confidence": 0.9}]}
        elif "wit.ai" in asked:
            answer = {"_text": SAID}
        elif "houndify" in asked:
            choice = {"Transcription": SAID, "ConfidenceScore": 0.8}
            answer = {"Disambiguation": {"ChoiceData": [choice]}}
        elif "watsonplatform" in asked:
            answer = {"results": [{"alternatives": [{"transcript": f"{SAID} ", "confidence": 0.7}]}]}
        elif "/audio/transcriptions" in asked:
            answer = {"text": SAID}
        else:
            words = [{"alternative": [{"transcript": SAID, "confidence": 0.94}, {"transcript": "?"}]}]
            return b'{"result":[]}\n' + json.dumps({"result": words if loud else []}).encode()
        return json.dumps(answer).encode()


@contextmanager
def served(certificate: Path) -> Iterator[Service]:
    """Serve for a while."""
    service = Service()
    with serving(type("OneHandler", (Handler,), {"service": service}), certificate) as service.url:
        yield service
        service.over.set()
