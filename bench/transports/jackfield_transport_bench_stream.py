"""A door for measuring: each text frame on a WebSocket is answered by a frame for each piece of text."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from jackfield.contracts.llm import Finish
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import ConversationRef, TurnRequest
from jackfield.plugin import Capabilities, Options, PluginInfo, Site, hookimpl

END = "<end>"


class BenchStreamTransport:
    """Answers frames of text, a frame for each piece, then a last frame."""

    def routes(self, panel: Panel) -> APIRouter:
        """One WebSocket."""
        router = APIRouter()

        @router.websocket("/stream")
        async def stream(socket: WebSocket) -> None:
            await socket.accept()
            user = panel.claimed("bench")
            conversation = ConversationRef("", user, str(id(socket)))
            try:
                while True:
                    request = TurnRequest(conversation, await socket.receive_text(), "bench_stream")
                    async for output in panel.assistant.reply(request):
                        if isinstance(output, str):
                            await socket.send_text(output)
                        elif isinstance(output, Finish):
                            await socket.send_text(END)
            except WebSocketDisconnect:
                return

        return router


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="transport",
        name="bench_stream",
        summary="Text over a WebSocket, for measuring.",
        capabilities=lambda _options: Capabilities(roles=("windows",)),
    )


@hookimpl
def make_transport(options: Options, site: Site) -> BenchStreamTransport:
    """Build the door."""
    return BenchStreamTransport()
