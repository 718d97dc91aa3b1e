"""Everything that is wrong with a configuration, told at once, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from jackfield.assembly import Assembly, assemble_in_part
from jackfield.cli.configuration import environment_file, located, secret_key_of
from jackfield.cli.secret_key import SecretKeyFile
from jackfield.config import examine_file
from jackfield.config.validation import joined
from jackfield.errors import ConfigError
from jackfield.server.app import create_app_in_part


@dataclass(frozen=True, slots=True)
class Inspection:
    """A configuration without a fault: what it assembles, and the application that would serve it."""

    assembly: Assembly
    app: FastAPI
    secret_key: SecretKeyFile

    async def open_and_close(self) -> None:
        """Open everything as the server does while it starts, and close it again.

        :raises PluginCannotStart: with everything that did not open.
        """
        async with self.app.router.lifespan_context(self.app):
            pass


def inspected(
    file: Path | None, env_file: Path | None, server: Mapping[str, object] | None = None
) -> Inspection:
    """Read, check and build a configuration up to its routes.

    :raises ConfigError: with every problem: of the file, the environment, plugins, options and routes.
    """
    path = located(file)
    dotenv, secret_key = environment_file(path, env_file), secret_key_of(path)
    config, problems = examine_file(path, env_file=dotenv, server=server, secret_key=secret_key)
    if config is None:
        raise ConfigError(problems)
    assembly, more = assemble_in_part(config, problems)
    problems = joined(problems, more)
    app, more = create_app_in_part(assembly, problems)
    if app is None or problems:
        raise ConfigError(list(dict.fromkeys([*problems, *more])))
    return Inspection(assembly, app, secret_key)
