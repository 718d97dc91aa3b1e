"""A server of tools for trying examples/mcp.toml, made with the official SDK (`pip install mcp`).

It speaks the Model Context Protocol over its standard input and output. Every function below `@server.tool()`
is a tool: its docstring tells a model what it is for, its arguments and their types what it takes.
"""

from __future__ import annotations

from mcp.server import MCPServer

server = MCPServer("words")


@server.tool(structured_output=False)
def count_words(text: str) -> str:
    """Count the words of a text."""
    return f"{len(text.split())} words"


@server.tool(structured_output=False)
def longest_word(text: str) -> str:
    """Give the longest word of a text."""
    return max(text.split(), key=len, default="")


if __name__ == "__main__":
    server.run()
