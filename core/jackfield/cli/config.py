"""`jackfield config`: a file to start from, its JSON schema, and the reference of every key."""

from __future__ import annotations

import json
from pathlib import Path

import click

from jackfield.cli.configuration import STARTER, file_argument, loaded


@click.command("config", help="Print an annotated configuration file to start from.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of FILE instead, plugins' options too.")
@click.option("--reference", is_flag=True, help="Print the reference of every key (Markdown) instead.")
@file_argument
def command(file: Path | None, env_file: Path | None, schema: bool, reference: bool) -> None:
    """Print one of the three."""
    if schema:
        from jackfield.cli.schema import schema_of

        click.echo(json.dumps(schema_of(loaded(file, env_file)), indent=2))
    elif reference:
        from jackfield.cli.reference import reference_page

        click.echo(reference_page(), nl=False)
    else:
        click.echo(STARTER.read_text(encoding="utf-8"), nl=False)
