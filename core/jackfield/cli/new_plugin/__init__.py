"""`jackfield new-plugin`: a whole distribution of a plugin that works, to begin from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from jackfield.cli.new_plugin.distribution import about, files_of, write
from jackfield.cli.new_plugin.names import Names, objection
from jackfield.plugin import KINDS

if TYPE_CHECKING:
    from jackfield.plugin import Kind

_KINDS: Final = "\n".join(f"  {kind:<11}{about(kind).noun}" for kind in KINDS)
_HELP: Final = f"""Write a plugin of KIND that works, with tests and all that publishing it takes.

NAME is the word that `use` will take: lower-case letters, digits and underscores. KIND is one of

\b
{_KINDS}

The plugin is a small example. Install it, run its tests, and put your own work in its place.
"""
_NEXT: Final = """
Next:
  cd {folder}
  pip install -e . --group test
  pytest
  jackfield check --start
README.md there says how to configure and publish it."""


@click.command("new-plugin", help=_HELP)
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Where to write it; else a new folder here, named like the distribution.",
)
def command(kind: Kind, name: str, folder: Path | None) -> None:
    """Check the name and the folder, and write the files."""
    names = Names(kind, name)
    if problem := objection(names):
        raise click.BadParameter(problem, param_hint="NAME")
    target = folder or Path(names.distribution)
    files = files_of(names)
    try:
        _check_empty(target)
        write(target, files)
    except OSError as error:
        message = f"{target} cannot be written: {error.strerror}. Name another --folder."
        raise click.UsageError(message) from error
    click.echo(f"{target}: {names.distribution}, {about(kind).noun}")
    for file in sorted(files):
        click.echo(f"  {file}")
    click.echo(_NEXT.format(folder=target))


def _check_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.UsageError(f"{folder} is not an empty folder. Name a new one with --folder.")
