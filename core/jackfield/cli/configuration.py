"""Which configuration file a command reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from jackfield.cli.secret_key import SecretKeyFile
    from jackfield.config import Config

STARTER: Final = Path(__file__).with_name("starter.toml")
"""The configuration that comes along: the offline voice server."""

_LOCAL: Final = Path("jackfield.toml")
_VARIABLE: Final = "JACKFIELD_CONFIG"

P = ParamSpec("P")
R = TypeVar("R")


def file_argument(function: Callable[P, R]) -> Callable[P, R]:
    """Add the argument FILE and the option --env-file to a command."""
    path = click.Path(path_type=Path, dir_okay=False)
    with_file = click.argument("file", required=False, type=path)
    with_environment = click.option(
        "--env-file", type=path, help="File of variables, NAME=value; else .env beside FILE."
    )
    return with_file(with_environment(function))


def file_option(function: Callable[P, R]) -> Callable[P, R]:
    """Add the options --config and --env-file to a command whose argument is something else."""
    path = click.Path(path_type=Path, dir_okay=False)
    with_file = click.option(
        "--config", "config_file", metavar="FILE", type=path, help="Configuration; else the usual one."
    )
    with_environment = click.option(
        "--env-file", type=path, help="File of variables, NAME=value; else .env beside the configuration."
    )
    return with_file(with_environment(function))


def located(file: Path | None) -> Path:
    """Give the file that was named, else $JACKFIELD_CONFIG, ./jackfield.toml or the one that comes along."""
    if file is not None:
        return file
    if named := os.environ.get(_VARIABLE):
        return Path(named)
    return _LOCAL if _LOCAL.is_file() else STARTER


def environment_file(path: Path, env_file: Path | None) -> Path | None:
    """Give the file of variables for a configuration file; None for the one beside it."""
    here = Path(".env")
    if path == STARTER and env_file is None and here.is_file():
        return here  # nobody puts a file beside the one that comes along
    return env_file


def secret_key_of(path: Path, *, make: bool = False) -> SecretKeyFile:
    """Give the key that a configuration file has where nobody sets SECRET_KEY; see `SecretKeyFile`."""
    from jackfield.cli.secret_key import SecretKeyFile

    return SecretKeyFile(Path() if path == STARTER else path.parent, make=make)


def loaded(
    file: Path | None,
    env_file: Path | None,
    server: Mapping[str, object] | None = None,
    secret_key: SecretKeyFile | None = None,
) -> Config:
    """Read the configuration of a command; without `secret_key` none is made.

    :raises ConfigError: with every problem found.
    """
    from jackfield.config import load_config

    path = located(file)
    dotenv = environment_file(path, env_file)
    return load_config(path, env_file=dotenv, server=server, secret_key=secret_key or secret_key_of(path))
