"""What to do about a plugin that is unknown or does not work: the words of problems."""

from __future__ import annotations

import difflib

from jackfield.errors import Problem
from jackfield.installed import InstalledPlugin, installed
from jackfield.plugin import KINDS, Kind, PluginInfo


def suggestion(kind: Kind, name: str, plugins: list[InstalledPlugin]) -> str:
    """What may have been meant by a name that no installed plugin of a kind has."""
    names = [plugin.name for plugin in plugins]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f'Did you mean "{close[0]}"?'
    elsewhere = [other for other in KINDS if any(plugin.name == name for plugin in installed(other))]
    if elsewhere:
        return f'"{name}" is a plugin of kind {elsewhere[0]}.'
    return f"Installed: {', '.join(names) or 'none'}."


def missing_sdk(info: PluginInfo, section: str, error: ImportError) -> Problem:
    """The problem with a plugin whose SDK cannot be imported."""
    if error.name:
        what = f'"{info.name}" needs the package {error.name}, which cannot be imported.'
    else:
        what = f'"{info.name}" cannot import what it needs: {one_line(error)}.'
    fix = f"pip install '{info.extra}'" if info.extra else "Install what the plugin needs."
    return Problem(section, what, fix)


def one_line(error: Exception) -> str:
    """What an error says, in one line and without the full stop."""
    return " ".join(str(error).split()).rstrip(".")
