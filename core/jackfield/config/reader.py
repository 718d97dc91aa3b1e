"""From a TOML file, the environment and `.env` to a checked `Config`, or to every problem with it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from jackfield.addresses import listens_publicly
from jackfield.config.environment import holds_placeholder, read_environment, refers_to, substitute
from jackfield.config.sections import Config, ServerSection
from jackfield.config.validation import joined, problems_of, remove
from jackfield.errors import ConfigError, Problem

_ROUNDS: Final = 4
"""How often what is wrong is taken out and the rest looked at again."""

_KEY_VARIABLE: Final = "SECRET_KEY"
"""The variable whose value may be made, where only this machine reaches the server."""

SecretKey = Callable[[], str]
"""Gives a value for it."""


def load_config(
    path: Path,
    *,
    env_file: Path | None = None,
    server: Mapping[str, object] | None = None,
    secret_key: SecretKey | None = None,
) -> Config:
    """Read a configuration file.

    `env_file` defaults to `.env` beside the file. `server` holds settings of the command line, which win
    over the file. `secret_key` is asked for the variable SECRET_KEY when the file needs it and nobody has set
    it; not for production, nor where other machines reach the server.

    :raises ConfigError: with every problem found.
    """
    return _usable(*examine_file(path, env_file=env_file, server=server, secret_key=secret_key))


def read_config(
    text: str, environment: Mapping[str, str], *, server: Mapping[str, object] | None = None
) -> Config:
    """Check the text of a configuration file.

    :raises ConfigError: with every problem found.
    """
    return _usable(*examine_text(text, environment, server=server))


def examine_file(
    path: Path,
    *,
    env_file: Path | None = None,
    server: Mapping[str, object] | None = None,
    secret_key: SecretKey | None = None,
) -> tuple[Config | None, list[Problem]]:
    """Read a configuration file as far as it goes: what can be used of it, and what is wrong with it.

    The arguments are those of `load_config`. For telling all problems at once: the plugins can be looked at
    though a variable is missing.

    :raises ConfigError: when there is no text to read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            [Problem("file", f"{path} cannot be read: {reason}.", "Name a configuration file.")]
        ) from error
    if env_file is not None and not env_file.is_file():
        raise ConfigError([Problem("file", f"{env_file} is not a file.", "Name an existing --env-file.")])
    dotenv = env_file or path.with_name(".env")
    if holds_placeholder(dotenv, _KEY_VARIABLE):
        secret_key = None  # somebody was to set it
    return examine_text(text, read_environment(dotenv), server=server, secret_key=secret_key)


def examine_text(
    text: str,
    environment: Mapping[str, str],
    *,
    server: Mapping[str, object] | None = None,
    secret_key: SecretKey | None = None,
) -> tuple[Config | None, list[Problem]]:
    """Check the text of a configuration file as far as it goes; see `examine_file`.

    :raises ConfigError: when it is not TOML.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigError([Problem("file", f"It is not TOML: {reason}.", "Mend that line.")]) from error
    environment = _with_port(environment)
    if secret_key is not None and _may_make_key(raw, environment, server or {}):
        environment = {**environment, _KEY_VARIABLE: secret_key()}
    table, problems = substitute(raw, environment)
    problems += _server_defaults(table, environment)
    if server and isinstance(table["server"], dict):
        table["server"].update(server)
    for _ in range(_ROUNDS):
        try:
            return Config.model_validate(table), problems
        except ValidationError as error:
            problems = joined(problems, problems_of(error, Config, table))
            for item in error.errors(include_url=False, include_context=False, include_input=False):
                remove(table, item["loc"])
    return None, problems


def _usable(config: Config | None, problems: list[Problem]) -> Config:
    if config is None or problems:
        raise ConfigError(problems)
    return config


def _with_port(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Give PORT, which the file may refer to, the value of SERVER_PORT where only that is set."""
    port = environment.get("PORT") or environment.get("SERVER_PORT")
    return {**environment, "PORT": port} if port else environment


def _may_make_key(
    raw: Mapping[str, Any], environment: Mapping[str, str], server: Mapping[str, object]
) -> bool:
    """Whether SECRET_KEY is missing, and nobody but this machine would find out that it was made."""
    if environment.get(_KEY_VARIABLE) or not refers_to(raw, _KEY_VARIABLE):
        return False
    table, _ = substitute({"server": raw.get("server", {})}, environment)
    _server_defaults(table, environment)
    if not isinstance(table["server"], dict):
        return False
    defaults = {name: field.default for name, field in ServerSection.model_fields.items()}
    said = {**defaults, **table["server"], **server}
    return said["environment"] == "development" and not listens_publicly(str(said["host"]))


def _server_defaults(table: dict[str, Any], environment: Mapping[str, str]) -> list[Problem]:
    """Fill what the environment decides where the file is silent."""
    section = table.setdefault("server", {})
    if not isinstance(section, dict):
        return []
    for key, name in (("port", "PORT"), ("environment", "ENVIRONMENT")):
        if key not in section and environment.get(name):
            section[key] = environment[name]
    other = environment.get("SERVER_PORT")
    if other and other != environment["PORT"]:
        return [Problem("server.port", "PORT and SERVER_PORT are both set and differ.", "Unset one.")]
    return []
