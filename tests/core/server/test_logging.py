"""One event, one line."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jackfield.config.sections import ServerSection
from jackfield.errors import ConfigError
from jackfield.server.exchange import request_id
from jackfield.server.logging import JsonFormatter, LineFormatter, configure_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the root logger as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    """An event."""
    trace = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("jackfield.x", logging.INFO, __file__, 1, message, arguments, trace)


def test_a_line_has_time_logger_level_and_message() -> None:
    line = LineFormatter().format(record("served %s", "x"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - jackfield\.x - INFO - served x", line)


def test_the_request_id_ends_the_message() -> None:
    token = request_id.set("req_1234")
    try:
        assert LineFormatter().format(record("served")).endswith(" - INFO - served [req_1234]")
        assert json.loads(JsonFormatter().format(record("served")))["request_id"] == "req_1234"
    finally:
        request_id.reset(token)


@pytest.mark.parametrize("breaking", ["\n", "\r", "\x1b[31m", "\x85", "\u2028", "\x00"])
def test_nothing_in_a_message_breaks_the_line(breaking: str) -> None:
    line = LineFormatter().format(record("user %s", f"a{breaking}2025 - forged"))
    assert breaking[0] not in line
    assert len(line.splitlines()) == 1


def test_a_traceback_cannot_look_like_another_event() -> None:
    try:
        raise ValueError("first\n2025-01-01 00:00:00,000 - jackfield - INFO - forged")
    except ValueError as error:
        lines = LineFormatter().format(record("failed", error=error)).split("\n")
    assert len(lines) > 3
    assert all(line.startswith("    ") for line in lines[1:])


def test_json_is_one_line_even_with_a_traceback() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        line = JsonFormatter().format(record("failed\n", error=error))
    assert "\n" not in line
    event = json.loads(line)
    assert (event["level"], event["logger"], event["message"]) == ("INFO", "jackfield.x", "failed\n")
    assert event["time"].endswith("Z")
    assert "second" in event["traceback"]


def test_the_file_gets_the_log_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "chat_api.log"
    configure_logging(ServerSection(log_file=str(path)))
    logging.getLogger("jackfield.x").info("served")
    logging.getLogger("jackfield.x").debug("not this")
    assert "served" in path.read_text()
    assert capsys.readouterr().err == path.read_text()


def test_of_other_libraries_only_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(ServerSection(log_level="DEBUG"))
    logging.getLogger("httpx").info("GET https://host/?key=secret-123")
    logging.getLogger("httpx").warning("slow")
    logging.getLogger("jackfield_llm_other").debug("counted")
    written = capsys.readouterr().err
    assert "secret-123" not in written
    assert "slow" in written
    assert "counted" in written
    assert sys.stderr is not None


def test_a_file_that_cannot_be_written_is_a_problem_of_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[server\.log_file\]"):
        configure_logging(ServerSection(log_file=str(tmp_path)))
