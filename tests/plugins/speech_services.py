"""A server that speaks the protocols of the services that SpeechRecognition calls.

Google's address is an argument; the addresses of others are fixed in SpeechRecognition, so the server is
their HTTPS proxy too and shows a certificate for their names.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jackfield.audio.decode import decode

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


class Handler(BaseHTTPRequestHandler):
    """Answers as Google, Azure, Wit, Houndify, IBM or OpenAI, by the address that was asked for."""

    protocol_version = "HTTP/1.1"
    service: ClassVar[Service]
    context: ClassVar[ssl.SSLContext]

    def do_CONNECT(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def do_POST(self) -> None:
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

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def log_message(self, *_args: object) -> None:
        pass


def make_certificate(file: Path) -> None:
    """Write a certificate for the names of the services, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "services of a test")])
    now = dt.datetime.now(dt.UTC)
    names = [*(x509.DNSName(host) for host in HOSTS), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password)
    file.write_bytes(private + made.public_bytes(pem))


@contextmanager
def served(certificate: Path) -> Iterator[Service]:
    """Serve for a while."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    service = Service()
    handler = type("OneHandler", (Handler,), {"service": service, "context": context})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        service.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield service
        service.over.set()
        server.shutdown()
        thread.join()
