"""Which subcommands there are, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import Final

import click

from jackfield import __version__
from jackfield.errors import JackfieldError

# Name and help of each subcommand stand here so that `--help` imports none of them.
COMMANDS: Final = {
    "serve": "Serve what a configuration file names.",
    "check": "Check a configuration file and show what it assembles.",
    "plugins": "List the installed plugins, or show one with its options.",
    "config": "Print a starter file, its JSON schema or the reference.",
    "chat": "Talk to the configured language model in the terminal.",
    "say": "Speak a text with the configured voice, aloud or into a file.",
    "listen": "Write down what the microphone or a recording says.",
    "models": "List, fetch and verify model files.",
    "new-plugin": "Write a new plugin: a distribution that works, with tests.",
    "health": "Ask the running server of a configuration file how it is.",
}
PROBLEM: Final = 2
"""Exit code when a configuration, a plugin or a model needs mending."""


class _Commands(click.Group):
    """Imports a subcommand's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: object = import_module(f"jackfield.cli.{cmd_name.replace('-', '_')}").command
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            result: object = super().invoke(ctx)
        except JackfieldError as error:
            tell(error)
            ctx.exit(PROBLEM)
        return result


def tell(error: JackfieldError) -> None:
    """Print an error to standard error, a line for each problem; JACKFIELD_DEBUG=1 adds the traceback."""
    if os.environ.get("JACKFIELD_DEBUG") == "1":
        traceback.print_exception(error)
    lines = str(error).splitlines() or [type(error).__name__]
    for line in lines:
        click.echo(f"jackfield: {line}", err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jackfield", message="%(prog)s %(version)s")
def root() -> None:
    """A panel of sockets for voice and chat servers.

    Any language model, recogniser, voice and session store behind one server, chosen in one file. Commands
    that take a FILE use without one that of the variable JACKFIELD_CONFIG, else ./jackfield.toml, else the
    offline voice server that comes along.
    """


def main() -> None:
    """Run the command line and exit."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that is not UTF-8 gets "?", not a traceback
    root(prog_name="jackfield")
