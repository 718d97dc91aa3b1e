"""Which MCP servers there are, and how each is reached."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from jackfield import Options
from jackfield.services.options import OrBlank, ServiceURL

ServerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
"""Stands before the name of a tool that another server has too."""


class McpServer(Options):
    """One MCP server: a command that is started, or an address."""

    command: Annotated[str | None, OrBlank] = Field(
        None, description="Program to start, which speaks MCP over its standard input and output."
    )
    args: tuple[str, ...] = Field(
        (), description="Arguments of the command; anybody on the machine sees them."
    )
    env: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Variables of the command's environment, beside PATH, HOME, LOGNAME, SHELL, TERM and "
        "USER, which it gets from Jackfield's; it gets no others.",
    )
    cwd: Annotated[str | None, OrBlank] = Field(None, description="Folder in which the command runs.")
    stderr_file: Annotated[str | None, OrBlank] = Field(
        None,
        description="File that what the command writes to standard error is added to. Without it, that is "
        "thrown away: servers may write there what users said.",
    )
    url: Annotated[ServiceURL | None, OrBlank] = Field(
        None, description="Address of a server that runs already and speaks streamable HTTP."
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Headers of every request to the address, such as Authorization."
    )
    tools: tuple[str, ...] | None = Field(
        None, description="The only tools of the server to offer, by the names it gives them; else all."
    )
    required: bool = Field(
        True,
        description="Whether Jackfield does not start without the server. Otherwise its tools are offered as "
        "soon as it can be reached.",
    )
    connect_s: float = Field(
        30.0,
        gt=0,
        description="Seconds within which the server must have started and listed its tools; commands that "
        "download their program first need some.",
    )

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either `command`, for a server to start, or `url`, for one that runs")
        of_commands = {"args", "env", "cwd", "stderr_file"}
        foreign = self.model_fields_set & (of_commands if self.url else {"headers"})
        if foreign:
            other = "command" if self.url else "url"
            raise ValueError(f"only a server with `{other}` can have {', '.join(sorted(foreign))}")
        return self


class McpOptions(Options):
    """The servers, and how much of what their tools answer the model is given."""

    servers: dict[ServerName, McpServer] = Field(
        min_length=1, description="The MCP servers, by names of up to 32 letters, digits, - and _."
    )
    max_result_chars: int = Field(
        20_000, gt=0, description="Characters of one result that the model is given; the rest is left out."
    )
