"""The server's log: one event a line, each with the id of its request, nothing a user can forge."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final

from jackfield.config.sections import ServerSection
from jackfield.errors import ConfigError, Problem
from jackfield.server.exchange import request_id

FORMAT: Final = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_IN_TRACEBACK: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_OURS: Final = ("jackfield", "__main__")


def configure_logging(settings: ServerSection) -> None:
    """Send the log of this process to standard error, and to a file where one is configured.

    Of Jackfield and its plugins everything from the configured level on is logged, of all else warnings
    and errors.

    :raises ConfigError: when the file cannot be written to.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if settings.log_file is not None:
        handlers.append(_file_handler(settings.log_file))
    formatter = JsonFormatter() if settings.log_format == "json" else LineFormatter()
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    for handler in handlers:
        handler.setFormatter(formatter)
        handler.addFilter(_worth_logging)
        root.addHandler(handler)
    root.setLevel(settings.log_level)
    logging.captureWarnings(True)


def _file_handler(path: str) -> logging.Handler:
    try:
        return logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be written to: {error.strerror}."
        raise ConfigError([Problem("server.log_file", message, "Name another file.")]) from error


def _worth_logging(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.startswith(_OURS)


class LineFormatter(logging.Formatter):
    """A line of text. A traceback follows in indented lines, which no event begins with."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Write the line of an event."""
        record.message = escape(_with_request_id(record.message))
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        """Write a traceback."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        """Write a stack."""
        return _indented(super().formatStack(stack_info))


class JsonFormatter(logging.Formatter):
    """A line of JSON: time (RFC 3339, UTC), logger, level, message, request_id, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the line of an event."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time.replace("+00:00", "Z"),
            "logger": record.name,
            "level": record.levelname,
            "message": record.getMessage(),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def escape(text: str) -> str:
    """Write control characters out, so that they neither break nor colour a line."""
    return _CONTROL.sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


def _indented(text: str) -> str:
    lines = _CONTROL_IN_TRACEBACK.sub(_written_out, text).split("\n")
    return "\n".join(f"    {line}" for line in lines)


def _with_request_id(message: str) -> str:
    current = request_id.get()
    return f"{message} [{current}]" if current else message
