"""The SECRET_KEY that is made for a server of this machine."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from jackfield.cli.secret_key import SecretKeyFile
from jackfield.errors import ConfigError
from tests.server_process import ServerProcess

Run = Callable[..., subprocess.CompletedProcess[str]]

WORTH = 32
CONFIG = """
[server]
port = 0
[llm]
use = "echo"
[session]
use = "sql"
options.url = "sqlite:///app.db"
[auth.people]
use = "accounts"
options.secret_key = "${SECRET_KEY}"
[[transport]]
use = "relay_chat"
auth = "people"
"""
WITHOUT = {name: value for name, value in os.environ.items() if name not in {"ENVIRONMENT", "SECRET_KEY"}}


def kept(folder: Path) -> Path:
    return folder / ".jackfield" / "secret_key"


def test_it_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = SecretKeyFile(tmp_path, make=True)()
    assert len(first) >= WORTH
    assert SecretKeyFile(tmp_path, make=True)() == SecretKeyFile(tmp_path)() == first
    assert stat.S_IMODE(kept(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept(tmp_path).parent.stat().st_mode) == 0o700


def test_nobody_commits_it_by_accident(tmp_path: Path) -> None:
    SecretKeyFile(tmp_path, make=True)()
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    found = subprocess.run(["git", "-C", str(tmp_path), "status", "-s"], check=True, capture_output=True)
    assert found.stdout == b""


def test_servers_that_start_at_once_agree(tmp_path: Path) -> None:
    count = 8
    together = Barrier(count)

    def ask(_number: int) -> str:
        together.wait()
        return SecretKeyFile(tmp_path, make=True)()

    with ThreadPoolExecutor(count) as threads:
        assert len(set(threads.map(ask, range(count)))) == 1
    assert sorted(path.name for path in kept(tmp_path).parent.iterdir()) == [".gitignore", "secret_key"]


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    look = SecretKeyFile(tmp_path)
    assert len(look()) >= WORTH
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("broken", ["readable", "foreign", "empty", "a file in the way"])
def test_a_file_that_cannot_be_trusted_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    key = SecretKeyFile(tmp_path, make=True)()
    if broken == "readable":
        kept(tmp_path).chmod(0o640)
    elif broken == "foreign":
        monkeypatch.setattr(os, "geteuid", lambda: kept(tmp_path).stat().st_uid + 1)
    elif broken == "empty":
        kept(tmp_path).write_text("\n")
    else:
        tmp_path = tmp_path / "other"
        tmp_path.mkdir()
        (tmp_path / ".jackfield").touch()
    with pytest.raises(ConfigError) as error:
        SecretKeyFile(tmp_path, make=True)()
    assert str(kept(tmp_path)) in str(error.value)
    assert key not in str(error.value)


@pytest.mark.timeout(60)
def test_a_token_is_good_after_a_restart_though_nobody_set_a_key(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text(CONFIG)
    arguments = [str(tmp_path / "server.toml")]
    ann = {"email": "ann@example.org", "password": "a long enough pass phrase"}
    with ServerProcess(tmp_path / "run", arguments, WITHOUT) as server:
        assert server.client.post("/register", json=ann).status_code == 201
        form = {"username": ann["email"], "password": ann["password"]}
        token: str = server.client.post("/token", data=form).json()["access_token"]
        said = server.output()
    assert f"SECRET_KEY is not set: one was made, and is kept in {kept(tmp_path)}." in said
    with ServerProcess(tmp_path / "run", arguments, WITHOUT) as server:
        me = server.client.get("/users/me", headers={"Authorization": f"Bearer {token}"})
        assert (me.status_code, me.json()["email"]) == (200, ann["email"])
        said += server.output()
    assert f"SECRET_KEY is not set: the one in {kept(tmp_path)} is used." in said
    assert kept(tmp_path).read_text().strip() not in said


def test_check_says_so_and_makes_none(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(CONFIG)
    shown = run("check", file, SECRET_KEY="", ENVIRONMENT="")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"`jackfield serve` makes one, and keeps it in {kept(tmp_path)}." in shown.stdout
    assert not kept(tmp_path).exists()


def test_production_never_makes_one(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "jackfield", "serve", "server.toml"]
    production = WITHOUT | {"ENVIRONMENT": "production"}
    done = subprocess.run(
        command, cwd=tmp_path, env=production, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "[auth.people.options.secret_key] The environment variable SECRET_KEY is not set" in done.stderr
    assert not kept(tmp_path).exists()
