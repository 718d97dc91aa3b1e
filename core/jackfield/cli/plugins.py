"""`jackfield plugins`: what is installed, and what options one plugin has."""

from __future__ import annotations

import click

from jackfield.cli.fields import field_rows
from jackfield.cli.table import table
from jackfield.errors import PluginNotFound, Problem
from jackfield.installed import InstalledPlugin, installed
from jackfield.plugin import KINDS


@click.command("plugins", help="List the installed plugins by kind, or show NAME with its options.")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the installed plugins without importing any, or import one and show its options."""
    plugins = [plugin for kind in KINDS for plugin in installed(kind)]
    if name is None:
        rows = [(p.kind, p.name, p.distribution, p.version) for p in plugins]
        click.echo(table(("KIND", "PLUGIN", "DISTRIBUTION", "VERSION"), rows))
        return
    named = [plugin for plugin in plugins if plugin.name == name]
    if not named:
        message = f'No plugin "{name}" is installed.'
        raise PluginNotFound(Problem("plugins", message, "jackfield plugins lists those that are."))
    click.echo("\n\n".join(_describe(plugin) for plugin in named))


def _describe(plugin: InstalledPlugin) -> str:
    from jackfield.loader import Loader

    info = Loader().load(plugin.kind, plugin.name, plugin.kind).info
    lines = [
        f"{info.name} ({info.kind}, {plugin.distribution} {plugin.version})",
        info.summary,
        *([f"Needs: pip install '{info.extra}'"] if info.extra else []),
        "",
        table(("OPTION", "TYPE", "DEFAULT", "DESCRIPTION"), list(field_rows(info.options))),
    ]
    return "\n".join(lines)
