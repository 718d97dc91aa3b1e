"""When a missing SECRET_KEY is made: for a server that only this machine reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from jackfield.config import examine_text, load_config
from jackfield.errors import ConfigError

MADE = "made-of-at-least-thirty-two-letters"


def value(text: str, **environment: str) -> str | None:
    """The secret of a configuration, whose value may be made; None when there is none."""
    config, problems = examine_text(f"{text}\n", environment, secret_key=lambda: MADE)
    if problems:
        assert all("SECRET_KEY is not set" in problem.message for problem in problems)
        return None
    assert config is not None
    return config.auth["people"].options["secret_key"]  # type: ignore[no-any-return]  # options are anything


def text(server: str = "", secret: str = "${SECRET_KEY}") -> str:
    return f'[server]\n{server}\n[auth.people]\nuse = "accounts"\noptions.secret_key = "{secret}"'


@pytest.mark.parametrize("host", ["", 'host = "::1"', 'host = "localhost"', 'host = "${HOST:-127.0.0.2}"'])
def test_it_is_made_where_only_this_machine_reaches_the_server(host: str) -> None:
    assert value(text(host)) == MADE


@pytest.mark.parametrize(
    ("server", "environment"),
    [
        ('host = "0.0.0.0"', {}),
        ('host = "${HOST:-127.0.0.1}"', {"HOST": "192.0.2.7"}),
        ('environment = "production"', {}),
        ("", {"ENVIRONMENT": "production"}),
    ],
)
def test_it_stays_an_error_where_others_reach_it_and_in_production(
    server: str, environment: dict[str, str]
) -> None:
    assert value(text(server), **environment) is None


def test_an_address_of_the_command_line_counts() -> None:
    _, problems = examine_text(text(), {}, server={"host": "0.0.0.0"}, secret_key=lambda: MADE)
    assert len(problems) == 1


def test_one_that_is_set_wins() -> None:
    assert value(text(), SECRET_KEY="set") == "set"


@pytest.mark.parametrize("secret", ["fixed", "${SECRET_KEY:-default}"])
def test_none_is_made_that_the_file_can_do_without(secret: str) -> None:
    def make() -> str:
        raise AssertionError("it was asked for")

    assert examine_text(text(secret=secret), {}, secret_key=make)[1] == []


@pytest.mark.parametrize("where", [".env", "environment"])
def test_a_placeholder_is_still_to_be_replaced_by_whoever_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    monkeypatch.delenv("SECRET_KEY", raising=False)
    if where == ".env":
        (tmp_path / ".env").write_text("SECRET_KEY=your_secret_key\n")
    else:
        monkeypatch.setenv("SECRET_KEY", "your_secret_key")
    (tmp_path / "server.toml").write_text(text())
    with pytest.raises(ConfigError, match="SECRET_KEY is not set, or holds a placeholder"):
        load_config(tmp_path / "server.toml", secret_key=lambda: MADE)


def test_without_a_place_for_it_none_is_made() -> None:
    assert len(examine_text(text(), {})[1]) == 1
