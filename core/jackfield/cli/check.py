"""`jackfield check`: what a configuration assembles, or everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import click

from jackfield.assembly import Assembly, Built
from jackfield.cli.configuration import file_argument, located
from jackfield.cli.inspection import inspected
from jackfield.cli.table import table
from jackfield.plugin import Capabilities


@click.command("check", help="Load, check and build FILE, and show what it assembles or every problem.")
@click.option("--start", is_flag=True, help="Open everything too (models, stores), and close it again.")
@file_argument
def command(file: Path | None, env_file: Path | None, start: bool) -> None:
    """Print the assembled panel; problems go to standard error, one a line, with exit code 2."""
    inspection = inspected(file, env_file)
    click.echo(f"{located(file)}\n")
    click.echo(table(("SECTION", "PLUGIN", "ABOUT"), list(_rows(inspection.assembly))))
    if start:
        click.echo("\nOpening everything ...", err=True)
        anyio.run(inspection.open_and_close)
        click.echo("Everything opens.", err=True)
    if inspection.secret_key.asked:
        click.echo(f"\n{inspection.secret_key.said()}")
    click.echo(f"\nListens on {address(inspection.assembly)}; `jackfield serve` starts it.")


def address(assembly: Assembly) -> str:
    """Give the address at which a configuration listens."""
    server = assembly.config.server
    scheme = "https" if server.tls_cert else "http"
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{scheme}://{host}:{server.port}"


def _rows(assembly: Assembly) -> Iterator[tuple[str, str, str]]:
    roles: dict[int, list[str]] = {}
    for role, store in assembly.stores.items():
        roles.setdefault(id(store.object), []).append(role)
    doors = {id(door.transport.object): door for door in assembly.doors}
    followers = _followers(assembly)
    for built in assembly:
        about = list(_abilities(built.capabilities))
        if served := roles.get(id(built.object)):
            about.append(f"serves {', '.join(served)}")
        if door := doors.get(id(built.object)):
            about.append(f"at {door.mount or '/'}")
            about.append(f"signed in by {door.auth}" if door.auth else "nobody signs in")
        if then := followers.get(id(built.object)):
            about.append(f"then {', '.join(map(_section, then))}")
        yield _section(built), built.plugin, ", ".join(about)


def _followers(assembly: Assembly) -> dict[int, Sequence[Built[object]]]:
    """For the first provider of each chain, those that are asked after it, in their order."""
    whole: list[Built[Any]] = [*assembly.llm, *assembly.stt, *assembly.tts]
    return {id(built.members[0].object): built.members[1:] for built in whole if built.members}


def _section(built: Built[object]) -> str:
    return f"[{built.section}]"


def _abilities(capabilities: Capabilities) -> Iterator[str]:
    if capabilities.streaming:
        yield "streaming"
    if capabilities.network:
        yield "needs the network"
    for name, values in (
        ("model", capabilities.models),
        ("voice", capabilities.voices),
        ("language", capabilities.languages),
    ):
        if values:
            yield f"{name} {' or '.join(values)}"
    if capabilities.context_tokens:
        yield f"context of {capabilities.context_tokens} tokens"
    if capabilities.max_concurrency:
        yield f"{capabilities.max_concurrency} at once"
