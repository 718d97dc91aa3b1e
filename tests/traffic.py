"""A server whose every figure moves, and the traffic that moves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import httpx
from websockets.asyncio.client import ClientConnection

ROOT: Final = Path(__file__).parents[1]
QUESTION: Final = ("question.wav", (ROOT / "examples" / "question.wav").read_bytes(), "audio/wav")
CONFIG: Final = """
[llm]
use = "echo"
options.tool = "clock"
[[llm.fallback]]
use = "echo"
options.tool = "clock"
options.prefix = "The clock says: "
[stt]
use = "scripted"
options.transcripts = ["one two three"]
[tts]
use = "tone"
options.character_ms = 20
[session]
use = "memory"
ttl_seconds = 2
[audio]
directory = "FOLDER"
[call]
min_words = 0
[[transport]]
use = "relay_chat"
[[transport]]
use = "chat_app"
mount = "/chat-app"
[[transport]]
use = "voice_socket"
mount = "/device"
[[transport]]
use = "smart_proxy"
mount = "/proxy"
options.backend.url = "http://127.0.0.1:9"
options.fallback.use = "assistant"
[[transport]]
use = "smart_proxy"
mount = "/front"
options.backend.url = "BACKEND"
[[extension]]
use = "cache"
[[extension]]
use = "chaos"
options.rules = [{ section = "llm", do = "unavailable" }]
"""
"""FOLDER and BACKEND stand for where clips are kept, and for a chat server of somebody else's making."""


async def send(
    client: httpx.AsyncClient, path: str, kind: str = "text", *, number: int = 1, **files: Any
) -> int:
    """Send a message of a numbered conversation in a form; gives the status of the answer."""
    form = {
        "message": "Hello",
        "type": kind,
        "sessionId": f"{number}{path.replace('/', '-')}",
        "userId": "u",
        "username": "U",
    }
    return (await client.post(path, data=form, files=files or None)).status_code


async def send_all(client: httpx.AsyncClient, number: int = 1) -> None:
    """Send messages through every door that takes forms, and one request that fails."""
    statuses = [
        await send(client, "/chat", number=number),
        await send(client, "/chat", "voice", audio=QUESTION, number=number),
        await send(client, "/front/chat", number=number),
        await send(client, "/proxy/chat", number=number),
        await send(client, "/chat", "nonsense", number=number),
    ]
    assert statuses == [200, 200, 200, 200, 422]


async def chat(socket: ClientConnection) -> None:
    """Send a message over the WebSocket of chat_app."""
    await socket.send('{"message": "Hello"}')
    while "message" not in json.loads(await socket.recv()):  # what is told of the one before
        pass


async def call(socket: ClientConnection) -> None:
    """Say something, and interrupt the answer."""
    await socket.send('{"type": "start", "turns": "explicit"}')
    await socket.send('{"type": "speech.start"}')
    await socket.send(bytes(range(256)) * 125)
    await socket.send('{"type": "speech.end"}')
    while not isinstance(await socket.recv(), bytes):
        pass
    await socket.send('{"type": "interrupt"}')
    while True:
        message = await socket.recv()
        if isinstance(message, str) and json.loads(message)["type"] == "reply.finished":
            return
