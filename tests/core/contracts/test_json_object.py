"""JSON objects as stores keep them."""

from __future__ import annotations

from typing import Any

import pytest

from jackfield.contracts.json_object import (
    MAX_PREFERENCES_BYTES,
    json_object,
    json_text,
    preferences_text,
)


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("value", [{}, {"name": "Grüße \ud83d \0", "list": [1, 2.5, None, {"a": True}]}])
def test_an_object_comes_back(value: dict[str, Any], ascii_only: bool) -> None:
    assert json_object(json_text(value, ascii_only=ascii_only)) == value


def test_every_character_can_be_plain_ascii() -> None:
    assert json_text({"ü": "\0"}, ascii_only=True).isascii()


@pytest.mark.parametrize("value", [[], "text", {1: "one"}, {"a": float("nan")}, {"a": {"secret"}}])
def test_what_is_no_object_is_refused_and_not_quoted(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^This (is not|cannot)") as caught:
        json_text(value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("ascii_only", [False, True])
def test_preferences_are_bounded_by_their_bytes_in_utf_8(ascii_only: bool) -> None:
    most = "ü" * ((MAX_PREFERENCES_BYTES - len('{"a":""}')) // 2)
    assert json_object(preferences_text({"a": most}, ascii_only=ascii_only)) == {"a": most}
    with pytest.raises(ValueError, match="4098 bytes as JSON; at most 4096"):
        preferences_text({"a": most + "ü"}, ascii_only=ascii_only)
