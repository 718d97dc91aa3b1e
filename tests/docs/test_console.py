"""What docs/console.md says about other devices works: a certificate, and the page over TLS."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.server_process import ServerProcess

PAGE: Final = (Path(__file__).parents[2] / "docs" / "console.md").read_text().partition("## From another")[2]
ADDRESS: Final = "192.168.1.20"
DOORS: Final = """port = 0
[llm]
use = "echo"
[[transport]]
use = "relay_chat"
[[transport]]
use = "console"
mount = "/console"
"""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing: apt-get install openssl")
def test_the_page_comes_over_tls_with_the_certificate_that_is_made_as_described(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    command = re.findall(r"^openssl .*?[^\\]\n", PAGE, re.M | re.S)[0]
    subprocess.run(["sh", "-ec", command], check=True, capture_output=True, cwd=folder)
    section = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)[0]
    (folder / "jackfield.toml").write_text(section + DOORS)
    with ServerProcess(folder, ["--host", "127.0.0.1"], os.environ) as server:
        trusted = ssl.create_default_context(cafile=folder / "cert.pem")
        port = int(server.url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            trusted.wrap_socket(plain, server_hostname=ADDRESS) as secure,
        ):
            secure.sendall(f"GET /console/ HTTP/1.1\r\nHost: {ADDRESS}:{port}\r\n\r\n".encode())
            assert secure.recv(15) == b"HTTP/1.1 200 OK"
        assert f"Talk to it: https://127.0.0.1:{port}/console/\n" in server.output()
