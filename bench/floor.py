"""The floor: what answering text over a WebSocket costs when it is written by hand, with nothing else."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import AsyncGenerator

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

HISTORY: dict[int, list[str]] = defaultdict(list)


async def echo(text: str) -> AsyncGenerator[str, None]:
    """Give the words of a text, each with the space before it."""
    for number, word in enumerate(text.split(" ")):
        yield f" {word}" if number else word


async def stream(socket: WebSocket) -> None:
    """Answer frames of text, a frame for each word, and keep the last ten messages."""
    await socket.accept()
    history = HISTORY[id(socket)]
    try:
        while True:
            text = await socket.receive_text()
            answer = []
            async for piece in echo(text):
                answer.append(piece)
                await socket.send_text(piece)
            history += [text, "".join(answer)]
            del history[:-10]
            await socket.send_text("<end>")
    except WebSocketDisconnect:
        return


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[WebSocketRoute("/stream", stream)]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        ws=sys.argv[2],  # the same implementation as the other side
        ws_per_message_deflate=False,
    )
