"""A panel for plugins of authentication, over a store in memory."""

from __future__ import annotations

import logging
from dataclasses import replace

from jackfield.assembly import Built
from jackfield.contracts.auth import Auth
from jackfield.contracts.panel import Panel
from jackfield.plugin import ROLES, Capabilities, Site
from jackfield.server.metrics import PrometheusMetrics
from jackfield.server.panel import build_parts, panel_of
from jackfield_session_memory import MemoryOptions, make_session
from tests.core.server.support import assembly, door


def panel_over_memory(section: str, auth: Auth) -> Panel:
    """The panel of a door that names the section."""
    store = make_session(MemoryOptions(), Site("session", "memory", logging.getLogger("test")))
    entrance = door(lambda router, panel: None, auth=section)
    built = Built("session", "memory", Capabilities(), store)
    parts = replace(assembly(entrance, auths={section: auth}), stores=dict.fromkeys(ROLES, built))
    return panel_of(entrance, parts, build_parts(parts, PrometheusMetrics(), lambda event: None))
