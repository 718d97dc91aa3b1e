"""Memory: a session store inside the server's own process.

All four roles, bounded and expiring. Nothing survives a restart and nothing is shared between replicas;
a deployment that needs either names another store.
"""

from __future__ import annotations

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield.plugin import ROLES
from jackfield_session_memory.options import MemoryOptions as MemoryOptions
from jackfield_session_memory.store import MemoryStore as MemoryStore


def _capabilities(_options: MemoryOptions) -> Capabilities:
    return Capabilities(roles=ROLES)


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="session",
        name="memory",
        summary="Keeps everything in the server's memory, bounded; nothing survives a restart.",
        options=MemoryOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_session(options: MemoryOptions, site: Site) -> MemoryStore:
    return MemoryStore(options)
