"""`jackfield health`, and the variable that names the configuration file of every command."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.server_process import ServerProcess

Run = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """
[server]
port = {port}
{more}
[llm]
use = "echo"
[[transport]]
use = "relay_chat"
"""


def config(folder: Path, port: int = 0, more: str = "") -> Path:
    file = folder / "trial.toml"
    file.write_text(CONFIG.format(port=port, more=more))
    return file


@pytest.fixture
def serving(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of something that answers every request with the status code and the body of the parameter."""
    status, body = request.param

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library calls it so
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("serving", "code", "said"),
    [
        ((200, b'{"status": "healthy"}'), 0, "healthy\n"),
        ((200, b'{"status": "degraded"}'), 0, "degraded\n"),
        ((503, b'{"status": "unhealthy"}'), 1, "unhealthy\n"),
        ((200, b"<html>"), 0, "It answers, but not as a server of Jackfield.\n"),
    ],
    indirect=["serving"],
    ids=["healthy", "degraded", "unhealthy", "another"],
)
def test_the_code_says_whether_it_serves(
    run: Run, tmp_path: Path, serving: int, code: int, said: str
) -> None:
    done = run("health", config(tmp_path, serving), http_proxy="http://127.0.0.1:9")
    assert (done.returncode, done.stdout + done.stderr) == (code, said)


def test_nobody_there_is_one_line_and_code_1(run: Run, tmp_path: Path) -> None:
    done = run("health", config(tmp_path, 9))
    assert (done.returncode, done.stderr) == (1, "No answer from 127.0.0.1:9: Connection refused.\n")


def test_a_file_with_a_problem_is_code_1_too(run: Run, tmp_path: Path) -> None:
    done = run("health", config(tmp_path, 9, 'hots = "x"'))
    assert done.returncode == 1
    assert "[server.hots]" in done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing: apt-get install openssl")
def test_a_server_with_tls_is_asked_with_tls(run: Run, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=chat.example.org"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    file = config(tmp_path, more=f'tls_cert = "{certificate}"\ntls_key = "{key}"')
    with ServerProcess(tmp_path / "server", [str(file)], os.environ) as server:
        done = run("health", file, "--port", server.url.rpartition(":")[2])
    assert (done.returncode, done.stdout) == (0, "healthy\n")


def test_a_variable_names_the_file_of_every_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "jackfield.toml").write_text("not looked at")
    file = config(tmp_path, 9)
    assert run("check", JACKFIELD_CONFIG=str(file)).stdout.startswith(f"{file}\n")
    assert run("health", JACKFIELD_CONFIG=str(file)).stderr.startswith("No answer from 127.0.0.1:9")


def test_a_file_that_is_named_wins_over_the_variable(run: Run, tmp_path: Path) -> None:
    done = run("check", config(tmp_path, 9), JACKFIELD_CONFIG="nowhere.toml")
    assert done.returncode == 0


def test_an_empty_variable_is_none(run: Run, tmp_path: Path) -> None:
    config(tmp_path, 9).rename(tmp_path / "jackfield.toml")
    assert run("check", JACKFIELD_CONFIG="").stdout.startswith("jackfield.toml\n")
