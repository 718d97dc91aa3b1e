"""Redis: a session store in a Redis server, shared by every replica that names it.

All four roles, over one server, a group of servers watched by Sentinel, or a cluster; Valkey is as good as
Redis. It needs Redis 6.2 or later. What a restart of Redis leaves is Redis' own affair: `persistent = true`
has the start make sure of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield.plugin import ROLES
from jackfield_session_redis.options import RedisOptions as RedisOptions

if TYPE_CHECKING:
    from jackfield_session_redis.store import RedisStore


def _capabilities(options: RedisOptions) -> Capabilities:
    return Capabilities(
        roles=ROLES,
        persistent=ROLES if options.persistent else (),
        network=not options.address().is_local,
        replicated=True,
    )


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="session",
        name="redis",
        summary="Keeps everything in Redis or Valkey, for all replicas; lasting where Redis is told to last.",
        options=RedisOptions,
        extra="jackfield[redis]",
        capabilities=_capabilities,
    )


@hookimpl
def make_session(options: RedisOptions, site: Site) -> RedisStore:
    from jackfield_session_redis.store import RedisStore  # imports the SDK

    return RedisStore(options, site.logger)
