"""A door for tests, beside relay-chat on the same mount: shows a stored window."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import ConversationRef
from jackfield.plugin import Options


class TrialDesk:
    """A route over the panel."""

    def __init__(self, site: Site) -> None:
        self._mount = site.mount

    def routes(self, panel: Panel) -> APIRouter:
        router = APIRouter()

        async def conversation(request: Request) -> ConversationRef:
            user = await panel.identify(request) or panel.claimed(request.query_params["userId"])
            return ConversationRef(self._mount, user, request.query_params["sessionId"])

        @router.get("/desk/window")
        async def window(request: Request) -> dict[str, Any] | None:
            found = await panel.sessions.window(await conversation(request))
            if found is None:
                return None
            messages = [
                {
                    "content": message.content,
                    "type": message.type,
                    "timestamp": message.timestamp.isoformat(),
                    "is_user": message.is_user,
                }
                for message in found.messages
            ]
            return {"messages": messages, "user_preferences": dict(found.preferences)}

        return router


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="transport",
        name="trial_desk",
        summary="Shows stored windows to tests.",
        capabilities=lambda _options: Capabilities(roles=("windows",)),
    )


@hookimpl
def make_transport(options: Options, site: Site) -> TrialDesk:
    return TrialDesk(site)
