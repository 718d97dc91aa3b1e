"""A server process: how it starts, what it says when it cannot, and how it stops."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = pytest.mark.timeout(60)

DOOR: Final = '''
"""A door with a slow answer, a stream without an end, and a socket."""
import anyio
from fastapi import APIRouter, Request, WebSocket
from starlette.responses import StreamingResponse

from jackfield.plugin import PluginInfo, hookimpl


@hookimpl
def plugin_info():
    return PluginInfo(kind="transport", name="trial_door", summary="For tests.")


@hookimpl
def make_transport(options, site):
    return Door()


class Door:
    async def __aenter__(self):
        if not __import__("os").environ.get("SLOW_START"):
            return self
        if __import__("os").environ["SLOW_START"] == "blocking":
            await anyio.to_thread.run_sync(self.load)
        print("opening", flush=True)
        await anyio.sleep_forever()

    def load(self):
        print("loading", flush=True)
        __import__("threading").Event().wait()

    async def __aexit__(self, *reason):
        pass

    def routes(self, panel):
        router = APIRouter()

        @router.post("/turn")
        async def turn(request: Request, seconds: float):
            print("turn begun", flush=True)
            try:
                await anyio.sleep(seconds)
                print("turn stored", flush=True)
            except BaseException:
                print("turn cancelled", flush=True)
                raise
            return "done"

        @router.get("/client")
        async def client(request: Request):
            return [request.client.host, request.url.scheme]

        @router.websocket("/ws")
        async def ws(socket: WebSocket, seconds: float):
            await socket.accept()
            await socket.send_text("hello")
            print("turn begun", flush=True)
            await anyio.sleep(seconds)
            print("turn stored", flush=True)
            await socket.send_text("answer")
            await socket.send_text(str(len(await socket.receive_text())))

        return router
'''

MAIN: Final = """
import sys
from pathlib import Path
from jackfield.config import load_config
from jackfield.server.serve import serve

