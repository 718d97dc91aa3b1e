"""A hand-written server that answers text over a WebSocket through the openai SDK, with nothing else."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Keep one client."""
    async with openai.AsyncOpenAI(api_key="none", base_url=sys.argv[2], max_retries=0) as client:
        app.state.client = client
        yield


async def stream(socket: WebSocket) -> None:
    """Answer frames of text, a frame for each piece."""
    await socket.accept()
    client: openai.AsyncOpenAI = socket.app.state.client
    try:
        while True:
            chunks = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": await socket.receive_text()}], stream=True
            )
            async for chunk in chunks:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    await socket.send_text(text)
            await socket.send_text("<end>")
    except WebSocketDisconnect:
        return


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[WebSocketRoute("/stream", stream)], lifespan=lifespan),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        ws_per_message_deflate=False,
    )
