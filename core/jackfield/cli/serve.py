"""`jackfield serve`: serve a configuration until the process is told to stop."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jackfield.cli.configuration import environment_file, file_argument, loaded, located, secret_key_of
from jackfield.config import Config
from jackfield.errors import ConfigError

if TYPE_CHECKING:
    from jackfield.cli.secret_key import SecretKeyFile
    from jackfield.config.sections import TransportSection

logger = logging.getLogger(__name__)

_DEMONSTRATION = "smollm2-135m-instruct"


@click.command("serve", help="Serve what FILE names, until Ctrl-C or SIGTERM.")
@click.option("--host", help="Address to listen on, instead of the file's.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, instead of the file's.")
@click.option(
    "--reload",
    is_flag=True,
    help="For developing: start anew when FILE, its variables or Python code below this folder changes.",
)
@file_argument
def command(
    file: Path | None, env_file: Path | None, host: str | None, port: int | None, *, reload: bool
) -> None:
    """Serve, and exit with the server's code."""
    if reload:
        from jackfield.cli.reload import serve_reloading

        path = located(file)
        variables = environment_file(path, env_file) or path.with_name(".env")
        raise SystemExit(serve_reloading(sys.argv[1:], [path, variables]))
    given = {"host": host, "port": port}
    server: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    raise SystemExit(_serve(file, env_file, server))


def _serve(file: Path | None, env_file: Path | None, server: dict[str, object]) -> int:
    gc.disable()  # what is loaded before the server listens is no garbage, and searching it takes long
    try:
        from jackfield.server.serve import serve

        key = secret_key_of(located(file), make=True)
        try:
            config = loaded(file, env_file, server, key)
        except ConfigError:
            from jackfield.cli.inspection import inspected

            inspected(file, env_file, server)  # raises with what else is wrong, so that all of it is told
            raise
        return serve(config, ready=lambda url: _announce(url, config, key))
    finally:
        gc.enable()


def _announce(url: str, config: Config, key: SecretKeyFile) -> None:
    """Say where the server listens, and what to try."""
    gc.enable()
    if key.asked:
        logger.info("%s", key.said())
    click.echo(f"\nListening on {url}  (Ctrl-C stops)")
    if (page := _first(config.transport, "console")) is not None:
        click.echo(f"Talk to it: {url}{page.mount}/")
    door = _first(config.transport, "relay_chat")
    if door is not None and door.auth is None:
        fields = '-F type=text -F "message=What is the capital of France?"'
        ids = "-F sessionId=s1 -F userId=u1 -F username=me"
        click.echo(f"Try: curl {url}{door.mount}/chat {fields} {ids}")
    if config.llm is not None and config.llm.options.get("model") == _DEMONSTRATION:
        click.echo(
            "The language model is a demonstration of 135 million parameters: it is often wrong. "
            "`jackfield config` shows the lines that replace it."
        )
    click.echo()


def _first(doors: Sequence[TransportSection], use: str) -> TransportSection | None:
    return next((door for door in doors if door.use == use), None)
