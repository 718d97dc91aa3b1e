"""What a model is told of a tool's result: its texts, and what else there was by name."""

from __future__ import annotations

import json
from typing import Final

from mcp import types

_NOTHING: Final = "Done; there is nothing to tell."


def text_of(result: types.CallToolResult, max_chars: int) -> str:
    """Give the texts of a result, one a line, and names of its other parts; at most about `max_chars`."""
    text = "\n".join(filter(None, map(_words, result.content)))
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False)
    return shortened(text, max_chars) or _NOTHING


def shortened(text: str, max_chars: int) -> str:
    """Cut a text that is too long, and say so in it."""
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]}\n[{len(text) - max_chars} more characters are left out]"


def _words(part: types.ContentBlock) -> str:
    match part:
        case types.TextContent():
            return part.text
        case types.ImageContent() | types.AudioContent():
            return f"[{part.type} of type {part.mime_type}, which cannot be shown]"
        case types.ResourceLink():
            return f"[link to {part.name}: {part.uri}]"
        case types.EmbeddedResource(resource=types.TextResourceContents(text=text)):
            return text
        case types.EmbeddedResource(resource=resource):
            return f"[file {resource.uri}, which cannot be shown]"