code = serve(load_config(Path(sys.argv[1])), ready=lambda url: print("listening", url, flush=True))
print("exit", code, flush=True)
sys.exit(code)
"""

CONFIG: Final = """
[server]
port = {port}
{server}
[timeouts]
shutdown_seconds = {shutdown_s}
drain_seconds = {drain_s}
[llm]
use = "echo"
[session]
use = "memory"
[[transport]]
use = "trial_door"
{more}
"""


class Process:
    """A server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        plugin = folder / "trial_door-1.dist-info"
        plugin.mkdir()
        (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: trial-door\nVersion: 1\n")
        (plugin / "entry_points.txt").write_text("[jackfield.transport]\ntrial_door = trial_door\n")
        (folder / "trial_door.py").write_text(DOOR)
        (folder / "main.py").write_text(MAIN)
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(
        self,
        *,
        port: int = 0,
        shutdown_s: float = 10,
        drain_s: float = 0,
        server: str = "",
        more: str = "",
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        config = CONFIG.format(port=port, shutdown_s=shutdown_s, drain_s=drain_s, server=server, more=more)
        (self.folder / "jackfield.toml").write_text(config)
        path = [str(self.folder), *(entry for entry in sys.path if entry)]
        self.process = subprocess.Popen(
            [sys.executable, str(self.folder / "main.py"), "jackfield.toml"],
            cwd=self.folder,
            env={"PYTHONPATH": ":".join(path), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def listening(self, **settings: object) -> str:
        """Start, and give the address once it listens."""
        self.start(**settings)  # type: ignore[arg-type]  # passed on as they are
        self.url = self.line("listening").split()[1]
        return self.url

    def line(self, beginning: str) -> str:
        """The next line of output, which begins so."""
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(beginning), (line, self.process.stderr.read() if not line else "")  # type: ignore[union-attr]  # it is a pipe
        return line

    def stop(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; gives the exit code, the rest of the output and what was logged."""
        assert self.process is not None
        out, log = self.process.communicate(timeout=30)
        return self.process.returncode, out, log


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A server that is gone after the test."""
    one = Process(tmp_path)
    yield one
    if one.process is not None:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def _post_turn(url: str, seconds: float) -> socket.socket:
    """Ask for a turn and do not wait for the answer."""
    address = httpx.URL(url)
    raw = socket.create_connection((address.host, address.port or 0))
    raw.sendall(f"POST /turn?seconds={seconds} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    return raw


def _answer(raw: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    return b"".join(iter(lambda: raw.recv(65536), b""))


def test_it_listens_says_where_and_ends_with_0_on_sigterm(process: Process) -> None:
    url = process.listening()
    assert httpx.get(f"{url}/health", trust_env=False).json() == {"status": "healthy"}
    process.stop(signal.SIGTERM)
    code, out, log = process.end()
    assert (code, out) == (0, "exit 0\n")
    assert "loaded session memory in" in log
    assert "Traceback" not in log


def test_sigterm_lets_a_running_turn_end_and_takes_no_new_one(process: Process) -> None:
    url = process.listening()
    with _post_turn(url, 1.0) as turn:
        process.line("turn begun")
        process.stop(signal.SIGTERM)
        answer = _answer(turn)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    code, out, log = process.end()
    assert (code, out) == (0, "turn stored\nexit 0\n")
    assert "Traceback" not in log
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_while_it_drains_it_serves_and_wants_to_be_sent_nothing_more(process: Process) -> None:
    url = process.listening(drain_s=30)
    with httpx.Client(trust_env=False) as client:
        assert "connection" not in client.get(f"{url}/health").headers
        process.stop(signal.SIGTERM)
        while (health := client.get(f"{url}/health")).status_code == 200:
            assert "connection" not in health.headers
        assert (health.status_code, health.json()) == (503, {"status": "stopping"})
        answer = client.get(f"{url}/client")
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    with connect(f"{url.replace('http', 'ws')}/ws?seconds=0", proxy=None) as socket:
        assert socket.recv() == "hello"
        process.stop(signal.SIGTERM)  # enough of it
        assert process.end()[0] == 0


def test_it_stops_when_it_has_drained(process: Process) -> None:
    process.listening(drain_s=0.5)
    began_s = time.monotonic()
    process.stop(signal.SIGTERM)
    code, out, log = process.end()
    assert (code, out) == (0, "exit 0\n")
    assert time.monotonic() - began_s > 0.5
    assert "serving on for 0.5 s" in log


def test_a_turn_that_takes_longer_than_its_grace_is_cancelled(process: Process) -> None:
    url = process.listening(shutdown_s=0.5)
    began_s = time.monotonic()
    with _post_turn(url, 30) as turn:
        process.line("turn begun")
        process.stop(signal.SIGTERM)
        answer = _answer(turn)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"server_stopping" in answer
    code, out, log = process.end()
    assert (code, out) == (0, "turn cancelled\nexit 0\n")
    assert time.monotonic() - began_s < 8
    assert "Traceback" not in log


def test_ctrl_c_cancels_running_turns_at_once(process: Process) -> None:
    url = process.listening(shutdown_s=30)
    began_s = time.monotonic()
    with _post_turn(url, 30):
        process.line("turn begun")
        process.stop(signal.SIGINT)
        code, out, log = process.end()
    assert (code, out) == (130, "turn cancelled\nexit 130\n")
    assert time.monotonic() - began_s < 8
    assert "Traceback" not in log


def test_sigterm_closes_sockets_with_1001_and_lets_their_turn_end(process: Process) -> None:
    url = process.listening()
    with connect(f"{url.replace('http', 'ws')}/ws?seconds=1", proxy=None) as client:
        assert client.recv() == "hello"
        process.line("turn begun")
        process.stop(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    code, out, log = process.end()
    assert (code, out) == (0, "turn stored\nexit 0\n")
    assert "Traceback" not in log


def test_a_websocket_message_of_more_than_a_mebibyte_is_not_read(process: Process) -> None:
    url = process.listening()
    with connect(f"{url.replace('http', 'ws')}/ws?seconds=0", proxy=None) as client:
        assert [client.recv(), client.recv()] == ["hello", "answer"]
        client.send("x" * (1024 * 1024 + 1))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_a_websocket_message_of_a_mebibyte_reaches_the_door(process: Process) -> None:
    url = process.listening()
    with connect(f"{url.replace('http', 'ws')}/ws?seconds=0", proxy=None) as client:
        assert [client.recv(), client.recv()] == ["hello", "answer"]
        client.send("x" * 1024 * 1024)
        assert client.recv() == "1048576"


def test_it_can_be_stopped_while_it_starts(process: Process) -> None:
    process.start(environment={"SLOW_START": "1"})
    process.line("opening")
    process.stop(signal.SIGINT)
    code, out, log = process.end()
    assert (code, out) == (130, "exit 130\n")
    assert "Traceback" not in log


def test_a_second_ctrl_c_stops_whatever_a_library_is_doing(process: Process) -> None:
    running = process.start(environment={"SLOW_START": "blocking"})
    process.line("loading")
    process.stop(signal.SIGINT)
    assert running.stderr is not None
    while "stopping once nothing is being loaded" not in running.stderr.readline():
        assert running.poll() is None
    process.stop(signal.SIGINT)
    code, out, log = process.end()
    assert (code, out, log) == (130, "", "")


def test_a_port_in_use_and_all_other_problems_are_told_at_once(process: Process) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process.start(port=port, more='[tts]\nuse = "tonne"')
        code, out, log = process.end()
    assert (code, out) == (2, "exit 2\n")
    port_line, tts_line = log.splitlines()
    assert port_line.startswith(f"jackfield: [server.port] Port {port} of 127.0.0.1 is in use.")
    assert tts_line.startswith('jackfield: [tts] No tts plugin "tonne" is installed.')
    assert 'Did you mean "tone"?' in tts_line


def test_query_strings_stay_out_of_the_log(process: Process) -> None:
    url = process.listening()
    httpx.get(f"{url}/client?key=secret-123", trust_env=False)
    httpx.get(f"{url}/nowhere?key=secret-123", trust_env=False)
    with connect(f"{url.replace('http', 'ws')}/ws?seconds=0&key=secret-123", proxy=None) as client:
        client.recv()
    process.stop(signal.SIGTERM)
    _, _, log = process.end()
    assert "GET /client 200" in log
    assert "WEBSOCKET /ws 101" in log
    assert "secret-123" not in log


def test_forwarded_headers_count_from_trusted_proxies(process: Process) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    url = process.listening()
    assert httpx.get(f"{url}/client", headers=headers, trust_env=False).json() == ["203.0.113.9", "https"]


def test_what_a_client_itself_claims_before_a_trusted_proxy_does_not_count(process: Process) -> None:
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
    url = process.listening()
    assert httpx.get(f"{url}/client", headers=headers, trust_env=False).json() == ["203.0.113.9", "http"]


def test_forwarded_headers_of_others_do_not_count(process: Process) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    url = process.listening(server='trusted_proxies = ["192.0.2.0/24"]')
    assert httpx.get(f"{url}/client", headers=headers, trust_env=False).json() == ["127.0.0.1", "http"]


def test_it_serves_tls_with_a_certificate_and_its_key(process: Process) -> None:
    certificate, key = process.folder / "cert.pem", process.folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    url = process.listening(server=f'tls_cert = "{certificate}"\ntls_key = "{key}"')
    assert url.startswith("https://127.0.0.1:")
    trusted = ssl.create_default_context(cafile=str(certificate))
    assert httpx.get(f"{url}/client", verify=trusted, trust_env=False).json()[1] == "https"


def test_a_certificate_that_is_none_is_one_clear_line(process: Process) -> None:
    for name in ("cert.pem", "key.pem"):
        (process.folder / name).write_text("not a certificate")
    process.start(server='tls_cert = "cert.pem"\ntls_key = "key.pem"')
    code, _, log = process.end()
    assert code == 2
    assert log.splitlines()[-1].startswith("jackfield: [server.tls_cert] The certificate and its key cannot")
    assert "Traceback" not in log


def test_compression_is_off_unless_configured(process: Process) -> None:
    url = process.listening()
    with connect(f"{url.replace('http', 'ws')}/ws?seconds=0", proxy=None) as client:
        assert client.response is not None
        assert "sec-websocket-extensions" not in client.response.headers
