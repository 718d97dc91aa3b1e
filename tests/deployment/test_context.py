"""What a builder is sent: what the Dockerfile copies, and nothing that is a secret or a test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.deployment.clean_folder import ROOT
from tests.deployment.dockerfile import sent, stages

SECRET_OR_NEEDLESS = [
    ".env",
    ".env.production",
    "core/.env",
    "examples/.env",
    ".git/config",
    ".venv/bin/python",
    ".models/model.gguf",
    "tests/test_it.py",
    "tests/contracts/pyproject.toml",
    "static/audio/answer.mp3",
    "core/jackfield/__pycache__/plugin.cpython-311.pyc",
    "plugins/llm/__pycache__/x.pyc",
    "bench/results/x.json",
    "jackfield.db",
    "requirements/test.txt",
]
WANTED = ["pyproject.toml", "core/jackfield/plugin.py", "examples/pichat.toml", "requirements/image.txt"]


@pytest.mark.contract("PI-32")
def test_secrets_history_and_tests_stay_out(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    for name in (*SECRET_OR_NEEDLESS, *WANTED):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(path.as_posix() for path in sent(tmp_path)) == sorted(WANTED)


@pytest.mark.contract("PI-32")
def test_all_that_is_sent_is_copied_and_all_that_is_copied_is_sent() -> None:
    seen = {path.as_posix() for path in sent(ROOT)}
    copied = [
        source
        for stage in stages((ROOT / "Dockerfile").read_text())
        for each in stage.instructions
        if each.name == "COPY" and "--from" not in each.text
        for source in each.words[:-1]
    ]
    for source in copied:
        name = source.replace("${REQUIREMENTS}", "image")
        assert any(Path(path).match(name) or path.startswith(f"{name}/") for path in seen), source
    tops = {path.partition("/")[0] for path in seen}
    assert tops == {source.partition("/")[0] for source in copied}
